#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "calibrate/statistics.h"

namespace bitwright {

/// Counts of values in equal bins of [min, max]: small enough to be drawn.
struct ValueHistogram {
  float min = 0.0f;
  float max = 0.0f;
  std::vector<std::uint64_t> counts;
};

inline constexpr std::size_t kShownBins = 96;

/// Of finite values; nothing where there is none. `bins` becomes the bin of each value, 0 for those that are not finite.
std::optional<ValueHistogram> histogram_of(std::span<const float> values, std::vector<std::uint8_t>* bins = nullptr);
/// Of an activation, its streamed bins gathered to kShownBins at most; nothing where no histogram was kept.
std::optional<ValueHistogram> histogram_of(const TensorStatistics& statistics);

}  // namespace bitwright
