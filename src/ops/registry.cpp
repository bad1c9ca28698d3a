#include <algorithm>
#include <map>

#include "ops/op.h"

namespace bitwright {

#define OP_FAMILY(name) extern const OpFamily name##_family;
#include "ops/families.inc"
#undef OP_FAMILY

namespace {

using Key = std::pair<std::string_view, std::string_view>;

const std::map<Key, const Op*>& table() {
  static const std::map<Key, const Op*> ops = [] {
    std::map<Key, const Op*> rows;
    const OpFamily* const families[] = {
#define OP_FAMILY(name) &name##_family,
#include "ops/families.inc"
#undef OP_FAMILY
    };
    for (const OpFamily* family : families)
      for (const Op& op : family->ops) rows.emplace(Key{op.domain, op.name}, &op);
    return rows;
  }();
  return ops;
}

}  // namespace

const Op* find_op(std::string_view domain, std::string_view name) {
  const auto found = table().find(Key{domain == "ai.onnx" ? std::string_view{} : domain, name});
  return found == table().end() ? nullptr : found->second;
}

std::vector<const Op*> all_ops() {
  std::vector<const Op*> ops;
  for (const auto& [key, op] : table())
    if (op->domain != kInternalDomain) ops.push_back(op);
  return ops;
}

}  // namespace bitwright
