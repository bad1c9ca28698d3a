#include <wasm_simd128.h>

#include "kernels/conv_u8_i8/relaxed_dot.h"
#include "kernels/conv_u8_i8/tiles.h"

namespace bitwright {

namespace {

struct Instruction {
  static i32x4 dot(i8x16 weights, u8x16 activations, i32x4 acc) {
    return (i32x4)wasm_i32x4_relaxed_dot_i8x16_i7x16_add((v128_t)weights, (v128_t)activations, (v128_t)acc);
  }
};
using Dot = RelaxedDot<Instruction>;  // the processor behind it says how it takes activations

}  // namespace

void conv_u8_i8_u8__usdot_fast(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, 0, CodeOutput<RequantizeFastLanes>(conv));
}
void conv_u8_i8_u8__usdot_integer_only(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, 0, CodeOutput<RequantizeFixedLanes>(conv));
}
void conv_u8_i8_i32__usdot(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, 0, WideOutput(conv, false));
}
void conv_u8_i8_f32__usdot(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, 0, WideOutput(conv, true));
}
void conv_u8_i8_u8__sdot_fast(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, kSignedFlip, CodeOutput<RequantizeFastLanes>(conv));
}
void conv_u8_i8_u8__sdot_integer_only(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, kSignedFlip, CodeOutput<RequantizeFixedLanes>(conv));
}
void conv_u8_i8_i32__sdot(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, kSignedFlip, WideOutput(conv, false));
}
void conv_u8_i8_f32__sdot(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, kSignedFlip, WideOutput(conv, true));
}

}  // namespace bitwright
