#include "kernels/binary_u8/binary_u8.h"
#include "kernels/requantize_lanes.h"

namespace bitwright {

namespace {

/// Sixteen codes from i on; a step of 0 repeats one.
u8x16 load_codes(const std::uint8_t* row, std::ptrdiff_t i, std::ptrdiff_t step) {
  return step != 0 ? load_lanes<u8x16>(row + i) : splat_u8(*row);
}

/// Four steps of (a, b) at a time, as the reference says them.
class AddFast {
 public:
  explicit AddFast(const BinaryU8& args)
      : a_scale_(splat(args.a_scale)),
        b_scale_(splat(args.b_scale)),
        y_scale_(splat(args.y_scale)),
        zero_point_(splat(static_cast<float>(args.y_zero_point))),
        low_(splat(static_cast<float>(args.qmin - args.y_zero_point))),
        high_(splat(static_cast<float>(args.qmax - args.y_zero_point))),
        magic_(in_register(splat(12582912.0f))) {}
  i32x4 operator()(i32x4 a, i32x4 b) const { return code(a_scale_ * to_f32x4(a) + b_scale_ * to_f32x4(b)); }

 protected:
  i32x4 code(f32x4 value) const {
    return bits_of(max(min(value / y_scale_, high_), low_) + zero_point_ + magic_) - bits_of(magic_);
  }
  f32x4 a_scale_, b_scale_, y_scale_, zero_point_, low_, high_, magic_;
};

class MulFast : public AddFast {
 public:
  using AddFast::AddFast;
  i32x4 operator()(i32x4 a, i32x4 b) const { return code((a_scale_ * to_f32x4(a)) * (b_scale_ * to_f32x4(b))); }
};

class AddFixed {
 public:
  explicit AddFixed(const BinaryU8& args)
      : a_multiplier_(splat(args.a_multiplier)),
        b_multiplier_(splat(args.b_multiplier)),
        half_(splat(1 << (args.right_shift - 1))),
        zero_point_(splat(args.y_zero_point)),
        qmin_(splat(args.qmin)),
        qmax_(splat(args.qmax)),
        right_shift_(args.right_shift) {}
  i32x4 operator()(i32x4 a, i32x4 b) const {
    return min(max(((a * a_multiplier_ + b * b_multiplier_ + half_) >> right_shift_) + zero_point_, qmin_), qmax_);
  }

 private:
  i32x4 a_multiplier_, b_multiplier_, half_, zero_point_, qmin_, qmax_;
  std::int32_t right_shift_;
};

class MulFixed {
 public:
  explicit MulFixed(const BinaryU8& args)
      : multiplier_(splat(args.a_multiplier)),
        zero_(splat((args.y_zero_point << kFixedPointRightShift) + (1 << (kFixedPointRightShift - 1)))),
        limit_(splat(0x7fffffff >> args.left_shift)),
        qmin_(splat(args.qmin)),
        qmax_(splat(args.qmax)),
        left_shift_(args.left_shift) {}
  i32x4 operator()(i32x4 a, i32x4 b) const {
    const i32x4 acc = min(max(a * b, ~limit_), limit_) << left_shift_;
    return min(max((multiply_high(acc, multiplier_) + zero_) >> kFixedPointRightShift, qmin_), qmax_);
  }

 private:
  i32x4 multiplier_, zero_, limit_, qmin_, qmax_;
  std::int32_t left_shift_;
};

template <typename Operation>
void for_each(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  const Operation operation(args);
  const i16x8 a_zero = splat_i16(args.a_zero_point), b_zero = splat_i16(args.b_zero_point);
  for (std::ptrdiff_t row = first_row; row < last_row; ++row) {
    const std::uint8_t *a = args.a + row * args.a_row_stride, *b = args.b + row * args.b_row_stride;
    std::uint8_t* y = args.y + row * args.y_row_stride;
    for (std::ptrdiff_t i = 0; i < args.n; i += 16) {
      const u8x16 x = load_codes(a, i, args.a_step), z = load_codes(b, i, args.b_step);
      const auto eight = [&](i16x8 p, i16x8 q) __attribute__((always_inline)) {
        p = p - a_zero;
        q = q - b_zero;
        return narrow(operation(widen_low(p), widen_low(q)), operation(widen_high(p), widen_high(q)));
      };
      const u8x16 codes = narrow(eight(widen_low(x), widen_low(z)), eight(widen_high(x), widen_high(z)));
      if (args.n - i >= 16) {
        store_lanes(y + i, codes);
      } else {
        store_bytes(y + i, codes, args.n - i);
      }
    }
  }
}

}  // namespace

void add_u8__simd128_fast(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for_each<AddFast>(args, first_row, last_row);
}
void add_u8__simd128_integer_only(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for_each<AddFixed>(args, first_row, last_row);
}
void mul_u8__simd128_fast(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for_each<MulFast>(args, first_row, last_row);
}
void mul_u8__simd128_integer_only(const BinaryU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for_each<MulFixed>(args, first_row, last_row);
}

}  // namespace bitwright
