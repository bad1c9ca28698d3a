#include "ops/refusal.h"

namespace bitwright {

std::string MessagePart::str() const {
  if (kind_ == Kind::number) return std::to_string(number_);
  if (kind_ == Kind::shape) return to_string(*shape_);
  return std::string(text_);
}

void refuse(const Node& node, std::initializer_list<MessagePart> finding, ErrorCode code) {
  std::string message = node.label() + ": ";
  for (const MessagePart& part : finding) message += part.str();
  throw Error(code, message).about(node.name);
}

void refuse(const Node& node, const char* finding, ErrorCode code) { refuse(node, {MessagePart(finding)}, code); }

}  // namespace bitwright
