#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

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

/// Calls one of
///   same(element, count, scale)          `count` elements from `element` on share one scale
///   varying(element, count, scale)       element + i has scale + i
/// for runs that cover the tensor in memory order.
template <typename Same, typename Varying>
void for_each_run(const ScaleLayout& l, Same&& same, Varying&& varying) {
  if (l.inner == 0) return;
  const bool varies = l.is_per_position ? l.inner > 1 : l.inner == 1 && l.block == 1;
  const std::int64_t step = !varies ? l.block : l.is_per_position ? 1 : l.extent;  // along the axis
  const std::int64_t n_scales_apart = l.is_per_position ? l.inner : 1;
  std::int64_t element = 0;
  for (std::int64_t o = 0; o < l.outer; ++o) {
    const std::int64_t first_block = l.is_per_position ? o * l.n_blocks() : 0;
    for (std::int64_t e = 0; e < l.extent; e += step) {
      const std::int64_t count = std::min(step, l.extent - e) * l.inner;
      const std::int64_t scale = (first_block + e / l.block) * n_scales_apart;
      if (varies)
        varying(element, count, scale);
      else
        same(element, count, scale);
      element += count;
    }
  }
}

/// How many of the n scales from `first` on for_each_run_of takes at once: those of one row, where neighbours have scales of their own.
inline std::int64_t n_scales_together(const ScaleLayout& l, std::int64_t first, std::int64_t n) {
  return l.is_per_position && l.inner > 1 ? std::min(n, l.inner - first % l.inner) : n;
}
/// for_each_run for scales [first, first + n) only, n of n_scales_together: what is looked at need not grow with their number.
template <typename Same, typename Varying>
void for_each_run_of(const ScaleLayout& l, std::int64_t first, std::int64_t n, Same&& same, Varying&& varying) {
  const std::int64_t n_blocks = std::max<std::int64_t>(l.n_blocks(), 1);  // a tensor without elements has a scale, too
  const std::int64_t n_inner = l.is_per_position ? l.inner : 1;
  const std::int64_t from = first / n_inner % n_blocks * l.block;
  if (l.is_per_position && n_inner > 1) {
    const std::int64_t outer = first / n_inner / n_blocks;
    for (std::int64_t e = from; e < std::min(from + l.block, l.extent); ++e)
      varying((outer * l.extent + e) * n_inner + first % n_inner, n, first);
    return;
  }
  for (std::int64_t o = 0; o < (l.is_per_position ? 1 : l.outer); ++o) {
    if (!l.is_per_position && l.inner == 1 && l.block == 1) {
      varying(o * l.extent + first, n, first);
      continue;
    }
    for (std::int64_t scale = first; scale < first + n; ++scale) {
      const std::int64_t at = scale % n_blocks * l.block;
      same(((o + scale / n_blocks) * l.extent + at) * l.inner, std::min(l.block, l.extent - at) * l.inner, scale);
    }
  }
}

}  // namespace bitwright
