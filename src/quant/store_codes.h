#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/simd_int.h"

namespace bitwright {

/// The low halves of eight codes.
inline u16x8 low_halves(i32x4 a, i32x4 b) {
  return __builtin_shufflevector(std::bit_cast<u16x8>(a), std::bit_cast<u16x8>(b), 0, 2, 4, 6, 8, 10, 12, 14);
}
/// Stores the low bits of 16 codes; of bytes only codes within [-128, 255], which take one instruction to narrow where a shuffle
/// takes five.
inline void store_codes(std::uint8_t* out, i32x4 a, i32x4 b, i32x4 c, i32x4 d) {
  const i16x8 low_byte = splat_i16(0xff);
  store_lanes(out, narrow(narrow(a, b) & low_byte, narrow(c, d) & low_byte));
}
inline void store_codes(std::uint16_t* out, i32x4 a, i32x4 b, i32x4 c, i32x4 d) {
  const auto ab = low_halves(a, b);
  const auto cd = low_halves(c, d);
  std::memcpy(out, &ab, sizeof(ab));
  std::memcpy(out + 8, &cd, sizeof(cd));
}

}  // namespace bitwright
