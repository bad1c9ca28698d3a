#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace bitwright {

/// a * b, or nothing where it does not fit in 64 bits. Sizes from files are always counted so: size_t has 32 bits in wasm.
constexpr std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return std::nullopt;
  return a * b;
}

constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  if (a > std::numeric_limits<std::uint64_t>::max() - b) return std::nullopt;
  return a + b;
}

/// True if [offset, offset + length) lies inside [0, size). Never wraps.
constexpr bool is_inside(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
  return length <= size && offset <= size - length;
}

/// Narrows a byte count to size_t; throws Error{out_of_memory} where this build cannot address it.
std::size_t addressable(std::uint64_t n_bytes);

}  // namespace bitwright
