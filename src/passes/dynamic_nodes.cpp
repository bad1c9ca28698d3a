#include "passes/dynamic_nodes.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "passes/graph_edit.h"
#include "quant/quantize.h"

namespace bitwright {

namespace {

constexpr std::int64_t kOnnxFloat = 1;
/// The opset from which on ReduceMax takes its axes as an input.
constexpr std::int64_t kAxesAsInput = 18;

/// Where an output sums fewer products, DynamicQuantizeLinear, ConvInteger, Cast, Mul and Add take longer than Conv in onnxruntime-web:
/// with 24 products 0.7 of its speed, 48 0.9, depthwise 0.8; from 72 on 1.1 to 2.2. onnxruntime on a CPU with VNNI is faster in float
/// at nearly every size (0.6 to 1.0, depthwise 0.2). `npm run bench -- dynamic-conv` measures it.
constexpr std::int64_t kLeastConvProducts = 64;

Tensor transposed(const Tensor& matrix) {
  const std::int64_t rows = matrix.extent(0);
  const std::int64_t columns = matrix.extent(1);
  Tensor result(DType::f32, {columns, rows});
  const auto in = matrix.data<float>();
  const auto out = result.data<float>();
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      out[static_cast<std::size_t>(c * rows + r)] = in[static_cast<std::size_t>(r * columns + c)];
  return result;
}

/// Each matrix [n, k] of a stack [d, n, k] transposed.
Tensor transposed_stack(const Tensor& stack) {
  const std::int64_t rows = stack.extent(1);
  const std::int64_t columns = stack.extent(2);
  Tensor result(DType::f32, {stack.extent(0), columns, rows});
  const auto in = stack.data<float>();
  const auto out = result.data<float>();
  for (std::int64_t d = 0; d < stack.extent(0); ++d)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c)
        out[static_cast<std::size_t>((d * columns + c) * rows + r)] = in[static_cast<std::size_t>((d * rows + r) * columns + c)];
  return result;
}

Tensor scaled(const Tensor& values, float factor) {
  Tensor result = values.clone();
  for (float& value : result.data<float>()) value *= factor;
  return result;
}

Tensor scales_of(const QuantParams& params, Shape shape) {
  return Tensor::of<float>(std::move(shape), std::span<const float>(params.scales));
}

}  // namespace

std::string DynamicNodes::refusal(const WeightUse& use, const TensorRecord& weight, const TensorRecord* bias) const {
  const Node& node = *use.node;
  if (!node.domain.empty()) return concat({"an operator of ", node.domain});
  if (use.input != 1) return "its constant is the left factor";
  if (use.axes.empty()) return "its weight is put together by other nodes";
  for (std::size_t axis = 0; axis < use.axes.size(); ++axis)
    if (use.axes[axis] != static_cast<std::int64_t>(axis)) return "its weight is transposed by a node of its own";
  if (node.op_type == "MatMul") return weight.shape.size() < 2 ? "its weight is a vector" : "";
  if (node.op_type == "Conv") {
    if (weight.shape.size() < 3) return "its weight has too few axes";
    if (recipe_.target == Target::onnxruntime) return "onnxruntime is faster at Conv than at ConvInteger";
    const std::int64_t n_products = n_elements(weight.shape) / std::max<std::int64_t>(weight.shape[0], 1);
    if (n_products < kLeastConvProducts && !recipe_.takes_small_weights)
      return concat(
          {"ConvInteger is slower where an output sums fewer than ", kLeastConvProducts, " products, here ", n_products});
    return "";
  }
  if (node.op_type == "Gemm") {
    if (weight.shape.size() != 2) return "its weight is no matrix";
    if (node.attr_i("transA", 0) != 0) return "its input is transposed";
    if (node.attr_f("beta", 1.0f) != 1.0f && bias == nullptr) return "its bias is scaled and no constant";
    return "";
  }
  return concat({"no dynamic form of ", node.op_type});
}

