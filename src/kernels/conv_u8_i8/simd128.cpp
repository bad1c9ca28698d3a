#include "kernels/conv_u8_i8/tiles.h"

namespace bitwright {

namespace {

/// Activations and weights widened to i16: exact whatever the codes, and no zero points are left.
struct Dot16 {
  using Activation = std::int16_t;
  using Weights = i16x8;
  static constexpr int kRows = 5;
  static constexpr bool has_zero_points = false;
  static i32x4 accumulate(i32x4 acc, i32x4 activations, i16x8 weights) { return acc + dot((i16x8)activations, weights); }
};

}  // namespace

void conv_u8_i8_u8__simd128_fast(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot16>(conv, block, 0, CodeOutput<RequantizeFastLanes>(conv));
}
void conv_u8_i8_u8__simd128_integer_only(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot16>(conv, block, 0, CodeOutput<RequantizeFixedLanes>(conv));
}
void conv_u8_i8_i32__simd128(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot16>(conv, block, 0, WideOutput(conv, false));
}
void conv_u8_i8_f32__simd128(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot16>(conv, block, 0, WideOutput(conv, true));
}

}  // namespace bitwright
