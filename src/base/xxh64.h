#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace bitwright {

/// XXH64, a hash that is as fast as memory: it tells files apart, and is no proof against forgery. Fed in pieces of any length,
/// the answer depends on the bytes only. `xxhsum -H1` prints the same.
/// Source: Yann Collet, xxHash fast digest algorithm, specification 0.1.1, with seed 0.
class Xxh64 {
 public:
  void add(std::span<const std::uint8_t> bytes);
  std::uint64_t value() const;
  /// 16 lower-case hexadecimal digits.
  std::string hex() const;

 private:
  static constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87u;
  static constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4Fu;
  static constexpr std::size_t kStripeBytes = 32;

  std::uint64_t lanes_[4] = {kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
  std::uint8_t held_[kStripeBytes] = {};
  std::size_t n_held_ = 0;
  std::uint64_t n_bytes_ = 0;
};

}  // namespace bitwright
