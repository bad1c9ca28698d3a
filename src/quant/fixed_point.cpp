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
  std::frexp(largest, &exponent);  // largest < 2^exponent, so M < 2^31 where 32 + right_shift - left_shift + exponent <= 31
  const int shift = std::min(-1 - exponent, 30);
  result.shifts = {.left_shift = std::max(0, 1 - shift), .right_shift = std::max(1, shift)};
  constexpr double kBeyondCodes = 0x1p16;
  if (shift < 1 && std::ldexp(smallest, 31 - result.shifts.left_shift) < kBeyondCodes) return std::nullopt;
  for (const double scale : scales)
    result.multipliers.push_back(static_cast<std::int32_t>(std::min(std::ldexp(scale, 32 + shift) + 0.5, 2147483647.0)));
  return result;
}

}  // namespace bitwright
