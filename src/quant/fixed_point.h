#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bitwright {

/// Requantization of the mode `integer_only`, by a multiplier M for each channel:
///   M = round(scale * 2^(34 - left_shift)),  M < 2^31
///   code = clamp(round_half_up(acc * M / 2^(34 - left_shift)) + zero_point, qmin, qmax)
/// The rounding is that of the exact product: floor((floor(P / 2^32) + 2) / 4) = floor((P + 2^33) / 2^34). The two bits below the
/// code are what rounding needs; a constant serves, because shifts by a variable are slow in wasm engines.
/// Where a layer has scales of 1/8 and more, the accumulator is shifted left first and saturates, outside of all codes.
inline constexpr std::int32_t kFixedPointRightShift = 2;

struct FixedPoint {
  std::int32_t left_shift = 0;  // 0 to 24
  std::vector<std::int32_t> multipliers;
};

inline constexpr double kMaxFixedPointScale = 0x1p20;

/// The one place that makes them. Nothing where a scale is not positive, not finite or beyond kMaxFixedPointScale, or where the
/// saturation that the largest scale asks for would reach codes of the smallest.
std::optional<FixedPoint> fixed_point(std::span<const double> scales);

inline std::int32_t requantize_fixed(std::int32_t acc, std::int32_t multiplier, std::int32_t left_shift, std::int32_t zero_point,
                                     std::int32_t qmin, std::int32_t qmax) {
  const std::int32_t limit = 0x7fffffff >> left_shift;
  const std::int64_t shifted = static_cast<std::int64_t>(std::clamp(acc, -limit - 1, limit)) * (std::int64_t{1} << left_shift);
  const auto high = static_cast<std::int32_t>((shifted * multiplier) >> 32);
  return std::clamp(((high + (1 << (kFixedPointRightShift - 1))) >> kFixedPointRightShift) + zero_point, qmin, qmax);
}

}  // namespace bitwright
