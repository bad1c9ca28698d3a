#include "passes/fuse_float.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/text.h"
#include "kernels/gemm_i8_nbits/gemm_i8_nbits.h"
#include "ops/op.h"
#include "passes/graph_edit.h"

namespace bitwright {

namespace {

/// A bound of Clip: constant, or left out.
bool read_bound(const GraphIndex& index, const Node& clip, std::size_t input, std::string_view attribute, float& bound) {
  if (clip.has(attribute)) bound = clip.attr_f(attribute, bound);
  if (input_of(clip, input).empty()) return true;
  const std::optional<std::vector<float>> said = small_constant(index, clip.inputs[input], 1);
  if (said && said->size() == 1) bound = said->front();
  return said.has_value() && said->size() == 1;
}

/// The bounds of a Relu or Clip of floats, as FusedConv has them.
std::optional<std::vector<float>> clamp_of(const GraphIndex& index, const Node& node) {
  if (is_onnx(node, "Relu")) return std::vector<float>{};
  if (!is_onnx(node, "Clip")) return std::nullopt;
  std::vector<float> bounds{std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()};
  if (!read_bound(index, node, 1, "min", bounds[0]) || !read_bound(index, node, 2, "max", bounds[1])) return std::nullopt;
  return bounds;
}

/// The node that makes a value nobody else reads, if it is of this kind; -1 otherwise.
std::int64_t sole_producer(const Graph& graph, const GraphIndex& index, const std::string& value, std::string_view op_type) {
  const std::int64_t producer = index.producer(value);
  if (producer < 0 || !is_onnx(graph.nodes[static_cast<std::size_t>(producer)], op_type)) return -1;
  return index.consumers(value).size() == 1 && !index.is_graph_output(value) ? producer : -1;
}

struct Block {
  std::size_t dequantize;
  std::int64_t block_size;
};

/// The DequantizeLinear of a right operand that BlockMatMul can take.
std::optional<Block> block_operand(const Graph& graph, const GraphIndex& index, const std::string& value, bool is_transposed) {
  const std::int64_t producer = index.producer(value);
  if (producer < 0) return std::nullopt;
  const Node& node = graph.nodes[static_cast<std::size_t>(producer)];
  const std::int64_t block_size = node.attr_i("block_size", 0), k_axis = is_transposed ? 1 : 0;
  if (node.op_type != "DequantizeLinear" || block_size < 16 || block_size > kMaxNBitsBlock) return std::nullopt;
  const TensorRecord *codes = index.initializer(node.inputs[0]), *scale = index.initializer(node.inputs[1]);
  if (codes == nullptr || scale == nullptr || scale->dtype != DType::f32 || codes->shape.size() != 2) return std::nullopt;
  const std::int64_t axis = node.attr_i("axis", 1);
  if ((axis < 0 ? axis + 2 : axis) != k_axis) return std::nullopt;
  const DType dtype = codes->dtype;
  const bool is_integer = dtype == DType::i8 || dtype == DType::u8 || dtype == DType::i4 || dtype == DType::u4 ||
                          dtype == DType::i2 || dtype == DType::u2;
  if (!is_integer || (!input_of(node, 2).empty() && index.initializer(node.inputs[2]) == nullptr)) return std::nullopt;
  return Block{static_cast<std::size_t>(producer), block_size};
}

/// Gemm that only multiplies and adds a bias of one row.
bool is_plain_gemm(const GraphIndex& index, const Node& node) {
  if (!is_onnx(node, "Gemm") || node.attr_i("transA", 0) != 0 || node.attr_f("alpha", 1.0f) != 1.0f) return false;
  if (input_of(node, 2).empty()) return true;
  const TensorRecord* bias = index.initializer(node.inputs[2]);
  return node.attr_f("beta", 1.0f) == 1.0f && bias != nullptr && bias->dtype == DType::f32 && bias->shape.size() == 1 &&
         bias->shape[0] > 1;
}

/// Names of values, as a walk over the nodes finds them.
using ValueNames = std::set<std::string>;

/// True where nothing but -1, 0 and 1 can stand in the node's first output (NaN aside, which Sign hands on).
bool is_ternary(const GraphIndex& index, const Node& node, const ValueNames& ternary) {
  static constexpr std::string_view kMoving[] = {"Flatten", "Identity",  "MaxPool",  "Reshape",
                                                 "Squeeze", "Transpose", "Unsqueeze"};
  if (!node.domain.empty()) return false;
  if (std::binary_search(std::begin(kMoving), std::end(kMoving), std::string_view(node.op_type)))
    return ternary.contains(input_of(node, 0));
  if (node.op_type != "Where") return node.op_type == "Sign";
  const auto is_choice = [&](std::size_t input) {
    const std::optional<std::vector<float>> known = small_constant(index, input_of(node, input), 1);
    if (!known || known->size() != 1) return false;
    const float size = std::fabs(known->front());
    return size == 0.0f || size == 1.0f;
  };
  return is_choice(1) && is_choice(2);
}

}  // namespace

PassResult fuse_activations(Model& model) {
  Graph& graph = model.graph;
  const GraphIndex index(graph);
  PassResult result;
  std::vector<bool> is_dead(graph.nodes.size(), false);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const std::optional<std::vector<float>> bounds = clamp_of(index, node);
    if (!bounds) continue;
    const std::int64_t producer = sole_producer(graph, index, node.inputs[0], "Conv");
    if (producer < 0) continue;
    Node& conv = graph.nodes[static_cast<std::size_t>(producer)];
    conv.op_type = "FusedConv";
    conv.domain = "com.microsoft";
    conv.set(Attribute::of_string("activation", node.op_type));
    if (!bounds->empty()) conv.set(Attribute::of_floats("activation_params", *bounds));
    conv.outputs[0] = node.outputs[0];
    result.removed.push_back(removed_node(node, concat({"ends ", conv.label()})));
    is_dead[i] = true;
    ++result.n_changes;
  }
  if (result.n_changes == 0) return result;
  erase_nodes(graph, is_dead);
  if (model.opset("com.microsoft") == 0) model.set_opset("com.microsoft", 1);
  return result;
}

