#include "model/free_values.h"
#include "model/model.h"

namespace bitwright {

GraphIndex::GraphIndex(const Graph& graph) : graph_(graph) {
  for (std::size_t i = 0; i < graph.initializers.size(); ++i)
    entries_[graph.initializers[i].name].initializer = static_cast<std::int64_t>(i);
  for (const ValueInfo& input : graph.inputs) {
    Entry& entry = entries_[input.name];
    entry.is_input = entry.initializer < 0;
  }
  for (const ValueInfo& output : graph.outputs) entries_[output.name].is_output = true;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    const Node& node = graph.nodes[i];
    for (const std::string& output : node.outputs)
      if (!output.empty()) entries_[output].producer = index;
    for (const std::string& input : node.inputs)
      if (!input.empty()) entries_[input].consumers.push_back(index);
    for (const std::string_view value : free_values_of_subgraphs(node)) entries_[std::string(value)].consumers.push_back(index);
  }
}

const GraphIndex::Entry* GraphIndex::find(std::string_view value) const {
  const auto found = entries_.find(value);
  return found != entries_.end() ? &found->second : nullptr;
}

std::int64_t GraphIndex::producer(std::string_view value) const {
  const Entry* entry = find(value);
  return entry != nullptr ? entry->producer : -1;
}

std::span<const std::int64_t> GraphIndex::consumers(std::string_view value) const {
  const Entry* entry = find(value);
  return entry != nullptr ? std::span<const std::int64_t>(entry->consumers) : std::span<const std::int64_t>();
}

const TensorRecord* GraphIndex::initializer(std::string_view value) const {
  const std::int64_t index = initializer_index(value);
  return index >= 0 ? &graph_.initializers[static_cast<std::size_t>(index)] : nullptr;
}

std::int64_t GraphIndex::initializer_index(std::string_view value) const {
  const Entry* entry = find(value);
  return entry != nullptr ? entry->initializer : -1;
}

bool GraphIndex::is_graph_output(std::string_view value) const {
  const Entry* entry = find(value);
  return entry != nullptr && entry->is_output;
}

bool GraphIndex::is_graph_input(std::string_view value) const {
  const Entry* entry = find(value);
  return entry != nullptr && entry->is_input;
}

}  // namespace bitwright
