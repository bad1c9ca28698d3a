#pragma once

#include <cstdint>

#include "base/simd_int.h"

namespace bitwright {

/// Stores the low bytes of 16 codes within [-128, 255], which take one instruction to narrow where a shuffle takes five.
inline void store_codes(std::uint8_t* out, i32x4 a, i32x4 b, i32x4 c, i32x4 d) {
  const i16x8 low_byte = splat_i16(0xff);
  store_lanes(out, narrow(narrow(a, b) & low_byte, narrow(c, d) & low_byte));
}

}  // namespace bitwright
