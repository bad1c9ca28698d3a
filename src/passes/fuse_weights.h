#pragma once

#include <optional>
#include <set>

#include "passes/graph_rewriter.h"

namespace bitwright {

/// Finds float operators on a weight that is dequantized, and dynamically quantized products, which com.microsoft has operators for.
class WeightFuser {
 public:
  explicit WeightFuser(GraphRewriter& to) : to_(to) {}

  /// What stands for the node, and for those that it makes superfluous; nothing where there is no such operator.
  std::optional<Node> fused(const Node& node, std::set<const Node*>& absorbed);

 private:
  std::optional<Node> nbits(const Node& node);
  std::optional<Node> gather(const Node& node);
  std::optional<Node> dynamic(const Node& node, std::set<const Node*>& absorbed);
  const Node* producer(const std::string& value) const;
  const Node* only_reader(const std::string& value, std::string_view op_type) const;

  GraphRewriter& to_;
};

}  // namespace bitwright
