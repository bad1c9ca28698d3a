#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace bitwright {

/// Requantization of the mode `fast`, as onnxruntime does it:
///   code = clamp(round_half_even(float(acc) * multiplier) + zero_point, qmin, qmax)
/// in float: the accumulator is rounded to float, then the product.
inline std::int32_t requantize_f32(std::int32_t acc, float multiplier, std::int32_t zero_point, std::int32_t qmin,
                                   std::int32_t qmax) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: the unit in the last place is 1, and the addition rounds half to even
  const float low = static_cast<float>(qmin - zero_point), high = static_cast<float>(qmax - zero_point);
  const float steps = std::min(std::max(static_cast<float>(acc) * multiplier, low), high);
  return std::bit_cast<std::int32_t>(steps + kMagic) - std::bit_cast<std::int32_t>(kMagic) + zero_point;
}

}  // namespace bitwright
