#pragma once

#include "base/simd_int.h"
#include "kernels/int8.h"

namespace bitwright {

// The two requantizations, eight accumulators at a time; scalar twins: quant/requantize_f32.h and quant/fixed_point.h.
// Each gives i16 that narrow() saturates to u8; finish() then holds the codes within [qmin, qmax].

class RequantizeFastLanes {
 public:
  static constexpr bool is_float = true;
  explicit RequantizeFastLanes(const Requantize& r)
      : multipliers_(r.multipliers),
        magic_(in_register(splat(12582912.0f))),
        lowest_(splat(kMagicBits + r.qmin - r.zero_point)),
        zero_(splat(kMagicBits - r.zero_point)),
        qmax_(splat_u8(r.qmax)) {}

  [[gnu::always_inline]] i16x8 operator()(i32x4 low, i32x4 high, std::ptrdiff_t channel) const {
    return narrow(steps(low, load_f32x4(multipliers_ + channel)), steps(high, load_f32x4(multipliers_ + channel + 4)));
  }
  u8x16 finish(u8x16 codes) const { return min(codes, qmax_); }

 private:
  static constexpr std::int32_t kMagicBits = 0x4b400000;  // 1.5 * 2^23: adding it rounds half to even
  /// The sum's bits grow with its value, so what is too low is raised as an integer; what is too high, narrow() saturates.
  i32x4 steps(i32x4 acc, f32x4 multiplier) const { return max(bits_of(to_f32x4(acc) * multiplier + magic_), lowest_) - zero_; }

  const float* multipliers_;
  f32x4 magic_;
  i32x4 lowest_, zero_;
  u8x16 qmax_;
};

class RequantizeFixedLanes {
 public:
  static constexpr bool is_float = false;
  explicit RequantizeFixedLanes(const Requantize& r)
      : multipliers_(r.fixed_multipliers),
        left_shift_(r.left_shift),
        zero_(splat_i16((r.zero_point << kFixedPointRightShift) + (1 << (kFixedPointRightShift - 1)))),
        qmin_(splat_u8(r.qmin)),
        qmax_(splat_u8(r.qmax)) {}

  [[gnu::always_inline]] i16x8 operator()(i32x4 low, i32x4 high, std::ptrdiff_t channel) const {
    if (left_shift_ != 0) {
      const std::int32_t limit = 0x7fffffff >> left_shift_;
      low = min(max(low, splat(-limit - 1)), splat(limit)) << left_shift_;
      high = min(max(high, splat(-limit - 1)), splat(limit)) << left_shift_;
    }
    // What saturates here lies outside of all codes, and stays there.
    const i16x8 quarters = narrow(multiply_high(low, load_lanes<i32x4>(multipliers_ + channel)),
                                  multiply_high(high, load_lanes<i32x4>(multipliers_ + channel + 4)));
    return add_saturated(quarters, zero_) >> kFixedPointRightShift;
  }
  u8x16 finish(u8x16 codes) const { return min(max(codes, qmin_), qmax_); }

 private:
  const std::int32_t* multipliers_;
  std::int32_t left_shift_;
  i16x8 zero_;
  u8x16 qmin_, qmax_;
};

}  // namespace bitwright
