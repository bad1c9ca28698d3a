#pragma once

#include <initializer_list>

#include "base/error.h"
#include "model/model.h"

namespace bitwright {

/// Throws: "node 'up1' (Resize): " and the finding.
[[noreturn]] void refuse(const Node& node, std::initializer_list<TextPart> finding, ErrorCode code = ErrorCode::bad_graph);
[[noreturn]] void refuse(const Node& node, const char* finding, ErrorCode code = ErrorCode::bad_graph);

inline void require(bool holds, const Node& node, const char* finding) {
  if (!holds) refuse(node, finding);
}
inline void require_shape(bool holds, const Node& node, const char* finding) {
  if (!holds) refuse(node, finding, ErrorCode::shape_mismatch);
}
/// True unless both extents are known and differ.
inline bool may_equal(std::int64_t a, std::int64_t b) { return a == b || a < 0 || b < 0; }

}  // namespace bitwright
