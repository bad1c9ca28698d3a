#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "calibrate/statistics.h"
#include "model/model.h"

namespace bitwright {

/// Counts of values in equal bins of [min, max]: small enough to be drawn.
struct ValueHistogram {
  float min = 0.0f;
  float max = 0.0f;
  std::vector<std::uint64_t> counts;
};

inline constexpr std::size_t kShownBins = 96;
/// Weights above this size are not read again for a picture: it would double the time of models that are streamed.
inline constexpr std::uint64_t kMaxShownBytes = std::uint64_t{64} << 20;

/// Of a float tensor's finite values; nothing for other types, empty tensors, and those above kMaxShownBytes.
std::optional<ValueHistogram> histogram_of(const TensorRecord& record);
/// Of an activation, its streamed bins gathered to kShownBins at most; nothing where no histogram was kept.
std::optional<ValueHistogram> histogram_of(const TensorStatistics& statistics);

}  // namespace bitwright
