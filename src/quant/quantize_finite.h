#pragma once

#include <bit>
#include <cstdint>

#include "base/simd_int.h"
#include "quant/quantize.h"

// The two loops of schemes whose scale follows from the ends of the values: written inline, for blocks as short as 16 values.

namespace bitwright {

/// The largest |x| of what it was shown, lane by lane.
class LargestMagnitude {
 public:
  [[gnu::always_inline]] void see(const float* x) {  // four values
    lanes_ = max(lanes_, bits_of(load_f32x4(x)) & magnitude_);
  }
  [[gnu::always_inline]] void see(const float* x, std::int64_t n) {
    std::int64_t i = 0;
    i32x4 other{};  // so that two chains run beside each other
    for (; i + 8 <= n; i += 8) {
      see(x + i);
      other = max(other, bits_of(load_f32x4(x + i + 4)) & magnitude_);
    }
    lanes_ = max(lanes_, other);
    for (; i < n; ++i) lanes_ = max(lanes_, splat(std::bit_cast<std::int32_t>(x[i])) & magnitude_);
  }
  void forget() { lanes_ = i32x4{}; }
  /// Its bits; at least kNotFinite where an infinity or NaN was among them.
  std::int32_t bits() const {
    const i32x4 m = max(lanes_, __builtin_shufflevector(lanes_, lanes_, 2, 3, 0, 1));
    return std::max(m[0], m[1]);
  }

 private:
  i32x4 lanes_{};
  i32x4 magnitude_ = in_register(splat(INT32_MAX));
};
inline constexpr std::int32_t kNotFinite = 0x7f800000;

/// As quantize_run, for finite values with |x / scale| < 2^20: nothing is left to be saturated but codes. Its constants are made
/// once, for many runs.
class FiniteCodes {
 public:
  explicit FiniteCodes(CodeRange range) : range_(range), low_(splat_i16(range.qmin)), high_(splat_i16(range.qmax)) {}

  /// `next`, if any, are n values that `largest` sees meanwhile: they come from memory while this divides.
  [[gnu::always_inline]] void operator()(const float* x, std::int64_t n, float scale, std::int32_t zero_point,
                                         std::uint8_t* codes, const float* next, LargestMagnitude& largest) const {
    const f32x4 divisor = splat(scale);
    const i32x4 offset = splat(zero_point - std::bit_cast<std::int32_t>(kMagic));
    const auto eight = [&](const float* from) {
      const i32x4 a = bits_of(load_f32x4(from) / divisor + magic_) + offset;
      const i32x4 b = bits_of(load_f32x4(from + 4) / divisor + magic_) + offset;
      return clamp(narrow(a, b), low_, high_) & low_byte_;
    };
    std::int64_t i = 0;
    if (next != nullptr) {
      for (; i + 16 <= n; i += 16) {
        for (int k = 0; k < 16; k += 4) largest.see(next + i + k);
        store_lanes(codes + i, narrow(eight(x + i), eight(x + i + 8)));
      }
      largest.see(next + i, n - i);
    } else {
      for (; i + 16 <= n; i += 16) store_lanes(codes + i, narrow(eight(x + i), eight(x + i + 8)));
    }
    if (i < n) quantize_run(x + i, static_cast<std::size_t>(n - i), scale, zero_point, range_, codes + i);
  }

 private:
  static constexpr float kMagic = 0x1.8p23f;  // its unit in the last place is 1: adding it rounds half to even
  CodeRange range_;
  i16x8 low_;
  i16x8 high_;
  f32x4 magic_ = in_register(splat(kMagic));
  i16x8 low_byte_ = in_register(splat_i16(0xff));
};

}  // namespace bitwright
