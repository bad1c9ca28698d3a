#include "engine/attribute_binding.h"

#include <algorithm>

namespace bitwright {

namespace {

bool has_references(const Graph& graph) { return std::any_of(graph.nodes.begin(), graph.nodes.end(), has_attribute_references); }

std::shared_ptr<Graph> resolve(const Graph& graph, const AttributeBinding& binding) {
  auto resolved = std::make_shared<Graph>(graph);
  for (Node& node : resolved->nodes)
    if (has_attribute_references(node)) node = resolve_attributes(node, binding);
  return resolved;
}

}  // namespace

AttributeBinding bind_attributes(const Function& function, const Node& call) {
  AttributeBinding binding;
  for (const Attribute& attribute : function.attribute_defaults) binding.insert_or_assign(attribute.name, attribute);
  for (const Attribute& attribute : call.attributes) binding.insert_or_assign(attribute.name, attribute);
  return binding;
}

bool has_attribute_references(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(), [](const Attribute& attribute) {
    return !attribute.ref_attr_name.empty() || (attribute.g && has_references(*attribute.g)) ||
           std::any_of(attribute.graphs.begin(), attribute.graphs.end(),
                       [](const std::shared_ptr<Graph>& graph) { return graph && has_references(*graph); });
  });
}

Node resolve_attributes(const Node& node, const AttributeBinding& binding) {
  Node resolved = node;
  resolved.attributes.clear();
  for (const Attribute& attribute : node.attributes) {
    Attribute copy = attribute;
    if (!attribute.ref_attr_name.empty()) {
      const auto bound = binding.find(attribute.ref_attr_name);
      if (bound == binding.end()) continue;
      copy = bound->second;
      copy.name = attribute.name;
    }
    if (copy.g) copy.g = resolve(*copy.g, binding);
    for (auto& graph : copy.graphs)
      if (graph) graph = resolve(*graph, binding);
    resolved.attributes.push_back(std::move(copy));
  }
  return resolved;
}

}  // namespace bitwright
