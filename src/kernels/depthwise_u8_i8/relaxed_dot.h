#pragma once

#include "base/simd_int.h"

namespace bitwright {

/// The dot of DepthwiseTiles that multiplies bytes of four rows at once; `Multiply` and `flip` as for RelaxedDot of conv_u8_i8.
template <typename Multiply>
struct DepthwiseRelaxedDot {
  static constexpr int kRows = 4;
  static void put(u8x16* low, u8x16* high, const u8x16 (&rows)[4]) {
    const auto first = (i16x8)interleave_low_bytes(rows[0], rows[1]), second = (i16x8)interleave_low_bytes(rows[2], rows[3]);
    const auto third = (i16x8)interleave_high_bytes(rows[0], rows[1]), fourth = (i16x8)interleave_high_bytes(rows[2], rows[3]);
    low[0] = (u8x16)interleave_low(first, second);
    low[1] = (u8x16)interleave_high(first, second);
    high[0] = (u8x16)interleave_low(third, fourth);
    high[1] = (u8x16)interleave_high(third, fourth);
  }
  static i32x4 accumulate(i32x4 acc, u8x16 codes, u8x16 weights) { return Multiply::dot((i8x16)weights, codes, acc); }
};

}  // namespace bitwright
