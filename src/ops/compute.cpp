#include <algorithm>

#include "ops/op.h"

namespace bitwright {

namespace {

bool makes_nothing(const RunContext& context) {
  bool wants_any = false;
  for (std::size_t i = 0; i < context.n_outputs(); ++i) {
    if (!context.wants_output(i)) continue;
    const TypeInfo& type = context.inferred(i);
    if (!type.is_known() || n_elements(*type.shape) != 0) return false;
    wants_any = true;
  }
  const std::vector<Attribute>& attributes = context.node().attributes;
  // Subgraphs may use values in ways that are refused.
  return wants_any && std::none_of(attributes.begin(), attributes.end(),
                                   [](const Attribute& a) { return a.g != nullptr || !a.graphs.empty(); });
}

}  // namespace

void compute(const Op& op, RunContext& context) {
  if (!makes_nothing(context)) op.run(context);
}

PreparedCall prepare(const Op& op, RunContext& context) {
  if (!makes_nothing(context)) return op.prepare(context);
  return {[](const void*) {}, nullptr, {}};
}

}  // namespace bitwright
