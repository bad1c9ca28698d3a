#include "base/text.h"
#include "model/model.h"

namespace bitwright {

namespace {

using Taken = std::map<std::string, std::int64_t, std::less<>>;

void take(Taken& taken, const Graph& graph);

void take(Taken& taken, const std::vector<Node>& nodes) {
  for (const Node& node : nodes) {
    taken.try_emplace(node.name, 0);
    for (const std::string& value : node.inputs) taken.try_emplace(value, 0);
    for (const std::string& value : node.outputs) taken.try_emplace(value, 0);
    for (const Attribute& attribute : node.attributes) {
      if (attribute.g) take(taken, *attribute.g);
      for (const auto& graph : attribute.graphs) take(taken, *graph);
    }
  }
}

void take(Taken& taken, const std::vector<ValueInfo>& values) {
  for (const ValueInfo& value : values) taken.try_emplace(value.name, 0);
}

void take(Taken& taken, const Graph& graph) {
  take(taken, graph.inputs);
  take(taken, graph.outputs);
  take(taken, graph.value_infos);
  for (const TensorRecord& record : graph.initializers) taken.try_emplace(record.name, 0);
  take(taken, graph.nodes);
}

}  // namespace

NameAllocator::NameAllocator(const Model& model) {
  taken_.try_emplace("", 0);
  take(taken_, model.graph);
  for (const Function& function : model.functions) {
    for (const std::string& name : function.inputs) taken_.try_emplace(name, 0);
    for (const std::string& name : function.outputs) taken_.try_emplace(name, 0);
    take(taken_, function.nodes);
  }
}

std::string NameAllocator::fresh(const std::string& wish) {
  const auto [entry, is_new] = taken_.try_emplace(wish, 0);
  if (is_new) return wish;
  // The count goes on from the last one given for this wish, so that many equal wishes stay cheap.
  std::int64_t& count = entry->second;
  for (;;) {
    std::string name = concat({wish, "_", ++count});
    if (taken_.try_emplace(name, 0).second) return name;
  }
}

}  // namespace bitwright