Node DynamicNodes::node_of(std::string op_type, const std::string& wish, std::vector<std::string> inputs,
                           std::vector<std::string> outputs) {
  Node node;
  node.name = names_.fresh(wish);
  node.op_type = std::move(op_type);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  return node;
}

std::string DynamicNodes::constant(DynamicNode& made, const std::string& wish, Tensor tensor) {
  made.records.push_back(TensorRecord::of(names_.fresh(wish), std::move(tensor)));
  return made.records.back().name;
}

/// Per token: scale = max(max|row| / 127, 2^-100), codes = saturate(round_half_even(row / scale) + 128). So a row of zeros has the
/// codes of zeros.
const DynamicNodes::Activation& DynamicNodes::quantized(const void* scope, const std::string& value, bool is_per_token,
                                                        DynamicNode& made) {
  const auto [found, is_new] = activations_.try_emplace({{scope, is_per_token}, value});
  Activation& activation = found->second;
  if (!is_new) return activation;
  activation = {names_.fresh(concat({value, "_quantized"})), names_.fresh(concat({value, "_scale"})), ""};
  std::vector<Node>& nodes = quantize_nodes_[activation.codes];
  const auto add = [&](const char* op_type, std::vector<std::string> inputs, std::vector<std::string> outputs) -> Node& {
    nodes.push_back(node_of(op_type, concat({value, "_", op_type}), std::move(inputs), std::move(outputs)));
    return nodes.back();
  };
  if (!is_per_token) {
    activation.zero_point = names_.fresh(concat({value, "_zero_point"}));
    add("DynamicQuantizeLinear", {value}, {activation.codes, activation.scale, activation.zero_point});
    return activation;
  }
  const auto number = [&](const char* wish, float real) { return constant(made, concat({value, wish}), Tensor::scalar(real)); };
  const auto between = [&](const char* op_type, std::vector<std::string> inputs) -> Node& {
    return add(op_type, std::move(inputs), {names_.fresh(concat({value, "_", op_type}))});
  };
  Node& largest = between("ReduceMax", {between("Abs", {value}).outputs[0]});
  if (opset_ < kAxesAsInput)
    largest.set(Attribute::of_ints("axes", {-1}));
  else
    largest.inputs.push_back(constant(made, concat({value, "_axes"}), Tensor::of<std::int64_t>({1}, {-1})));
  const std::string ideal = between("Div", {largest.outputs[0], number("_steps", 127.0f)}).outputs[0];
  add("Max", {ideal, number("_least", static_cast<float>(SymmetricScale::kMinScale))}, {activation.scale});
  const std::string steps = between("Div", {value, activation.scale}).outputs[0];
  activation.zero_point = constant(made, concat({value, "_zero_point"}), Tensor::scalar(std::uint8_t{128}));
  add("QuantizeLinear", {steps, number("_one", 1.0f), activation.zero_point}, {activation.codes});
  return activation;
}

std::vector<Node> DynamicNodes::take_quantize_nodes(const std::string& codes) {
  return std::exchange(quantize_nodes_[codes], {});
}

TensorScheme dynamic_weight_scheme(const Recipe& recipe, DType dtype) {
  TensorScheme scheme = recipe.weight;
  scheme.narrow_range |= !scheme.is_symmetric;
  scheme.is_symmetric = true;
  scheme.dtype = dtype;
  scheme.bits = 0;
  if (scheme.grain != TensorScheme::Grain::per_tensor) scheme.grain = TensorScheme::Grain::per_channel;
  return scheme;
}

