#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bitwright {

/// Requantization of the mode `integer_only`. One pair of shifts serves a layer, one multiplier M each channel:
///   M = round(scale * 2^(32 + right_shift - left_shift)),  M < 2^31
///   code = clamp(round_half_up(acc * M / 2^(32 + right_shift - left_shift)) + zero_point, qmin, qmax)
/// The rounding is that of the exact product: floor((floor(P / 2^32) + 2^(e-1)) / 2^e) = floor((P + 2^(31+e)) / 2^(32+e)).
/// Where a layer has scales of 1/4 and more, the accumulator is shifted left first and saturates, outside of all codes.
struct FixedPointShifts {
  std::int32_t left_shift = 0;   // 0 to 23
  std::int32_t right_shift = 1;  // 1 to 30
};
struct FixedPoint {
  FixedPointShifts shifts;
  std::vector<std::int32_t> multipliers;
};

inline constexpr double kMaxFixedPointScale = 0x1p20;

/// The one place that makes them. Nothing where a scale is not positive, not finite or beyond kMaxFixedPointScale, or where the
/// saturation that the largest scale asks for would reach codes of the smallest.
std::optional<FixedPoint> fixed_point(std::span<const double> scales);

inline std::int32_t requantize_fixed(std::int32_t acc, std::int32_t multiplier, FixedPointShifts shifts, std::int32_t zero_point,
                                     std::int32_t qmin, std::int32_t qmax) {
  const std::int32_t limit = static_cast<std::int32_t>(0x7fffffff >> shifts.left_shift);
  const std::int64_t shifted =
      static_cast<std::int64_t>(std::clamp(acc, -limit - 1, limit)) * (std::int64_t{1} << shifts.left_shift);
  const auto high = static_cast<std::int32_t>((shifted * multiplier) >> 32);
  const std::int32_t steps = (high + (1 << (shifts.right_shift - 1))) >> shifts.right_shift;
  return std::clamp(steps + zero_point, qmin, qmax);
}

}  // namespace bitwright
