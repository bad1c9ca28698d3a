#pragma once

#include <bit>
#include <cstdint>

namespace bitwright {

/// Processors fetch ahead within each page that is being read, so that four stretches of memory at once arrive in two thirds of the
/// time that one after the other takes. While the values of four stretches are worked on, this reads one value of each cache line of
/// the next four, in turn. It never reads beyond the values.
class ReadAhead {
 public:
  ReadAhead(const float* values, std::int64_t n) : next_(values), end_(values + n) { advance(); }
  ReadAhead(const ReadAhead&) = default;
  ReadAhead& operator=(const ReadAhead&) = default;
  ~ReadAhead() { asm volatile("" : : "r"(seen_)); }  // or compilers leave the reads out

  /// For every 16 values, a cache line, that were worked on.
  [[gnu::always_inline]] void line() {
    if (next_ == nullptr) return;
    seen_ |= std::bit_cast<std::int32_t>(next_[line_ % kStretches * kStretch + line_ / kStretches * kLine]);
    if (++line_ == kStretches * kStretch / kLine) advance();
  }
  /// For every 32.
  [[gnu::always_inline]] void two_lines() {
    if (next_ == nullptr) return;
    if (line_ % 2 != 0) return line();  // one is left out: it comes with its neighbours
    const float* at = next_ + line_ % kStretches * kStretch + line_ / kStretches * kLine;
    seen_ |= std::bit_cast<std::int32_t>(at[0]) | std::bit_cast<std::int32_t>(at[kStretch]);
    if ((line_ += 2) == kStretches * kStretch / kLine) advance();
  }

 private:
  void advance() {
    line_ = 0;
    next_ = end_ - next_ >= 2 * kStretches * kStretch ? next_ + kStretches * kStretch : nullptr;
  }

  static constexpr std::int64_t kLine = 16;  // floats, as the next
  static constexpr std::int64_t kStretch = 2048;
  static constexpr std::int64_t kStretches = 4;
  const float* next_;  // nullptr: nothing is left to read
  const float* end_;
  std::int64_t line_ = 0;
  std::int32_t seen_ = 0;
};

}  // namespace bitwright
