#include <algorithm>

#include "kernels/binary_u8/binary_u8.h"
#include "quant/requantize_f32.h"

namespace bitwright {

namespace {

template <typename Code>
void for_each(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row, Code code) {
  for (std::ptrdiff_t row = first_row; row < last_row; ++row)
    for (std::ptrdiff_t i = 0; i < args.n; ++i) {
      const std::int32_t a = args.a[row * args.a_row_stride + i * args.a_step] - args.a_zero_point;
      const std::int32_t b = args.b[row * args.b_row_stride + i * args.b_step] - args.b_zero_point;
      args.y[row * args.y_row_stride + i] = static_cast<std::uint8_t>(code(a, b));
    }
}

/// The zero point is added before rounding, as onnxruntime does: of two neighbours at a tie the even code is taken.
std::int32_t code_of(const BinaryU8& args, float value) {
  const auto zero_point = static_cast<float>(args.y_zero_point);
  const float steps = std::clamp(value / args.y_scale, static_cast<float>(args.qmin - args.y_zero_point),
                                 static_cast<float>(args.qmax - args.y_zero_point));
  return requantize_f32(1, steps + zero_point, 0, args.qmin, args.qmax);
}

}  // namespace

void add_u8__reference_fast(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for_each(args, first_row, last_row, [&](std::int32_t a, std::int32_t b) {
    return code_of(args, args.a_scale * static_cast<float>(a) + args.b_scale * static_cast<float>(b));
  });
}

void add_u8__reference_integer_only(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for_each(args, first_row, last_row, [&](std::int32_t a, std::int32_t b) {
    const std::int32_t sum = a * args.a_multiplier + b * args.b_multiplier;  // 2 * 255 * 2^21 < 2^31
    const std::int32_t shift = args.right_shift;
    return std::clamp(((sum + (1 << (shift - 1))) >> shift) + args.y_zero_point, args.qmin, args.qmax);
  });
}

void mul_u8__reference_fast(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for_each(args, first_row, last_row, [&](std::int32_t a, std::int32_t b) {
    return code_of(args, (args.a_scale * static_cast<float>(a)) * (args.b_scale * static_cast<float>(b)));
  });
}

void mul_u8__reference_integer_only(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for_each(args, first_row, last_row, [&](std::int32_t a, std::int32_t b) {
    return requantize_fixed(a * b, args.a_multiplier, args.left_shift, args.y_zero_point, args.qmin, args.qmax);
  });
}

}  // namespace bitwright
