#include "ops/refusal.h"

namespace bitwright {

void refuse(const Node& node, std::initializer_list<TextPart> finding, ErrorCode code) {
  throw_error(code, {node.label(), ": ", concat(finding)}, node.name);
}

void refuse(const Node& node, const char* finding, ErrorCode code) { refuse(node, {TextPart(finding)}, code); }

}  // namespace bitwright
