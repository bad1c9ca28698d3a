#include "model/visit_nodes.h"

#include "base/text.h"

namespace bitwright {

namespace {

void visit_list(const std::vector<Node>& nodes, const std::string& path,
                FunctionRef<void(const Node&, const std::string&)> visit) {
  for (const Node& node : nodes) {
    visit(node, path);
    const std::string prefix = concat({(path.empty() ? "" : concat({path, "/"})), node_key(node), "/"});
    for (const Attribute& attribute : node.attributes) {
      if (attribute.g) visit_list(attribute.g->nodes, prefix + attribute.name, visit);
      for (std::size_t i = 0; i < attribute.graphs.size(); ++i)
        if (attribute.graphs[i]) visit_list(attribute.graphs[i]->nodes, concat({prefix, attribute.name, i}), visit);
    }
  }
}

}  // namespace

std::string node_key(const Node& node) {
  if (!node.name.empty()) return node.name;
  for (const std::string& output : node.outputs)
    if (!output.empty()) return output;
  return node.op_type;
}

void visit_nodes(const Model& model, FunctionRef<void(const Node&, const std::string&)> visit) {
  visit_list(model.graph.nodes, "", visit);
  for (const Function& function : model.functions)
    visit_list(function.nodes,
               concat({"function ", (function.domain.empty() ? "" : concat({function.domain, "."})), function.name}), visit);
}

}  // namespace bitwright