const DynamicNodes::StoredWeight* DynamicNodes::stored(const void* home, const Node& node, const TensorRecord& weight,
                                                       DynamicNode& made) {
  const bool is_conv = node.op_type == "Conv";
  const bool is_flipped = node.op_type == "Gemm" && node.attr_i("transB", 0) != 0;
  const auto [found, is_new] = weights_.try_emplace({home, concat({weight.name, (is_conv      ? "/conv"
                                                                                 : is_flipped ? "/transposed"
                                                                                              : "")})});
  StoredWeight& stored = found->second;
  if (is_new) {
    Tensor values = weight.load();
    if (is_flipped) values = transposed(values);
    // onnxruntime-web runs Conv by uint8 faster.
    TensorScheme scheme = dynamic_weight_scheme(recipe_, is_conv || recipe_.weight.dtype == DType::u8 ? DType::u8 : DType::i8);
    if (!is_conv && values.rank() > 2) scheme.grain = TensorScheme::Grain::per_tensor;
    const QuantizedTensor codes = quantize_weight_tensor(values, scheme, is_conv ? 0 : 1);
    if (codes.n_not_finite == 0)
      stored = {constant(made, concat({weight.name, "_quantized"}), codes.codes), codes.params, values.shape()};
  }
  return stored.codes.empty() ? nullptr : &stored;
}

void DynamicNodes::rescale(DynamicNode& made, const std::string& node, const std::string& acc, const Activation& activation,
                           Tensor scales, const std::string& bias, const std::string& output) {
  const std::string weight_scale = constant(made, concat({node, "_weight_scale"}), std::move(scales));
  const std::string as_float = names_.fresh(concat({node, "_acc_float"}));
  const std::string scale = names_.fresh(concat({node, "_scale"}));
  made.nodes.push_back(node_of("Cast", concat({node, "_Cast"}), {acc}, {as_float}));
  made.nodes.back().set(Attribute::of_int("to", kOnnxFloat));
  made.nodes.push_back(node_of("Mul", concat({node, "_scales_Mul"}), {activation.scale, weight_scale}, {scale}));
  const std::string product = bias.empty() ? output : names_.fresh(concat({node, "_product"}));
  made.nodes.push_back(node_of("Mul", concat({node, "_Mul"}), {as_float, scale}, {product}));
  if (!bias.empty()) made.nodes.push_back(node_of("Add", concat({node, "_Add"}), {product, bias}, {output}));
}

DynamicNode DynamicNodes::make(const void* scope, const void* home, const WeightUse& use, const TensorRecord& weight,
                               const TensorRecord* bias) {
  const Node& node = *use.node;
  const std::string key = node_key(node);
  const bool is_conv = node.op_type == "Conv";
  DynamicNode made;
  const StoredWeight* codes = stored(home, node, weight, made);
  if (codes == nullptr) return {};
  made.params = codes->params;
  // The plan speaks of the weight as the input has it.
  if (auto* channels = std::get_if<PerChannel>(&made.params.granularity); channels != nullptr && node.op_type == "Gemm")
    channels->axis = node.attr_i("transB", 0) != 0 ? 0 : 1;
  const bool is_per_channel = !std::holds_alternative<PerTensor>(codes->params.granularity);

  const bool is_per_token = !is_conv && recipe_.activation.grain == TensorScheme::Grain::per_token;
  const Activation& activation = quantized(scope, node.inputs[0], is_per_token, made);
  const std::string zero_point = constant(
      made, concat({key, "_weight_zero_point"}),
      codes->params.dtype == DType::u8 ? Tensor::scalar(static_cast<std::uint8_t>(128)) : Tensor::scalar(std::int8_t{0}));
  const std::string acc = names_.fresh(concat({key, "_acc"}));
  Node product = node_of(is_conv ? "ConvInteger" : "MatMulInteger", concat({key, "_integer"}),
                         {activation.codes, codes->codes, activation.zero_point, zero_point}, {acc});
  if (is_conv) product.attributes = node.attributes;
  made.nodes.push_back(std::move(product));

  Shape scale_shape;
  if (is_per_channel) scale_shape = {static_cast<std::int64_t>(codes->params.scales.size())};
  if (is_conv && is_per_channel) {
    scale_shape.insert(scale_shape.begin(), 1);
    scale_shape.resize(codes->shape.size(), 1);
  }
  Tensor scales = scales_of(codes->params, scale_shape);
  std::string bias_name = node.inputs.size() > 2 ? node.inputs[2] : "";
  if (node.op_type == "Gemm") {
    scales = scaled(scales, node.attr_f("alpha", 1.0f));
    const float beta = node.attr_f("beta", 1.0f);
    if (beta == 0.0f) bias_name.clear();
    if (!bias_name.empty() && beta != 1.0f) bias_name = constant(made, concat({key, "_bias"}), scaled(bias->load(), beta));
  } else if (is_conv && !bias_name.empty()) {
    Shape shape(codes->shape.size(), 1);
    shape[1] = codes->shape[0];
    if (bias != nullptr) {
      bias_name = constant(made, concat({key, "_bias"}), bias->load().reshaped(shape));
    } else {
      const std::string target =
          constant(made, concat({key, "_bias_shape"}),
                   Tensor::of<std::int64_t>({static_cast<std::int64_t>(shape.size())}, std::span<const std::int64_t>(shape)));
      const std::string reshaped = names_.fresh(concat({key, "_bias"}));
      made.nodes.push_back(node_of("Reshape", concat({key, "_bias_Reshape"}), {bias_name, target}, {reshaped}));
      bias_name = reshaped;
    }
  }
  rescale(made, key, acc, activation, std::move(scales), bias_name, node.outputs[0]);
  return made;
}

