#pragma once

#include <string_view>
#include <vector>

#include "model/model.h"

namespace bitwright {

/// The names that a graph uses but does not define: they come from the graph around it. In order of first use, each once.
/// The views point into the graph.
std::vector<std::string_view> free_values(const Graph& graph);
/// The same for the subgraphs among a node's attributes.
std::vector<std::string_view> free_values_of_subgraphs(const Node& node);

}  // namespace bitwright
