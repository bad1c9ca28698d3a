#pragma once

#include <initializer_list>
#include <string_view>

#include "base/error.h"
#include "model/model.h"

namespace bitwright {

/// A piece of a message: text, a number or a shape. Messages are put together in one place, which keeps the many checks small.
class MessagePart {
 public:
  MessagePart(const char* text) : text_(text) {}
  MessagePart(std::string_view text) : text_(text) {}
  MessagePart(const std::string& text) : text_(text) {}
  MessagePart(std::int64_t number) : number_(number), kind_(Kind::number) {}
  MessagePart(std::size_t number) : number_(static_cast<std::int64_t>(number)), kind_(Kind::number) {}
  MessagePart(const Shape& shape) : shape_(&shape), kind_(Kind::shape) {}
  std::string str() const;

 private:
  enum class Kind { text, number, shape };
  std::string_view text_;
  std::int64_t number_ = 0;
  const Shape* shape_ = nullptr;
  Kind kind_ = Kind::text;
};

/// Throws: "node 'up1' (Resize): " and the finding.
[[noreturn]] void refuse(const Node& node, std::initializer_list<MessagePart> finding, ErrorCode code = ErrorCode::bad_graph);
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
