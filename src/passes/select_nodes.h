#pragma once

#include <string>
#include <vector>

#include "model/model.h"
#include "passes/plan.h"
#include "quant/recipe.h"

namespace bitwright {

/// Which nodes the user wants quantized: by name, by glob (`*`, `?`), or by operator type ("op:Conv", globs too).
class Selection {
 public:
  /// Throws Error{pattern_unmatched} naming the first pattern that fits no node of the model (subgraphs and local functions
  /// included), with the closest names.
  Selection(const Model& model, const Recipe& recipe);

  /// "" if the node may be quantized; otherwise why not ("excluded by 'op:Conv'", "not included").
  std::string refusal(const Node& node) const;
  /// True if an include pattern fits the node: the user asked for it.
  bool is_asked_for(const Node& node) const;

 private:
  std::vector<std::string> include_;
  std::vector<std::string> exclude_;
};

/// The row of a node whose weights nobody has looked at yet: it stays in float, by the user's wish or for want of a constant.
NodeDecision undecided(const Node& node, const std::string& graph, const Selection& selection);

/// True if the pattern fits the node; unnamed nodes go by their first output.
bool matches_pattern(std::string_view pattern, const Node& node);

}  // namespace bitwright
