#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/model.h"

namespace bitwright {

/// One graph on its way to another list of nodes: the old ones are taken in order, and what stands for them is added.
class GraphRewriter {
 public:
  GraphRewriter(Graph& of, NameAllocator& allocator) : graph(of), index(of), names(allocator) {}

  /// The constant of that name in this graph, new ones included; nullptr where there is none.
  const TensorRecord* constant(const std::string& name) const;
  /// Its values as floats; empty where it is no constant of at most `max_elements`.
  std::vector<float> small_values(const std::string& name, std::int64_t max_elements = 1 << 16) const;
  /// A new constant; returns its name.
  std::string add_constant(const std::string& wish, Tensor values);
  std::string add_constant(const std::string& wish, DType dtype, Shape shape, Values values);
  /// A new node of ai.onnx. The reference holds until the next is added.
  Node& add(std::string op_type, std::vector<std::string> inputs, std::string output);
  std::string fresh(const std::string& wish) { return names.fresh(wish); }
  void keep(const Node& node) { nodes.push_back(node); }
  /// The new nodes and constants take their place.
  void finish();

  Graph& graph;
  const GraphIndex index;
  NameAllocator& names;
  std::vector<Node> nodes;

 private:
  std::map<std::string, TensorRecord> added_;
};

}  // namespace bitwright
