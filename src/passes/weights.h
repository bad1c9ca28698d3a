#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "passes/plan.h"

namespace bitwright {

/// One node that reads a constant.
struct WeightUse {
  Node* node = nullptr;
  std::size_t input = 0;
  std::string graph;  // path, as in NodeDecision
  /// Axis i of what the node reads is axis axes[i] of the constant (Transpose in between); empty where nodes that move values
  /// (Slice, Concat, Reshape ...) stand between, so that axes cannot be told.
  std::vector<std::int64_t> axes;
  std::int64_t rank = 0;  // of the constant
};

/// An initializer or Constant node of the main graph or a subgraph, with everyone who reads it.
struct ConstantWeight {
  Graph* graph = nullptr;
  std::string path;  // of that graph, as in NodeDecision
  std::string name;
  const TensorRecord* record = nullptr;
  bool is_graph_output = false;  // of its own graph, or of a subgraph that passes it on
  std::vector<WeightUse> uses;
};

/// Every constant of at least `min_elements` f32 elements (f16 too where the caller takes halves), main graph first, each graph in its own order. The model must own its
/// subgraphs (own_subgraphs). Pointers hold until a graph is edited.
std::vector<ConstantWeight> find_weights(Model& model, std::int64_t min_elements, bool takes_halves = false);

/// Along which axes of the constant the node sums, and along which its outputs lie.
struct WeightAxes {
  std::int64_t channel = 0;
  std::int64_t reduction = 0;
};
/// Nothing where the operator takes no weight at this input that could be stored as codes.
std::optional<WeightAxes> weight_axes(const WeightUse& use);
/// The scheme fitted to a constant that `reader` reads: blocks need an axis at least as long, else channels have one scale each; and
/// a scale for each row of a table needs rows long enough.
TensorScheme fitted_scheme(TensorScheme scheme, const Shape& shape, const WeightAxes& axes, const Node& reader);
/// The axis that a scheme means: channels for per_channel, else what is summed over. Sub-vectors of product lie along channels where
/// what is summed over is too short for one.
std::int64_t scheme_axis(const TensorScheme& scheme, const Shape& shape, const WeightAxes& axes);

/// A constant of a graph, and what takes its place.
struct Replacement {
  Graph* graph = nullptr;
  std::string name;
  std::vector<TensorRecord> records;
};
/// Drops the initializers (from the graph inputs too) or Constant nodes, and adds the records behind the others. Models of IR 3 list
/// their initializers as inputs, so there the new ones are listed as well. In the order of find_weights: constants of one graph follow
/// each other.
void replace_constants(const Model& model, std::vector<Replacement> replacements);

}  // namespace bitwright
