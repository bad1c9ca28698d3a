#pragma once

#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "ops/op.h"

namespace bitwright {

/// A constant matrix of 8-bit codes, [k, n], packed for products with 8-bit codes.
struct IntegerRight;

/// The packed form of input `b`, made once and kept in the state; its zero points are input `b_zero`: none, one, or one for each column.
/// nullptr where the general path must do: `b` is no constant matrix, or the zero points are another kind.
IntegerRight* integer_right(RunContext& context, std::size_t b, std::size_t b_zero);

/// Codes with one zero point, as unsigned ones: i8 codes are raised by 128 with their zero point.
struct UnsignedCodes {
  Tensor codes;
  std::int32_t zero_point = 0;
};
/// nullopt where the zero point (input `a_zero`, may be left out) is not one number.
std::optional<UnsignedCodes> unsigned_codes(RunContext& context, std::size_t a, std::size_t a_zero);

/// y[rows, n] = (a - zero point) (b - zero points), exact but for wrapping in int32.
void multiply_i32(const UnsignedCodes& a, IntegerRight& b, std::int32_t* y);
/// y[rows, n] = float of that * (a_scale * b_scale) (+ bias): b_scale one value or [n], bias empty or [n].
void multiply_f32(const UnsignedCodes& a, IntegerRight& b, float a_scale, const std::vector<float>& b_scale,
                  const std::vector<float>& bias, float* y);

}  // namespace bitwright
