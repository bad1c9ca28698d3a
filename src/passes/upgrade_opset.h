#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model.h"

namespace bitwright {

inline constexpr std::int64_t kMaxUpgradeOpset = 25;

struct UpgradeResult {
  /// False where a node could not be upgraded: then nothing was changed, and `node` and `reason` say why.
  bool is_done = false;
  std::int64_t from = 0;
  std::int64_t to = 0;                // the opset the model has now
  std::int64_t ir_version = 0;        // the IR version the model has now
  std::vector<std::string> messages;  // one sentence per node that was rewritten, for the report
  std::string node;                   // label of the node at fault
  std::string reason;
};

/// Raises the ai.onnx opset of the model, its subgraphs and its local functions to `target` (at most kMaxUpgradeOpset), and the
/// IR version with it, so that the meaning of every node stays what onnxruntime gives it. Does nothing where the opset is that
/// high already. When the IR version passes 3, initializers are dropped from the graph inputs, where they would cease to be constant.
/// A node is refused where its meaning cannot be said in the new opset, or where its element type would have to be known and is not.
/// Throws Error{invalid_argument} for a target out of range.
/// source: the ONNX operator changelog; meanings that it leaves open as in onnxruntime
UpgradeResult upgrade_opset(Model& model, std::int64_t target);

/// The lowest IR version that ONNX releases pair with the opset: 10 for 21, 11 for 23, 12 for 24, 13 for 25.
std::int64_t ir_version_of_opset(std::int64_t opset);

}  // namespace bitwright
