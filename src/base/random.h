#pragma once

#include <cstdint>

namespace bitwright {

/// 64 well mixed bits for each (seed, index): numbers of a place rather than of a sequence, so that they do not depend on the
/// order of computation. Source: Steele, Lea, Flood 2014, Fast splittable pseudorandom number generators (SplitMix64).
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed * 0xd1342543de82ef95u + (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
/// Uniform in [0, 1): a multiple of 2^-53.
constexpr double random_unit(std::uint64_t seed, std::uint64_t index) {
  return static_cast<double>(random_bits(seed, index) >> 11) * 0x1p-53;
}

}  // namespace bitwright
