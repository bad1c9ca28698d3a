#pragma once

#include <string>

#include "base/error.h"
#include "model/model.h"

namespace bitwright {

/// "node 'up1' (Resize): " and the finding.
[[noreturn]] inline void refuse_node(const Node& node, ErrorCode code, const std::string& finding) {
  throw Error(code, node.label() + ": " + finding).about(node.name);
}
inline void require(bool holds, const Node& node, const char* finding) {
  if (!holds) refuse_node(node, ErrorCode::bad_graph, finding);
}
inline void require_shape(bool holds, const Node& node, const char* finding) {
  if (!holds) refuse_node(node, ErrorCode::shape_mismatch, finding);
}
/// True unless both extents are known and differ.
inline bool may_equal(std::int64_t a, std::int64_t b) { return a == b || a < 0 || b < 0; }

}  // namespace bitwright
