#include "passes/fuse_integer_patterns.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/sorted_order.h"
#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "ops/fused.h"
#include "ops/refusal.h"
#include "passes/graph_edit.h"
#include "quant/rounding.h"

namespace bitwright {

namespace {

bool is_one_of(const Node& node, std::initializer_list<std::string_view> op_types) {
  return node.domain.empty() && std::find(op_types.begin(), op_types.end(), node.op_type) != op_types.end();
}

/// Functions of one value, element by element, alone or with constants.
bool is_elementwise(const Node& node) {
  return is_one_of(node,
                   {"Abs",     "Add",   "Celu", "Ceil",        "Clip",      "Cos",        "Div",  "Elu",   "Erf",
                    "Exp",     "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu",  "Log",  "Max",   "Min",
                    "Mish",    "Mul",   "Neg",  "PRelu",       "Pow",       "Reciprocal", "Relu", "Round", "Selu",
                    "Sigmoid", "Sign",  "Sin",  "Softplus",    "Softsign",  "Sqrt",       "Sub",  "Tanh",  "ThresholdedRelu"}) ||
         (node.domain == "com.microsoft" && (node.op_type == "Gelu" || node.op_type == "QuickGelu"));
}

}  // namespace

bool is_quantize(const Node& node) { return node.op_type == "QuantizeLinear"; }
bool is_dequantize(const Node& node) { return node.op_type == "DequantizeLinear"; }

/// Relu and Clip in front of a QuantizeLinear leave a range of its codes.
bool IntegerPatterns::clips(const Node& node, FusedGroup& group) const {
  float low = -INFINITY, high = INFINITY;
  if (is_onnx(node, "Relu")) {
    low = 0.0f;
  } else if (is_onnx(node, "Clip")) {
    low = node.attr_f("min", low);
    high = node.attr_f("max", high);
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (input_of(node, i).empty()) continue;
      const auto bound = constant(input_of(node, i));
      if (!bound || bound->size() != 1) return false;
      (i == 1 ? low : high) = (*bound)[0];
    }
    if (!(low <= high)) return false;
  } else {
    return false;
  }
  const auto code = [&](float real) {
    const float steps = real / group.output.scale + static_cast<float>(group.output.zero_point);
    return static_cast<std::int32_t>(round_half_even(std::clamp(static_cast<double>(steps), 0.0, 255.0)));
  };
  group.qmin = code(low);
  group.qmax = code(high);
  return true;
}

