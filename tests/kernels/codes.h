#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/int8.h"
#include "kernels/random.h"

namespace bitwright::tests {

/// Integers in [low, high], the same on every host; every eighth is an end of the range.
template <typename T>
std::vector<T> random_codes(std::size_t n, std::uint32_t seed, std::int32_t low, std::int32_t high) {
  std::vector<T> values(n);
  std::uint32_t state = seed * 2654435761u + 12345u;
  for (T& value : values) {
    state = state * 1664525u + 1013904223u;
    const std::uint32_t bits = state >> 9;
    value = static_cast<T>(bits % 16 == 0 ? low
                           : bits % 16 == 1
                               ? high
                               : low + static_cast<std::int32_t>((bits >> 4) % static_cast<std::uint32_t>(high - low + 1)));
  }
  return values;
}
/// Codes of an activation with the bytes behind them that kernels may read.
inline std::vector<std::uint8_t> random_activations(std::ptrdiff_t n, std::uint32_t seed) {
  return random_codes<std::uint8_t>(static_cast<std::size_t>(n + kOverReadBytes), seed, 0, 255);
}

inline std::int64_t clamped(std::int64_t v, std::int64_t low, std::int64_t high) { return v < low ? low : v > high ? high : v; }

/// What quant/requantize_f32.h promises, by the C library's rounding.
inline std::int32_t expected_fast(std::int32_t acc, float multiplier, const Requantize& r) {
  const double steps = std::nearbyint(static_cast<double>(static_cast<float>(acc) * multiplier));
  return static_cast<std::int32_t>(clamped(static_cast<std::int64_t>(steps) + r.zero_point, r.qmin, r.qmax));
}
/// What quant/fixed_point.h promises, by the exact product: |acc * multiplier| < 2^62.
inline std::int32_t expected_integer_only(std::int32_t acc, std::int32_t multiplier, const Requantize& r) {
  const int shift = 34 - r.left_shift;
  const std::int64_t product = static_cast<std::int64_t>(acc) * multiplier;
  const std::int64_t steps = ((product >> (shift - 1)) + 1) >> 1;
  return static_cast<std::int32_t>(clamped(steps + r.zero_point, r.qmin, r.qmax));
}

}  // namespace bitwright::tests
