#include "kernels/depthwise_u8_i8/tiles.h"

namespace bitwright {

namespace {

struct Dot16 {
  static constexpr int kRows = 2;
  static void put(u8x16* low, u8x16* high, const u8x16 (&rows)[2]) {
    const u8x16 first = interleave_low_bytes(rows[0], rows[1]), second = interleave_high_bytes(rows[0], rows[1]);
    low[0] = (u8x16)widen_low(first);
    low[1] = (u8x16)widen_high(first);
    high[0] = (u8x16)widen_low(second);
    high[1] = (u8x16)widen_high(second);
  }
  static i32x4 accumulate(i32x4 acc, u8x16 codes, u8x16 weights) { return acc + dot((i16x8)codes, (i16x8)weights); }
};

}  // namespace

void depthwise_u8_i8__simd128_fast(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  depthwise_u8_i8_tiles<Dot16, RequantizeFastLanes>(d, 0, first_row, last_row, depthwise_u8_i8__reference_fast);
}
void depthwise_u8_i8__simd128_integer_only(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  depthwise_u8_i8_tiles<Dot16, RequantizeFixedLanes>(d, 0, first_row, last_row, depthwise_u8_i8__reference_integer_only);
}

}  // namespace bitwright
