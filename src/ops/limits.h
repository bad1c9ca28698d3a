#pragma once

#include <cstdint>

namespace bitwright {

// Named limits of single operators, each beside the largest value seen in real models. tests/ops/limits_test.cpp tries each just
// under and just over.

/// Turns of one Loop or Scan, so that a broken condition ends. Largest seen: about 24 000 a second of sound (vocoders by sample).
inline constexpr std::int64_t kMaxTurns = std::int64_t{1} << 22;
/// Length of a DFT. Largest seen: 4096.
inline constexpr std::int64_t kMaxTransform = std::int64_t{1} << 22;
/// RoiAlign's samples along each side of a bin. Largest seen: 2; without `sampling_ratio` it follows from the region.
inline constexpr std::int64_t kMaxSamplesPerSide = 4096;
/// Extents, strides, dilations and pads of a window; it keeps every product of two in 64 bits. Largest seen: a kernel of 4096.
inline constexpr std::int64_t kMaxWindowValue = (std::int64_t{1} << 31) - 1;

}  // namespace bitwright
