#include "quant/fixed_point.h"

#include <cmath>

namespace bitwright {

std::optional<FixedPoint> fixed_point(std::span<const double> scales) {
  double largest = 0.0, smallest = kMaxFixedPointScale;
  for (const double scale : scales) {
    if (!(scale > 0.0 && scale <= kMaxFixedPointScale)) return std::nullopt;
    largest = std::max(largest, scale);
    smallest = std::min(smallest, scale);
  }
  FixedPoint result;
  if (scales.empty()) return result;
  int exponent = 0;
  std::frexp(largest,
             &exponent);  // largest < 2^exponent, so M < 2^31 where 32 + kFixedPointRightShift - left_shift + exponent <= 31
  result.left_shift = std::max(0, exponent + 1 + kFixedPointRightShift);
  constexpr double kBeyondCodes = 0x1p16;
  if (result.left_shift > 0 && std::ldexp(smallest, 31 - result.left_shift) < kBeyondCodes) return std::nullopt;
  for (const double scale : scales)
    result.multipliers.push_back(static_cast<std::int32_t>(
        std::min(std::ldexp(scale, 32 + kFixedPointRightShift - result.left_shift) + 0.5, 2147483647.0)));
  return result;
}

}  // namespace bitwright
