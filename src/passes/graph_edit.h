#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "model/model.h"
#include "model/visit_nodes.h"
#include "passes/plan.h"

namespace bitwright {

/// True for an operator of ai.onnx.
bool is_onnx(const Node& node, std::string_view op_type);
/// The value's name; empty where the node has no such input or output, or leaves it out.
const std::string& input_of(const Node& node, std::size_t i);
const std::string& output_of(const Node& node, std::size_t i = 0);

/// Gives subgraphs of their own to every node: a copied Model shares them with the original.
void own_subgraphs(Model& model);

/// Calls `visit` for the main graph and every subgraph, inner ones last. The model must own its subgraphs.
void visit_graphs(Model& model, FunctionRef<void(Graph&)> visit);

/// The new name of a value; null where it keeps its name.
using Renaming = FunctionRef<const std::string*(const std::string& name)>;
/// What the node reads, its subgraphs included, is read under the new names.
void rename_uses(Node& node, Renaming renaming);

/// Values that have another name now, which may have another one itself.
using NewNames = std::map<std::string, std::string>;
/// The last name of a value; null where it keeps its name.
const std::string* latest_name(const NewNames& names, const std::string& name);
/// The same for every node of the graph. Graph outputs keep their names.
void rename_uses(Graph& graph, const NewNames& names);

/// Drops the nodes whose flag is set.
void erase_nodes(Graph& graph, const std::vector<bool>& is_dead);

/// Drops initializers, also from the graph inputs where old models list them again.
void erase_initializers(Graph& graph, const std::set<std::string>& names);

/// The constant's values as float where `name` is an initializer of at most `max_elements` elements; nothing otherwise.
std::optional<std::vector<float>> small_constant(const GraphIndex& index, std::string_view name, std::int64_t max_elements);

/// A row of PassResult::removed.
NodeDecision removed_node(const Node& node, std::string reason);

}  // namespace bitwright