/// The group whose core the node is, with inputs, weights and bias.
std::optional<FusedGroup> IntegerPatterns::core_group(const Node& node) const {
  FusedGroup group;
  const auto inputs = [&](Fused kind, std::size_t n) -> std::optional<FusedGroup> {
    if (node.inputs.size() < n || node.outputs.size() != 1) return std::nullopt;
    for (std::size_t i = 0; i < n; ++i) {
      std::optional<CodedOperand> read = operand(input_of(node, i));
      if (!read) return std::nullopt;
      group.inputs.push_back(std::move(*read));
    }
    group.kind = kind;
    return group;
  };
  const auto first_rank = [&] { return rank(input_of(node, 0)) >= 0 ? rank(input_of(node, 0)) : rank(group.inputs[0].codes); };
  if (is_onnx(node, "Conv")) {
    if (!inputs(Fused::conv, 1) || !(group.weights = weights(input_of(node, 1), 0))) return std::nullopt;
    if (!set_bias(node, input_of(node, 2), group.weights->record->shape[0], group) || !fits_int32(group, 0)) return std::nullopt;
    return group;
  }
  if (is_onnx(node, "Gemm")) {
    if (node.attr_i("transA", 0) != 0 || node.attr_f("alpha", 1.0f) != 1.0f || !inputs(Fused::gemm, 1)) return std::nullopt;
    group.is_transposed = node.attr_i("transB", 0) != 0;
    if (!input_of(node, 2).empty() && node.attr_f("beta", 1.0f) != 1.0f) return std::nullopt;
    const std::int64_t axis = group.is_transposed ? 0 : 1;
    if (!(group.weights = weights(input_of(node, 1), axis)) || group.weights->record->shape.size() != 2) return std::nullopt;
    if (!set_bias(node, input_of(node, 2), group.weights->record->shape[static_cast<std::size_t>(axis)], group))
      return std::nullopt;
    if (!fits_int32(group, static_cast<std::size_t>(axis))) return std::nullopt;
    return group;
  }
  if (is_onnx(node, "MatMul")) {
    if ((group.weights = weights(input_of(node, 1), 1))) {
      if (!inputs(Fused::gemm, 1) || group.weights->record->shape.size() != 2 || !fits_int32(group, 1)) return std::nullopt;
      return group;
    }
    return inputs(Fused::matmul, 2) && is_product_of_two(group) ? std::optional(group) : std::nullopt;
  }
  if (is_onnx(node, "Add")) return inputs(Fused::add, 2);
  if (is_onnx(node, "Mul")) return inputs(Fused::mul, 2);
  if (is_onnx(node, "Concat")) return inputs(Fused::concat, node.inputs.size());
  if (is_onnx(node, "MaxPool") || is_onnx(node, "GlobalMaxPool")) {
    if (node.attr_i("storage_order", 0) != 0 || !inputs(Fused::max_pool, 1) || first_rank() < 3) return std::nullopt;
    return group;
  }
  if (is_onnx(node, "AveragePool") || is_onnx(node, "GlobalAveragePool")) {
    if (node.attr_i("ceil_mode", 0) != 0 && node.attr_i("count_include_pad", 0) != 0) return std::nullopt;
    if (!inputs(Fused::average_pool, 1) || first_rank() < 3) return std::nullopt;
    return group;
  }
  if (is_onnx(node, "ReduceMean")) {
    std::vector<std::int64_t> axes = node.attr_ints("axes");
    if (node.inputs.size() > 1) {
      const auto said = constant(input_of(node, 1));
      if (!said || index_.initializer(input_of(node, 1))->dtype != DType::i64) return std::nullopt;
      axes.assign(said->begin(), said->end());
    }
    if (!inputs(Fused::average_pool, 1) || first_rank() < 3) return std::nullopt;
    std::set<std::int64_t> spatial;
    for (const std::int64_t axis : axes) spatial.insert(axis < 0 ? axis + first_rank() : axis);
    for (std::int64_t axis = 2; axis < first_rank(); ++axis)
      if (spatial.erase(axis) == 0) return std::nullopt;
    if (!spatial.empty()) return std::nullopt;
    return group;
  }
  if (is_onnx(node, "Softmax") && inputs(Fused::softmax, 1)) {
    // Rows are the last axis, in the graph's layout or channels last; before opset 13 all axes from the given one are one.
    std::int64_t axis = node.attr_i("axis", opset_ < 13 ? 1 : -1);
    if (axis < 0) axis += first_rank();
    if (first_rank() < 1 || (axis != first_rank() - 1 && (opset_ < 13 || axis != 1))) return std::nullopt;
    return group;
  }
  if (is_onnx(node, "LayerNormalization")) {
    const std::int64_t axis = node.attr_i("axis", -1);
    const std::string beta = input_of(node, 2);
    if (!inputs(Fused::layer_norm, 1) || (axis != -1 && axis != first_rank() - 1)) return std::nullopt;
    if (!constant(input_of(node, 1)) || (!beta.empty() && !constant(beta))) return std::nullopt;
    return group;
  }
  if (is_one_of(node, {"Pad", "Slice", "Resize", "Upsample"}) && is_pixel_move(node)) return inputs(Fused::pixels, 1);
  if (is_one_of(node, {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Expand", "Tile",
                       "DepthToSpace", "SpaceToDepth"}))
    return inputs(Fused::move, 1);
  return std::nullopt;
}

bool IntegerPatterns::is_product_of_two(FusedGroup& group) const {
  for (const CodedOperand& operand : group.inputs)
    if (operand.constant != nullptr || rank(operand.codes) < 2) return false;
  const CodedOperand& right = group.inputs[1];
  group.weights = CodedWeights{.codes = right.codes, .scales = {right.scale}, .zero_points = {right.zero_point}};
  const auto a = shape(group.inputs[0].codes);
  return !a || a->back() <= kMaxMatMulK;
}

