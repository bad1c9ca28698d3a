#pragma once

#include <cstdint>
#include <vector>

namespace bitwright::tests {

/// Floats in [-1, 1), the same on every host (a linear congruential generator).
inline std::vector<float> random_floats(std::size_t n, std::uint32_t seed) {
  std::vector<float> values(n);
  std::uint32_t state = seed * 2654435761u + 12345u;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
  return values;
}

}  // namespace bitwright::tests
