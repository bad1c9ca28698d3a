#include "passes/graph_edit.h"

#include <algorithm>

#include "base/error.h"

namespace bitwright {

namespace {

/// Files nest a few levels at most (the deepest known loop body has 3); readers refuse far less than this.
constexpr int kMaxDepth = 64;

template <typename Visit>
void for_each_subgraph(Node& node, const Visit& visit) {
  for (Attribute& attribute : node.attributes) {
    if (attribute.g) visit(attribute.g);
    for (std::shared_ptr<Graph>& graph : attribute.graphs)
      if (graph) visit(graph);
  }
}

void own_nodes(std::vector<Node>& nodes, int depth) {
  if (depth > kMaxDepth) throw_error(ErrorCode::limit_exceeded, {"subgraphs nest deeper than ", kMaxDepth, " levels"});
  for (Node& node : nodes)
    for_each_subgraph(node, [&](std::shared_ptr<Graph>& graph) {
      graph = std::make_shared<Graph>(*graph);
      own_nodes(graph->nodes, depth + 1);
    });
}

void visit_inner(Graph& graph, FunctionRef<void(Graph&)> visit) {
  visit(graph);
  for (Node& node : graph.nodes) for_each_subgraph(node, [&](std::shared_ptr<Graph>& inner) { visit_inner(*inner, visit); });
}

/// True if the graph makes or takes a value of this name itself, which hides the outer one.
bool hides(const Graph& graph, const std::string& name) {
  for (const ValueInfo& input : graph.inputs)
    if (input.name == name) return true;
  for (const TensorRecord& record : graph.initializers)
    if (record.name == name) return true;
  for (const Node& node : graph.nodes)
    if (std::find(node.outputs.begin(), node.outputs.end(), name) != node.outputs.end()) return true;
  return false;
}

}  // namespace

bool is_onnx(const Node& node, std::string_view op_type) { return node.domain.empty() && node.op_type == op_type; }

namespace {
const std::string& name_at(const std::vector<std::string>& names, std::size_t i) {
  static const std::string kNone;
  return i < names.size() ? names[i] : kNone;
}
}  // namespace

const std::string& input_of(const Node& node, std::size_t i) { return name_at(node.inputs, i); }
const std::string& output_of(const Node& node, std::size_t i) { return name_at(node.outputs, i); }

void own_subgraphs(Model& model) {
  own_nodes(model.graph.nodes, 0);
  for (Function& function : model.functions) own_nodes(function.nodes, 0);
}

void visit_graphs(Model& model, FunctionRef<void(Graph&)> visit) { visit_inner(model.graph, visit); }

void rename_uses(Node& node, Renaming renaming) {
  const auto rename = [](std::string& name, Renaming by) {
    if (const std::string* other = by(name)) name = *other;
  };
  for (std::string& input : node.inputs) rename(input, renaming);
  for_each_subgraph(node, [&](std::shared_ptr<Graph>& graph) {
    const auto inner = [&](const std::string& name) {
      const std::string* other = renaming(name);
      return other != nullptr && hides(*graph, name) ? nullptr : other;
    };
    for (ValueInfo& output : graph->outputs) rename(output.name, inner);
    for (Node& reader : graph->nodes) rename_uses(reader, inner);
  });
}

const std::string* latest_name(const NewNames& names, const std::string& name) {
  const std::string* latest = nullptr;
  for (auto found = names.find(name); found != names.end(); found = names.find(*latest)) latest = &found->second;
  return latest;
}

void rename_uses(Graph& graph, const NewNames& names) {
  for (Node& node : graph.nodes) rename_uses(node, [&](const std::string& name) { return latest_name(names, name); });
}

void erase_nodes(Graph& graph, const std::vector<bool>& is_dead) {
  std::vector<Node> kept;
  kept.reserve(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    if (!is_dead[i]) kept.push_back(std::move(graph.nodes[i]));
  graph.nodes = std::move(kept);
}

void erase_initializers(Graph& graph, const std::set<std::string>& names) {
  std::erase_if(graph.initializers, [&](const TensorRecord& record) { return names.contains(record.name); });
  std::erase_if(graph.inputs, [&](const ValueInfo& input) { return names.contains(input.name); });
}

std::optional<std::vector<float>> small_constant(const GraphIndex& index, std::string_view name, std::int64_t max_elements) {
  const TensorRecord* record = name.empty() ? nullptr : index.initializer(name);
  if (record == nullptr || record->dtype == DType::string || n_elements(record->shape) > max_elements) return std::nullopt;
  return to_f32_vector(record->load());
}

NodeDecision removed_node(const Node& node, std::string reason) {
  return {node_key(node), node.op_type, node.domain, "", false, "folded", std::move(reason)};
}

}  // namespace bitwright