bool IntegerPatterns::is_pixel_move(const Node& node) const {
  const auto from = shape(input_of(node, 0)), to = shape(output_of(node));
  if (!from || !to || from->size() < 3 || to->size() != from->size() || (*from)[0] != (*to)[0] || (*from)[1] != (*to)[1])
    return false;
  for (std::size_t i = 1; i < node.inputs.size(); ++i)
    if (!input_of(node, i).empty() && index_.initializer(input_of(node, i)) == nullptr) return false;
  constexpr std::int64_t kMaxIndex = 1 << 23;  // numbers up to here are exact floats
  if (n_elements(*to) > kMaxIndex || n_elements(*from) > kMaxIndex || n_elements(*from) == 0) return false;
  if (node.op_type == "Resize" || node.op_type == "Upsample")  // cropping would fill with a value of its own
    return node.attr_s("mode", "nearest") == "nearest" &&
           node.attr_s("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize";
  if (node.op_type != "Pad") return true;
  const std::string mode = node.attr_s("mode", "constant");
  if (mode != "constant") return mode == "reflect" || mode == "edge";
  const auto fill = node.inputs.size() > 2 && !input_of(node, 2).empty() ? constant(input_of(node, 2)) : std::nullopt;
  return node.attr_f("value", 0.0f) == 0.0f && (!fill || (fill->size() == 1 && (*fill)[0] == 0.0f));  // real 0 has a code
}

/// Nodes between one coded value and a QuantizeLinear that compute a function of that value alone.
std::optional<FusedGroup> IntegerPatterns::lookup(const std::string& value, std::size_t quantize) const {
  constexpr std::size_t kMaxNodes = 32;
  FusedGroup group;
  group.kind = Fused::lookup;
  std::set<std::size_t> nodes;
  std::vector<std::string> open{value};
  while (!open.empty()) {
    const std::string at = std::move(open.back());
    open.pop_back();
    if (const auto values = constant(at)) {
      if (values->size() != 1) return std::nullopt;
      continue;
    }
    if (const std::optional<CodedOperand> read = operand(at)) {
      if (!group.inputs.empty() && (group.inputs[0].codes != read->codes || group.inputs[0].scale != read->scale ||
                                    group.inputs[0].zero_point != read->zero_point))
        return std::nullopt;
      if (group.inputs.empty()) group.inputs.push_back(*read);
      continue;
    }
    const std::int64_t made_by = index_.producer(at);
    if (made_by < 0) return std::nullopt;
    const auto i = static_cast<std::size_t>(made_by);
    const Node& node = graph_.nodes[i];
    if (!is_elementwise(node) || node.outputs.size() != 1) return std::nullopt;
    if (!nodes.insert(i).second) continue;
    if (nodes.size() > kMaxNodes) return std::nullopt;
    for (const std::string& input : node.inputs)
      if (!input.empty()) open.push_back(input);
  }
  if (group.inputs.empty() || nodes.empty() || group.inputs[0].constant != nullptr) return std::nullopt;
  const std::int64_t own_rank = rank(group.inputs[0].codes);
  for (const std::size_t i : nodes) {
    const std::string& made = output_of(graph_.nodes[i]);
    if (index_.is_graph_output(made) || (own_rank >= 0 && rank(made) > own_rank)) return std::nullopt;
    for (const std::int64_t reader : index_.consumers(made))
      if (nodes.count(static_cast<std::size_t>(reader)) == 0 && static_cast<std::size_t>(reader) != quantize) return std::nullopt;
  }
  group.nodes.assign(nodes.begin(), nodes.end());
  group.core = group.nodes.back();
  return group;
}

std::optional<FusedGroup> IntegerPatterns::behind(std::size_t at) {
  const Node& quantize = graph_.nodes[at];
  const std::optional<CodedOperand> output = quantized(quantize);
  if (!output) return std::nullopt;
  const std::string& value = input_of(quantize, 0);
  const std::int64_t last = index_.producer(value);
  if (last < 0 || !is_read_once(value)) return std::nullopt;
  const auto finished = [&](FusedGroup group) {
    group.at = at;
    group.output = *output;
    group.nodes.push_back(at);
    return group;
  };
  const Node& node = graph_.nodes[static_cast<std::size_t>(last)];
  FusedGroup bounds;
  bounds.output = *output;
  if (clips(node, bounds) && is_read_once(input_of(node, 0)) && index_.producer(input_of(node, 0)) >= 0) {
    const auto core = static_cast<std::size_t>(index_.producer(input_of(node, 0)));
    if (std::optional<FusedGroup> group = core_group(graph_.nodes[core]);
        group && group->kind != Fused::move && group->kind != Fused::concat) {
      group->core = core;
      group->nodes = {core, static_cast<std::size_t>(last)};
      group->qmin = bounds.qmin;
      group->qmax = bounds.qmax;
      return finished(std::move(*group));
    }
  }
  if (std::optional<FusedGroup> group = core_group(node)) {
    group->core = static_cast<std::size_t>(last);
    group->nodes = {group->core};
    return finished(std::move(*group));
  }
  if (std::optional<FusedGroup> group = lookup(value, at)) return finished(std::move(*group));
  return std::nullopt;
}

/// A layer whose result stays float: no QuantizeLinear reads it.
std::optional<FusedGroup> IntegerPatterns::product(std::size_t at) const {
  const Node& node = graph_.nodes[at];
  if (!is_one_of(node, {"Conv", "Gemm", "MatMul"})) return std::nullopt;
  std::optional<FusedGroup> group = core_group(node);
  if (!group) return std::nullopt;
  group->core = group->at = at;
  group->nodes = {at};
  group->gives_reals = true;
  return group;
}

std::optional<FusedGroup> IntegerPatterns::qlinear(std::size_t at) const {
  const Node& node = graph_.nodes[at];
  if (node.outputs.size() != 1) return std::nullopt;
  FusedGroup group;
  group.core = group.at = at;
  group.nodes = {at};
  const auto read = [&](std::size_t i) {  // codes, scale, zero point
    const auto operand = coded(node, input_of(node, i), input_of(node, i + 1), input_of(node, i + 2));
    if (operand) group.inputs.push_back(*operand);
    return operand.has_value();
  };
  const auto write = [&](std::size_t scale) {
    const auto operand = coded(node, output_of(node), input_of(node, scale), input_of(node, scale + 1));
    if (operand) group.output = *operand;
    return operand.has_value();
  };
  const auto kind = [&](Fused what, bool is_read) -> std::optional<FusedGroup> {
    group.kind = what;
    return is_read ? std::optional(group) : std::nullopt;
  };
  const std::string& op = node.op_type;
  if (node.domain.empty() && op == "QLinearConv") {
    group.weights = weights(node, input_of(node, 3), input_of(node, 4), input_of(node, 5), 0);
    return kind(Fused::conv, group.weights && read(0) && write(6) &&
                                 set_bias(node, input_of(node, 8), group.weights->record->shape[0], group));
  }
  if (op == "QLinearMatMul" && (node.domain.empty() || node.domain == "com.microsoft")) {
    group.weights = weights(node, input_of(node, 3), input_of(node, 4), input_of(node, 5), 1);
    if (!group.weights) return kind(Fused::matmul, read(0) && read(3) && write(6) && is_product_of_two(group));
    return kind(Fused::gemm, group.weights->record->shape.size() == 2 && read(0) && write(6));
  }
  if (node.domain != "com.microsoft" || node.attr_i("channels_last", 0) != 0) return std::nullopt;
  if (op == "QGemm") {
    if (node.attr_i("transA", 0) != 0 || node.attr_f("alpha", 1.0f) != 1.0f) return std::nullopt;
    group.is_transposed = node.attr_i("transB", 0) != 0;
    group.weights = weights(node, input_of(node, 3), input_of(node, 4), input_of(node, 5), group.is_transposed ? 0 : 1);
    if (!group.weights || group.weights->record->shape.size() != 2 || !read(0)) return std::nullopt;
    if (!set_bias(node, input_of(node, 6), group.weights->record->shape[group.is_transposed ? 0 : 1], group)) return std::nullopt;
    group.gives_reals = input_of(node, 7).empty();
    return kind(Fused::gemm, group.gives_reals || write(7));
  }
  if (op == "QLinearAdd") return kind(Fused::add, read(0) && read(3) && write(6));
  if (op == "QLinearMul") return kind(Fused::mul, read(0) && read(3) && write(6));
  if (op == "QLinearGlobalAveragePool" || op == "QLinearAveragePool")
    return kind(Fused::average_pool, rank(input_of(node, 0)) >= 3 && read(0) && write(3));
  if (op == "QLinearConcat") {
    bool is_read = write(0);
    for (std::size_t i = 2; i + 2 < node.inputs.size(); i += 3) is_read = is_read && read(i);
    return kind(Fused::concat, is_read && !group.inputs.empty());
  }
  return std::nullopt;
}

bool IntegerPatterns::take(const FusedGroup& group) {
  for (const std::size_t i : group.nodes)
    if (is_taken_[i] != 0) return false;
  for (const std::size_t i : group.nodes) is_taken_[i] = 1;
  return true;
}

std::vector<FusedGroup> IntegerPatterns::find() {
  is_taken_.assign(graph_.nodes.size(), 0);
  std::vector<FusedGroup> groups;
  const auto add = [&](std::optional<FusedGroup> group) {
    if (group && take(*group)) groups.push_back(std::move(*group));
  };
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
    if (is_quantize(graph_.nodes[i])) add(behind(i));
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (is_taken_[i] != 0) continue;
    add(qlinear(i));
    if (is_taken_[i] == 0) add(product(i));
  }
  sort_list(groups, [](const FusedGroup& a, const FusedGroup& b) { return a.at < b.at; });
  return groups;
}

std::string IntegerPatterns::reason(std::size_t i) const {
  const Node& node = graph_.nodes[i];
  bool reads_codes = false, reads_reals = false, is_quantized = false;
  for (const std::string& input : node.inputs) {
    if (input.empty() || index_.initializer(input) != nullptr) continue;
    (operand(input) ? reads_codes : reads_reals) = true;
  }
  for (const std::string& output : node.outputs)
    for (const std::int64_t reader : index_.consumers(output))
      is_quantized = is_quantized || is_quantize(graph_.nodes[static_cast<std::size_t>(reader)]);
  if (is_one_of(node, {"Conv", "Gemm", "MatMul"}) && operand(input_of(node, 0)) && !core_group(node))
    return "no integer kernel for its weights, its attributes or sums that could leave int32";
  if (!reads_codes) return "its inputs are not quantized";
  if (reads_reals) return "not all of its inputs are quantized";
  if (!is_quantized) return "its result is not quantized";
  return "no integer kernel for it";
}

}  // namespace bitwright
