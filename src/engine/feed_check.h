#pragma once

#include <map>
#include <set>
#include <string>

#include "model/model.h"

namespace bitwright {

/// Throws Error{invalid_argument}, naming the input and what was expected, for a missing or unknown name and for a wrong
/// element type, rank or fixed extent. Extents of 0 and symbols in the model's declaration accept anything.
/// `optional`: names of the graph's initializers, which need no feed.
void check_feeds(const Graph& graph, const std::set<std::string>& optional, const std::map<std::string, Tensor>& feeds);

}  // namespace bitwright
