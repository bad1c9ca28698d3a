#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "model/model.h"
#include "passes/plan.h"

namespace bitwright {

/// How plans and patterns call a node: its name, or its first output where it has none.
std::string node_key(const Node& node);

/// True for an operator of ai.onnx.
bool is_onnx(const Node& node, std::string_view op_type);
/// The value's name; empty where the node has no such input or output, or leaves it out.
const std::string& input_of(const Node& node, std::size_t i);
const std::string& output_of(const Node& node, std::size_t i = 0);

/// Gives subgraphs of their own to every node: a copied Model shares them with the original.
void own_subgraphs(Model& model);

/// Calls `visit` for the main graph and every subgraph, inner ones last. The model must own its subgraphs.
void visit_graphs(Model& model, FunctionRef<void(Graph&)> visit);

/// Calls `visit` for every node of the model: main graph, then the subgraphs of each node behind it, then local functions.
/// `graph` is the path as in NodeDecision.
void visit_nodes(const Model& model, FunctionRef<void(const Node& node, const std::string& graph)> visit);

/// Every node input that reads `from`, subgraphs included, reads `to`. Graph outputs keep their names.
void replace_uses(Graph& graph, const std::string& from, const std::string& to);

/// Drops the nodes whose flag is set.
void erase_nodes(Graph& graph, const std::vector<bool>& is_dead);

/// Drops an initializer, also from the graph inputs where old models list it again.
void erase_initializer(Graph& graph, const std::string& name);

/// The constant's values as float where `name` is an initializer of at most `max_elements` elements; nothing otherwise.
std::optional<std::vector<float>> small_constant(const GraphIndex& index, std::string_view name, std::int64_t max_elements);

/// A row of PassResult::removed.
NodeDecision removed_node(const Node& node, std::string reason);

}  // namespace bitwright
