#pragma once

#include <bit>
#include <cstdint>

#include "base/simd_int.h"
#include "quant/quantize.h"

// The two loops of schemes whose scale follows from the ends of the values: written inline, for blocks as short as 16 values.

namespace bitwright {

/// Processors fetch ahead within each page that is being read, so that four pages at once come from memory in two thirds of the time
/// that one after the other takes. While the values of four stretches are worked on, this reads one value of each cache line of the
/// next four, in turn.
class ReadAhead {
 public:
  ReadAhead(const float* values, std::int64_t n) : next_(values), end_(values + n) { advance(); }
  /// For every kLine values that were worked on.
  [[gnu::always_inline]] void line() {
    if (next_ == nullptr) return;
    seen_ |= std::bit_cast<std::int32_t>(next_[(line_ % kPages) * kPage + line_ / kPages * kLine]);
    if (++line_ == kPages * kPage / kLine) advance();
  }
  ~ReadAhead() { asm volatile("" : : "r"(seen_)); }  // or compilers leave the reads out
  ReadAhead(const ReadAhead&) = default;
  ReadAhead& operator=(const ReadAhead&) = default;

  static constexpr std::int64_t kLine = 16;

 private:
  void advance() {
    line_ = 0;
    next_ = end_ - next_ >= 2 * kPages * kPage ? next_ + kPages * kPage : nullptr;
  }

  static constexpr std::int64_t kPages = 4;
  static constexpr std::int64_t kPage = 2048;  // floats
  const float* next_;
  const float* end_;
  std::int64_t line_ = 0;
  std::int32_t seen_ = 0;
};

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

/// The bits of the largest |x| of each of n_groups groups of `length` values; returns the largest of them.
std::int32_t largest_magnitudes(const float* x, std::int64_t length, std::int64_t n_groups, std::int32_t* bits);

/// The scales that follow from them, times `ratio`; of those that are not finite any number.
void scales_of(const SymmetricScale& scale, const std::int32_t* bits, std::int64_t n_groups, float ratio, float* scales);

/// As quantize_run for each group of `length` values, for finite values with |x / scale| < 2^20: nothing is left to be saturated but
/// codes.
class FiniteCodes {
 public:
  explicit FiniteCodes(CodeRange range) : range_(range) {}

  void operator()(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                  const std::int32_t* zero_points, std::uint8_t* codes, ReadAhead& ahead) const;

 private:
  CodeRange range_;
};

}  // namespace bitwright
