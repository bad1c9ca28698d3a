#pragma once

#include <string>

#include "base/function_ref.h"
#include "model/model.h"

namespace bitwright {

/// How plans and patterns call a node: its name, or its first output where it has none.
std::string node_key(const Node& node);

/// Calls `visit` for every node of the model: main graph, then the subgraphs of each node behind it, then local functions.
/// `graph` is "" in the main graph, "if_1/then_branch" in a subgraph, "function custom.Gelu" in a local function.
void visit_nodes(const Model& model, FunctionRef<void(const Node& node, const std::string& graph)> visit);

}  // namespace bitwright
