#include "passes/quantized_operators.h"

#include <map>

#include "base/text.h"
#include "ops/qoperators.h"
#include "passes/graph_edit.h"

namespace bitwright {

std::string quantized_operators_of(const Model& model) {
  std::map<std::string, std::size_t> counts;
  std::map<std::string_view, const TensorRecord*> stored;
  const auto know = [&](const Graph& graph) {
    for (const TensorRecord& record : graph.initializers) stored.insert_or_assign(record.name, &record);
  };
  know(model.graph);
  visit_nodes(model, [&](const Node& node, const std::string&) {
    if (is_quantized_operator(node)) ++counts[node.op_type];
    const auto found = node.inputs.empty() ? stored.end() : stored.find(node.inputs[0]);
    if (found != stored.end() && widens_codes(node, found->second)) ++counts["Cast of codes"];
    for (const Attribute& attribute : node.attributes) {
      if (attribute.g) know(*attribute.g);
      for (const auto& graph : attribute.graphs) know(*graph);
    }
  });
  std::string text;
  for (const auto& [op_type, n] : counts) text += concat({(text.empty() ? "" : ", "), n, " ", op_type});
  return text;
}

}  // namespace bitwright
