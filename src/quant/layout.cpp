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

}  // namespace bitwright
