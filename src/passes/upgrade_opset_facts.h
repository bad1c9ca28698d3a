#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"

namespace bitwright {

/// Element type and rank of the values of one graph, as far as declared types and the makers of values tell. A value of an outer
/// graph is asked there. Values hold by name, so they stay true while nodes are rewritten.
class ValueFacts {
 public:
  ValueFacts(const Graph& graph, const ValueFacts* outer);
  /// A function body: nothing is declared.
  explicit ValueFacts(const Function& function);

  std::optional<DType> dtype(const std::string& value) const;
  std::optional<std::int64_t> rank(const std::string& value) const;
  /// The values of an initializer or Constant of at most 64 elements.
  std::optional<Tensor> small_constant(const std::string& value) const;
  /// True if any node of the graph or of its subgraphs reads the value, or if it is a graph output.
  bool is_used(const std::string& value) const;

 private:
  struct Fact {
    std::optional<DType> dtype;
    std::optional<std::int64_t> rank;
    const TensorRecord* constant = nullptr;
    bool is_used = false;
  };
  void declare(const std::vector<ValueInfo>& infos);
  void visit(const std::vector<Node>& nodes);
  void infer(const Node& node);
  const Fact* find(const std::string& value) const;

  std::map<std::string, Fact> facts_;
  const ValueFacts* outer_ = nullptr;
};

}  // namespace bitwright
