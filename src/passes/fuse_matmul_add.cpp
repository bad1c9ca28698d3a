#include "passes/fuse_matmul_add.h"

#include "base/text.h"
#include "passes/graph_edit.h"

namespace bitwright {

PassResult fuse_matmul_add(Model& model, const ValueTypes& types) {
  Graph& graph = model.graph;
  const GraphIndex index(graph);
  PassResult result;
  // Before opset 11, Gemm wants a bias; before 7, a broadcast attribute. Both are there or older than we write.
  if (model.opset() < 7) return result;
  std::vector<bool> is_dead(graph.nodes.size(), false);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    if (!node.domain.empty() || node.op_type != "MatMul" || node.inputs.size() != 2) continue;
    const auto left = types.find(node.inputs[0]);
    const TensorRecord* weight = index.initializer(node.inputs[1]);
    const std::string value = node.outputs[0];
    if (left == types.end() || left->second.dtype != DType::f32 || !left->second.shape || left->second.shape->size() != 2)
      continue;
    if (weight == nullptr || weight->dtype != DType::f32 || weight->shape.size() != 2) continue;
    if (index.consumers(value).size() != 1 || index.is_graph_output(value)) continue;
    const auto j = static_cast<std::size_t>(index.consumers(value)[0]);
    const Node& add = graph.nodes[j];
    if (!add.domain.empty() || add.op_type != "Add" || add.inputs.size() != 2) continue;
    const std::string& other = add.inputs[add.inputs[0] == value ? 1 : 0];
    const TensorRecord* bias = index.initializer(other);
    const std::int64_t n = weight->shape[1];
    if (bias == nullptr || bias->dtype != DType::f32 || (bias->shape != Shape{n} && bias->shape != Shape{1, n})) continue;
    result.removed.push_back(removed_node(add, concat({"became the bias of ", node.label()})));
    node.op_type = "Gemm";
    node.inputs.push_back(other);
    node.outputs[0] = add.outputs[0];
    is_dead[j] = true;
    ++result.n_changes;
  }
  if (result.n_changes == 0) return result;
  erase_nodes(graph, is_dead);
  result.messages.push_back(concat(
      {result.n_changes, (result.n_changes == 1 ? " MatMul and Add became Gemm" : " pairs of MatMul and Add became Gemm")}));
  return result;
}

}  // namespace bitwright
