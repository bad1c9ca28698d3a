#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/int8.h"

namespace bitwright {

/// Sum or product of two tensors of codes, each with its own scale, row by row:
///
///   a[r][i] is a[r * a_row_stride + i * a_step]; a step of 0 broadcasts along the row, a row stride of 0 along the rows
///   fast           v = (a_scale (a - a_zero_point)) + or * (b_scale (b - b_zero_point)), then
///                  y = clamp(round_half_even(v / y_scale + y_zero_point), qmin, qmax), in float: onnxruntime's QLinearAdd, QLinearMul
///   integer_only   add: round_half_up(((a - a_zero_point) a_multiplier + (b - b_zero_point) b_multiplier) / 2^right_shift)
///                  mul: requantize_fixed of (a - a_zero_point) (b - b_zero_point) by a_multiplier and left_shift
///                  each + y_zero_point, clamped
struct BinaryU8 {
  std::ptrdiff_t rows = 1, n = 0;
  const std::uint8_t *a = nullptr, *b = nullptr;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t a_row_stride = 0, b_row_stride = 0, y_row_stride = 0;
  std::ptrdiff_t a_step = 1, b_step = 1;  // 0 or 1
  std::int32_t a_zero_point = 0, b_zero_point = 0, y_zero_point = 0, qmin = 0, qmax = 255;
  float a_scale = 1.0f, b_scale = 1.0f, y_scale = 1.0f;
  std::int32_t a_multiplier = 0, b_multiplier = 0;
  std::int32_t right_shift = 1, left_shift = 0;  // of add, of mul
};

/// Sets the multipliers and shift of an integer-only add from scale / y_scale in double, the larger below 2^21.
/// False where a ratio is beyond 2^20 or not a number.
bool set_add_multipliers(BinaryU8& add, double a_ratio, double b_ratio);

enum class BinaryOperation { add, mul };
using BinaryU8Kernel = void (*)(const BinaryU8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);

struct BinaryU8Variant {
  std::string_view name;
  BinaryU8Kernel run;
  BinaryOperation operation;
  KernelFamily family;
  Arithmetic arithmetic;
};
std::span<const BinaryU8Variant> binary_u8_variants();
std::span<const BinaryU8Variant> binary_u8_references();
/// The best kernel of the variants.
BinaryU8Kernel choose_binary_u8(BinaryOperation operation, Arithmetic arithmetic);
/// Runs it whole, shared out over the threads of the scope.
void binary_u8_blocked(const BinaryU8& args, BinaryU8Kernel kernel);

#define BINARY_U8_KERNEL(function, operation, family, arithmetic) \
  void function(const BinaryU8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);
#include "kernels/binary_u8/references.inc"
#include "kernels/binary_u8/variants.inc"
#undef BINARY_U8_KERNEL

}  // namespace bitwright
