#include "base/error.h"
#include "quant/runs.h"

namespace bitwright {

ScaleLayout scale_layout(const Granularity& granularity, const Shape& shape) {
  ScaleLayout layout;
  const std::int64_t n = n_elements(shape);
  const auto split_at = [&](std::int64_t axis) {
    const auto at = static_cast<std::size_t>(normalized_axis(axis, shape.size()));
    layout.extent = shape[at];
    layout.outer = 1;
    for (std::size_t i = 0; i < at; ++i) layout.outer *= shape[i];
    layout.inner = 1;
    for (std::size_t i = at + 1; i < shape.size(); ++i) layout.inner *= shape[i];
  };
  if (const auto* channel = std::get_if<PerChannel>(&granularity)) {
    split_at(channel->axis);
  } else if (const auto* group = std::get_if<PerChannelGroup>(&granularity)) {
    scale_shape(granularity, shape);
    split_at(group->axis);
    layout.block = group->group_size;
  } else if (const auto* block = std::get_if<PerBlock>(&granularity)) {
    scale_shape(granularity, shape);  // checks the block size
    split_at(block->axis);
    layout.block = block->block_size;
    layout.is_per_position = true;
  } else if (std::holds_alternative<PerToken>(granularity)) {
    scale_shape(granularity, shape);
    layout.extent = shape.back();
    layout.outer = layout.extent == 0 ? 0 : n / layout.extent;
    layout.block = std::max<std::int64_t>(layout.extent, 1);
    layout.is_per_position = true;
  } else {
    layout.extent = n;
    layout.block = std::max<std::int64_t>(n, 1);
    layout.is_per_position = true;
  }
  return layout;
}

void for_each_run(const ScaleLayout& l, TakeRun take) {
  const std::int64_t n = l.n_blocks() * (l.is_per_position ? l.outer * l.inner : 1);
  for (std::int64_t first = 0; first < n;) {
    const std::int64_t together = n_scales_together(l, first, n - first);
    for_each_run_of(l, first, together, take);
    first += together;
  }
}

void for_each_run_of(const ScaleLayout& l, std::int64_t first, std::int64_t n, TakeRun take) {
  const std::int64_t n_blocks = std::max<std::int64_t>(l.n_blocks(), 1);  // a tensor without elements has a scale, too
  const std::int64_t n_inner = l.is_per_position ? l.inner : 1;
  const std::int64_t from = first / n_inner % n_blocks * l.block;
  if (l.is_per_position && n_inner > 1) {
    const std::int64_t outer = first / n_inner / n_blocks;
    for (std::int64_t e = from; e < std::min(from + l.block, l.extent); ++e)
      take({(outer * l.extent + e) * n_inner + first % n_inner, n, first, true});
    return;
  }
  for (std::int64_t o = 0; o < (l.is_per_position ? 1 : l.outer); ++o) {
    if (!l.is_per_position && l.inner == 1 && l.block == 1) {
      take({o * l.extent + first, n, first, true});
      continue;
    }
    for (std::int64_t scale = first; scale < first + n; ++scale) {
      const std::int64_t at = scale % n_blocks * l.block;
      take({((o + scale / n_blocks) * l.extent + at) * l.inner, std::min(l.block, l.extent - at) * l.inner, scale, false});
    }
  }
}

}  // namespace bitwright
