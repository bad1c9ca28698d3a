#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/function_ref.h"
#include "quant/quant_params.h"

namespace bitwright {

/// How the elements of a tensor, in memory order, map to its scales: [outer, extent, inner], where `block` neighbours
/// of the middle axis share a scale.
struct ScaleLayout {
  std::int64_t outer = 1;
  std::int64_t extent = 1;
  std::int64_t inner = 1;
  std::int64_t block = 1;
  /// per_block has scales for every outer and inner index; per_channel has one row of scales (one for each block
  /// of channels) that all outer indices share.
  bool is_per_position = false;

  std::int64_t n_blocks() const { return extent / block + (extent % block != 0 ? 1 : 0); }
  /// The elements of each scale stand side by side.
  bool has_contiguous_groups() const { return is_per_position ? inner == 1 : outer == 1; }
};

/// Throws Error{shape_mismatch} or Error{bad_graph} where the granularity does not fit the shape.
ScaleLayout scale_layout(const Granularity& granularity, const Shape& shape);

/// `count` elements from `element` on: of one scale, or with `varies` element + i of scale + i. Scales count from 0 in the order of
/// scale_shape.
struct Run {
  std::int64_t element;
  std::int64_t count;
  std::int64_t scale;
  bool varies;

  std::int64_t scale_of(std::int64_t i) const { return varies ? scale + i : scale; }
};
using TakeRun = FunctionRef<void(const Run& run)>;
/// Calls for runs that cover the tensor in memory order.
void for_each_run(const ScaleLayout& l, TakeRun take);

/// How many of the n scales from `first` on for_each_run_of takes at once: those of one row, where neighbours have scales of their own.
inline std::int64_t n_scales_together(const ScaleLayout& l, std::int64_t first, std::int64_t n) {
  return l.is_per_position && l.inner > 1 ? std::min(n, l.inner - first % l.inner) : n;
}
/// for_each_run for scales [first, first + n) only, n of n_scales_together: what is looked at need not grow with their number.
void for_each_run_of(const ScaleLayout& l, std::int64_t first, std::int64_t n, TakeRun take);

}  // namespace bitwright