PassResult fuse_block_products(Model& model) {
  Graph& graph = model.graph;
  const GraphIndex index(graph);
  PassResult result;
  std::vector<bool> is_dead(graph.nodes.size(), false);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    const bool is_gemm = is_plain_gemm(index, node), is_transposed = is_gemm && node.attr_i("transB", 0) != 0;
    if (!is_gemm && !is_onnx(node, "MatMul")) continue;
    const std::string value = input_of(node, 1);
    const std::optional<Block> block = block_operand(graph, index, value, is_transposed);
    if (!block) continue;
    const Node& dequantize = graph.nodes[block->dequantize];
    node.inputs = {node.inputs[0], dequantize.inputs[0], dequantize.inputs[1], input_of(dequantize, 2), input_of(node, 2)};
    node.doc = node.label();
    node.op_type = "BlockMatMul";
    node.domain = kInternalDomain;
    node.attributes = {Attribute::of_int("block_size", block->block_size), Attribute::of_int("transB", is_transposed ? 1 : 0)};
    if (index.consumers(value).size() == 1 && !index.is_graph_output(value)) {
      result.removed.push_back(removed_node(dequantize, concat({"became a part of ", node.label()})));
      is_dead[block->dequantize] = true;
    }
    ++result.n_changes;
  }
  if (result.n_changes == 0) return result;
  erase_nodes(graph, is_dead);
  model.set_opset(kInternalDomain, 1);
  return result;
}

PassResult fuse_ternary_products(Model& model) {
  PassResult result;
  const auto begins = [](const Node& node) { return is_onnx(node, "Sign") || is_onnx(node, "Where"); };
  if (std::none_of(model.graph.nodes.begin(), model.graph.nodes.end(), begins)) return result;
  const GraphIndex index(model.graph);
  ValueNames ternary, constant;
  const auto is_constant = [&](const std::string& value) {
    return value.empty() || constant.contains(value) || index.initializer(value) != nullptr;
  };
  for (Node& node : model.graph.nodes) {
    if (is_ternary(index, node, ternary)) ternary.insert(output_of(node));
    if (!node.inputs.empty() && std::all_of(node.inputs.begin(), node.inputs.end(), is_constant))
      constant.insert(node.outputs.begin(), node.outputs.end());
    if (!is_plain_gemm(index, node) && !is_onnx(node, "MatMul") && !is_onnx(node, "Conv")) continue;
    if (!ternary.contains(input_of(node, 0)) || !is_constant(input_of(node, 1))) continue;
    node.doc = node.label();
    node.op_type = concat({"Ternary", node.op_type});
    node.domain = kInternalDomain;
    ++result.n_changes;
  }
  if (result.n_changes > 0) model.set_opset(kInternalDomain, 1);
  return result;
}

}  // namespace bitwright
