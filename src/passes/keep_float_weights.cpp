#include "passes/keep_float_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "passes/clean_graph.h"
#include "passes/dequantize_node.h"

namespace bitwright {

namespace {

bool is_made_by(const Graph& graph, const GraphIndex& index, std::string_view value, std::string_view op_type) {
  const std::int64_t producer = index.producer(value);
  return producer >= 0 && graph.nodes[static_cast<std::size_t>(producer)].op_type == op_type;
}

/// QuantizeLinear alone reads the value, or what Relus and Clips make of it.
bool ends_in_codes(const Graph& graph, const GraphIndex& index, std::string_view value) {
  for (;;) {
    const auto consumers = index.consumers(value);
    if (consumers.size() != 1 || index.is_graph_output(value)) return false;
    const Node& reader = graph.nodes[static_cast<std::size_t>(consumers[0])];
    if (reader.op_type == "QuantizeLinear") return true;
    if (reader.op_type != "Relu" && reader.op_type != "Clip") return false;
    value = reader.outputs[0];
  }
}

bool is_exposed(const Graph& graph, const GraphIndex& index, const Node& node) {
  if (!node.domain.empty() || (node.op_type != "Conv" && node.op_type != "ConvTranspose" && node.op_type != "Gemm")) return false;
  if (node.inputs.size() < 2 || node.outputs.size() != 1) return false;
  const TensorRecord* weight = index.initializer(node.inputs[1]);
  if (weight == nullptr || weight->dtype != DType::f32 || weight->shape.size() < 2) return false;
  if (node.inputs.size() > 2 && !node.inputs[2].empty()) {
    const TensorRecord* bias = index.initializer(node.inputs[2]);
    if (bias == nullptr || bias->dtype != DType::f32 || bias->shape.size() != 1) return false;
  }
  return is_made_by(graph, index, node.inputs[0], "DequantizeLinear") && ends_in_codes(graph, index, node.outputs[0]);
}

std::int64_t n_outputs(const Node& node, const Shape& weight) {
  if (node.op_type == "ConvTranspose") return weight[1] * node.attr_i("group", 1);
  return weight[node.op_type == "Gemm" && node.attr_i("transB", 0) == 0 ? 1 : 0];
}

std::vector<float> bias_of(const Node& node, const GraphIndex& index) {
  if (node.inputs.size() > 2 && !node.inputs[2].empty()) return to_f32_vector(index.initializer(node.inputs[2])->load());
  return std::vector<float>(static_cast<std::size_t>(n_outputs(node, index.initializer(node.inputs[1])->shape)), 0.0f);
}

/// A DequantizeLinear that gives exactly these values, and its records.
Node exact_bias(const std::vector<float>& values, NameAllocator& names, std::vector<TensorRecord>& records) {
  constexpr int kSignificandBits = std::numeric_limits<float>::digits;
  constexpr int kMinExponent = std::numeric_limits<float>::min_exponent - 1;  // of the smallest normal scale
  const Shape shape{static_cast<std::int64_t>(values.size())};
  Tensor codes(DType::i32, shape);
  Tensor scales(DType::f32, shape);
  for (std::size_t i = 0; i < values.size(); ++i) {
    int exponent = 0;
    std::frexp(values[i], &exponent);
    const int scale = values[i] == 0.0f ? 0 : std::max(exponent - kSignificandBits, kMinExponent);
    codes.data<std::int32_t>()[i] = static_cast<std::int32_t>(std::lround(std::ldexp(static_cast<double>(values[i]), -scale)));
    scales.data<float>()[i] = std::ldexp(1.0f, scale);
  }
  records.push_back(TensorRecord::of(names.fresh("bias_quantized"), std::move(codes)));
  records.push_back(TensorRecord::of(names.fresh("bias_scale"), std::move(scales)));
  Node node;
  node.op_type = "DequantizeLinear";
  node.inputs = {records[records.size() - 2].name, records.back().name};
  node.outputs = {names.fresh("bias_dequantized")};
  node.set(Attribute::of_int("axis", 0));
  return node;
}

}  // namespace

PassResult keep_float_weights(Model& model, const Recipe& recipe) {
  PassResult result;
  if (recipe.target == Target::portable) return result;
  Graph& graph = model.graph;
  const GraphIndex index(graph);
  NameAllocator names(model);
  std::vector<TensorRecord> records;
  std::vector<Node> nodes;
  TensorScheme per_channel = recipe.weight;
  per_channel.dtype = DType::i8;
  per_channel.grain = TensorScheme::Grain::per_channel;
  for (Node& node : graph.nodes) {
    if (is_exposed(graph, index, node)) {
      std::vector<float> bias = bias_of(node, index);
      if (std::all_of(bias.begin(), bias.end(), [](float value) { return std::isfinite(value); })) {
        Node dequantize = exact_bias(bias, names, records);
        dequantize.domain = dequantize_domain(model, per_channel, recipe.target);
        node.inputs.resize(3);
        node.inputs[2] = dequantize.outputs[0];
        nodes.push_back(std::move(dequantize));
        ++result.n_changes;
      }
    }
    nodes.push_back(node);
  }
  if (result.n_changes == 0) return result;
  graph.nodes = std::move(nodes);
  std::move(records.begin(), records.end(), std::back_inserter(graph.initializers));
  remove_unused(model);
  result.messages.push_back(concat({result.n_changes,
                                    (result.n_changes == 1 ? " float layer lies between codes: its bias is"
                                                           : " float layers lie between codes: their biases are"),
                                    " stored as exact int32 codes, or onnxruntime would round the weights to 8 bits"}));
  return result;
}

}  // namespace bitwright
