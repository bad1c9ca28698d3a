#pragma once

#include <cstddef>
#include <cstdint>

namespace bitwright {

/// Any function of one code: y[r][i] = table[x[r][i]]. Sigmoid, GELU, LeakyRelu, and a change of scale (as concat needs).
/// x and y may be the same buffer.
struct LookupU8 {
  std::ptrdiff_t rows = 1, n = 0;
  const std::uint8_t* x = nullptr;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t x_row_stride = 0, y_row_stride = 0;
  const std::uint8_t* table = nullptr;  // 256 codes
};
void lookup_u8__reference(const LookupU8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);
void lookup_u8__simd128(const LookupU8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);
/// Runs it whole, shared out over the threads of the scope.
void lookup_u8_blocked(const LookupU8&);

/// Moves pixels of `bytes` each: y pixel i is x pixel index[i], or `fill` repeated where index[i] < 0.
/// Nearest resize, padding, slicing and any other move of whole pixels.
struct GatherU8 {
  std::ptrdiff_t n = 0, bytes = 0;
  const std::uint8_t* x = nullptr;
  std::ptrdiff_t x_stride = 0;
  const std::int32_t* index = nullptr;
  std::uint8_t fill = 0;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_stride = 0;
};
void gather_u8(const GatherU8&, std::ptrdiff_t first, std::ptrdiff_t last);

}  // namespace bitwright
