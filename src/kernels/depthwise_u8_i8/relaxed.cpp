#include <wasm_simd128.h>

#include "kernels/depthwise_u8_i8/relaxed_dot.h"
#include "kernels/depthwise_u8_i8/tiles.h"

namespace bitwright {

namespace {

struct Instruction {
  static i32x4 dot(i8x16 weights, u8x16 activations, i32x4 acc) {
    return (i32x4)wasm_i32x4_relaxed_dot_i8x16_i7x16_add((v128_t)weights, (v128_t)activations, (v128_t)acc);
  }
};
using Dot = DepthwiseRelaxedDot<Instruction>;

}  // namespace

void depthwise_u8_i8__usdot_fast(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  depthwise_u8_i8_tiles<Dot, RequantizeFastLanes>(d, 0, first_row, last_row, depthwise_u8_i8__simd128_fast);
}
void depthwise_u8_i8__usdot_integer_only(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  depthwise_u8_i8_tiles<Dot, RequantizeFixedLanes>(d, 0, first_row, last_row, depthwise_u8_i8__simd128_integer_only);
}
void depthwise_u8_i8__sdot_fast(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  depthwise_u8_i8_tiles<Dot, RequantizeFastLanes>(d, kSignedFlip, first_row, last_row, depthwise_u8_i8__simd128_fast);
}
void depthwise_u8_i8__sdot_integer_only(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  depthwise_u8_i8_tiles<Dot, RequantizeFixedLanes>(d, kSignedFlip, first_row, last_row, depthwise_u8_i8__simd128_integer_only);
}

}  // namespace bitwright
