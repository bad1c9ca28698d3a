#pragma once

#include <cstdint>

namespace bitwright {

/// Floats of 4 and 8 bits: a sign, `exponent_bits` and `mantissa_bits`.
///   has_infinity     e5m2: as IEEE, infinity above the largest value, then NaN
///   is_fnuz          no infinity and no negative zero, whose code 0x80 is the only NaN
///   has_nan          e4m3fn: all ones is NaN; f4e2m1 has neither NaN nor infinity
/// source: Micikevicius et al. 2022, FP8 Formats for Deep Learning, arXiv 2209.05433; OCP Microscaling Formats 1.0; ONNX Cast
struct SmallFloat {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  float largest;
  bool has_infinity;
  bool is_fnuz;
  bool has_nan;
};

inline constexpr SmallFloat kF8e4m3fn{4, 3, 7, 448.0f, false, false, true};
inline constexpr SmallFloat kF8e4m3fnuz{4, 3, 8, 240.0f, false, true, true};
inline constexpr SmallFloat kF8e5m2{5, 2, 15, 57344.0f, true, false, true};
inline constexpr SmallFloat kF8e5m2fnuz{5, 2, 16, 57344.0f, false, true, true};
inline constexpr SmallFloat kF4e2m1{2, 1, 1, 6.0f, false, false, false};

float small_float_to_f32(const SmallFloat& format, std::uint8_t code);

/// Rounds half to even. Beyond the largest value: the largest with `is_saturating`, else infinity, or NaN where there is none.
/// A format without NaN gives negative zero for NaN, as ml_dtypes does.
std::uint8_t f32_to_small_float(const SmallFloat& format, float value, bool is_saturating = true);

enum class ScaleRounding { nearest, up, down };
/// e8m0: 2^(code - 127), 255 is NaN. Sign is dropped; 0 gives the smallest, 2^-127.
float e8m0_to_f32(std::uint8_t code);
std::uint8_t f32_to_e8m0(float value, ScaleRounding rounding, bool is_saturating = true);

}  // namespace bitwright
