#include "ops/op.h"
#include "ops/refusal.h"

namespace bitwright {

bool TypeInfo::is_known() const { return dtype != DType::undefined && shape.has_value() && bitwright::is_known(*shape); }

const Shape& InferContext::shape(std::size_t i) const {
  if (!has_input(i)) refuse(node(), {"input ", i, " is missing"});
  if (!input(i).shape) throw NotKnownYet{};
  return *input(i).shape;
}

std::optional<std::vector<std::int64_t>> InferContext::ints_of(std::size_t i, std::string_view attribute_before) const {
  if (!attribute_before.empty() && node().has(attribute_before)) return node().attr_ints(attribute_before);
  if (!has_input(i)) return std::vector<std::int64_t>{};
  if (const Tensor* known = value(i)) return to_i64_vector(*known);
  return std::nullopt;
}

}  // namespace bitwright