DynamicNode DynamicNodes::make_lstm(const Node& node, const TensorRecord& w, const TensorRecord& r) {
  DynamicNode made;
  const std::string key = node_key(node);
  Node dynamic = node;
  dynamic.op_type = "DynamicQuantizeLSTM";
  dynamic.domain = "com.microsoft";
  dynamic.remove("layout");
  dynamic.inputs.resize(8);
  for (const auto& [record, input, suffix] : {std::tuple(&w, std::size_t{1}, "_W"), std::tuple(&r, std::size_t{2}, "_R")}) {
    const Tensor stack = transposed_stack(record->load());  // [directions, inputs, 4 * hidden]
    const std::int64_t n_directions = stack.extent(0);
    const std::int64_t n_channels = stack.extent(2);
    const Shape one = {stack.extent(1), n_channels};
    const auto n = static_cast<std::size_t>(one[0] * one[1]);
    Tensor codes(DType::i8, stack.shape());
    Tensor scales(DType::f32, {n_directions, n_channels});
    for (std::int64_t d = 0; d < n_directions; ++d) {
      const auto from = static_cast<std::size_t>(d) * n;
      const Tensor direction = Tensor::of<float>(one, stack.data<float>().subspan(from, n));
      TensorScheme scheme = dynamic_weight_scheme(recipe_, DType::i8);
      scheme.grain = TensorScheme::Grain::per_channel;
      const QuantizedTensor part = quantize_weight_tensor(direction, scheme, 1);
      if (part.n_not_finite != 0) return {};
      std::copy(part.codes.bytes().begin(), part.codes.bytes().end(), codes.bytes().begin() + static_cast<std::ptrdiff_t>(from));
      std::copy(part.params.scales.begin(), part.params.scales.end(), scales.data<float>().begin() + d * n_channels);
      if (input != 1) continue;
      if (d == 0)
        made.params = part.params;
      else
        made.params.scales.insert(made.params.scales.end(), part.params.scales.begin(), part.params.scales.end());
    }
    if (made.params.scales.size() != made.params.zero_points.size()) made.params.zero_points.resize(made.params.scales.size());
    dynamic.inputs[input] = constant(made, concat({key, suffix, "_quantized"}), codes);
    dynamic.inputs.push_back(constant(made, concat({key, suffix, "_scale"}), scales));
    dynamic.inputs.push_back(constant(made, concat({key, suffix, "_zero_point"}), Tensor(DType::i8, {n_directions, n_channels})));
  }
  made.nodes.push_back(std::move(dynamic));
  return made;
}

}  // namespace bitwright
