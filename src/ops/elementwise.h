#pragma once

#include <algorithm>
#include <array>

#include "ops/op.h"
#include "ops/refusal.h"
#include "tensor/elements.h"

namespace bitwright {

/// Elements widened at a time where a type is computed in a wider one.
inline constexpr std::int64_t kBlockElements = 256;

/// The output has the element type and shape of the first input.
inline void infer_like_first(InferContext& context) { context.set_output(0, context.dtype(0), context.input(0).shape); }
/// As infer_like_first, but boolean.
inline void infer_boolean_like_first(InferContext& context) { context.set_output(0, DType::boolean, context.input(0).shape); }

/// Calls apply(wide block, n) for blocks of x, then writes them to y. Wide is float, double or int64_t.
template <typename Wide, typename Apply>
void map_blocks(const Tensor& x, Tensor& y, Apply apply) {
  std::array<Wide, kBlockElements> block;
  for (std::int64_t first = 0; first < x.n_elements(); first += kBlockElements) {
    const std::int64_t n = std::min(kBlockElements, x.n_elements() - first);
    const std::span<Wide> values(block.data(), static_cast<std::size_t>(n));
    read_elements(x, first, values);
    apply(values);
    write_elements(y, first, std::span<const Wide>(values));
  }
}

}  // namespace bitwright
