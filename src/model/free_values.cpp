#include "model/free_values.h"

#include <set>

namespace bitwright {

std::vector<std::string_view> free_values(const Graph& graph) {
  std::set<std::string_view> seen{""};
  for (const ValueInfo& input : graph.inputs) seen.insert(input.name);
  for (const TensorRecord& record : graph.initializers) seen.insert(record.name);
  for (const Node& node : graph.nodes)
    for (const std::string& output : node.outputs) seen.insert(output);
  std::vector<std::string_view> free;
  const auto use = [&](std::string_view value) {
    if (seen.insert(value).second) free.push_back(value);
  };
  for (const Node& node : graph.nodes) {
    for (const std::string& input : node.inputs) use(input);
    for (const std::string_view value : free_values_of_subgraphs(node)) use(value);
  }
  for (const ValueInfo& output : graph.outputs) use(output.name);
  return free;
}

std::vector<std::string_view> free_values_of_subgraphs(const Node& node) {
  std::vector<std::string_view> free;
  for (const Attribute& attribute : node.attributes) {
    const auto append = [&](const Graph& graph) {
      const auto values = free_values(graph);
      free.insert(free.end(), values.begin(), values.end());
    };
    if (attribute.g) append(*attribute.g);
    for (const auto& graph : attribute.graphs) append(*graph);
  }
  return free;
}

}  // namespace bitwright
