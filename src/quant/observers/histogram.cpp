#include "quant/observers/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/simd.h"

namespace bitwright {

namespace {

/// Widths between 2^-120 and 2^120: the quotient of any value by them is exact or far inside the first bin.
constexpr int kMinExponent = -120;
/// The most values counted before the 32-bit counts are emptied, and what a cache holds.
constexpr std::size_t kPieceLength = std::size_t{1} << 28;
/// Below this many values private copies cost more than they save.
constexpr std::size_t kFewValues = 2048;

double floor_bin(float value, int exponent) { return std::floor(std::ldexp(static_cast<double>(value), -exponent)); }

/// floor(x * 2^-exponent) - first, in four lanes. Every value lies in the bins, so that conversions stay small and exact.
struct BinOf {
  f32x4 inverse_width;
  i32x4 first;

  i32x4 operator()(f32x4 x) const {
    const f32x4 t = x * inverse_width;
    const i32x4 towards_zero = to_i32x4(t);
    return towards_zero + i32x4(t < to_f32x4(towards_zero)) - first;  // a true lane is -1
  }
};

}  // namespace

WideningHistogram::WideningHistogram(int n_bins, bool with_rests) {
  if (n_bins < 64 || n_bins > 1 << 20)
    throw_error(ErrorCode::invalid_argument, {"a histogram of ", n_bins, " bins is not possible; give 64 to 1048576"});
  counts_.assign(static_cast<std::size_t>(n_bins), 0);
  if (with_rests) rests_.assign(counts_.size(), 0.0);
}

float WideningHistogram::bin_width() const { return is_empty_ ? 0.0f : std::ldexp(1.0f, exponent_); }
// The outermost bins may reach past the largest float.
float WideningHistogram::min() const {
  if (is_empty_) return 0.0f;
  const double edge = std::ldexp(static_cast<double>(first_), exponent_);
  return static_cast<float>(std::max(edge, static_cast<double>(std::numeric_limits<float>::lowest())));
}
float WideningHistogram::max() const {
  if (is_empty_) return 0.0f;
  const double edge = std::ldexp(static_cast<double>(first_ + static_cast<std::int64_t>(counts_.size())), exponent_);
  return static_cast<float>(std::min(edge, static_cast<double>(std::numeric_limits<float>::max())));
}

void WideningHistogram::widen_to_hold(float rmin, float rmax) {
  rmin_ = std::min(rmin_, rmin);
  rmax_ = std::max(rmax_, rmax);
  const auto n_bins = static_cast<double>(counts_.size());
  const double width = (static_cast<double>(rmax_) - static_cast<double>(rmin_)) / n_bins;
  // Bins of the width to start from span at most half of the range.
  int exponent = width > 0.0 ? std::max(kMinExponent, std::ilogb(width) - 1) : kMinExponent;
  while (floor_bin(rmax_, exponent) - floor_bin(rmin_, exponent) >= n_bins) ++exponent;
  const auto first = static_cast<std::int64_t>(floor_bin(rmin_, exponent));
  if (!is_empty_ && (exponent != exponent_ || first != first_)) {
    const int n_doublings = std::min(exponent - exponent_, 62);  // beyond, all bins are one of g = 0 or -1
    std::vector<std::uint64_t> merged(counts_.size(), 0);
    std::vector<double> merged_rests(rests_.size(), 0.0);
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] == 0) continue;
      const std::int64_t bin = first_ + static_cast<std::int64_t>(i), wider = bin >> n_doublings;
      const auto to = static_cast<std::size_t>(wider - first);
      merged[to] += counts_[i];
      if (rests_.empty()) continue;
      const double bins_below = std::ldexp(static_cast<double>(bin), -n_doublings) - static_cast<double>(wider);  // in wider ones
      merged_rests[to] += bins_below * static_cast<double>(counts_[i]) + std::ldexp(rests_[i], -n_doublings);
    }
    counts_ = std::move(merged);
    rests_ = std::move(merged_rests);
  }
  exponent_ = exponent;
  first_ = first;
  is_empty_ = false;
}

void WideningHistogram::add(std::span<const float> values, float rmin, float rmax, bool all_finite) {
  if (values.empty() || rmin > rmax) return;
  widen_to_hold(rmin, rmax);
  if (!rests_.empty()) {
    const float inverse_width = std::ldexp(1.0f, -exponent_);
    for (const float value : values) {
      if (!std::isfinite(value)) continue;
      const float steps = value * inverse_width, whole = std::floor(steps);
      rests_[static_cast<std::size_t>(static_cast<std::int64_t>(whole) - first_)] += static_cast<double>(steps - whole);
    }
  }
  const BinOf bin_of{splat(std::ldexp(1.0f, -exponent_)), splat(static_cast<std::int32_t>(first_))};
  const auto count_one = [&](float value) {
    if (all_finite || std::isfinite(value)) ++counts_[static_cast<std::size_t>(bin_of(splat(value))[0])];
  };
  if (!all_finite || values.size() < kFewValues) {
    for (const float value : values) count_one(value);
    return;
  }
  const std::size_t n_bins = counts_.size();
  for (std::size_t at = 0; at < values.size(); at += kPieceLength) {
    const std::span<const float> piece = values.subspan(at, std::min(kPieceLength, values.size() - at));
    copies_.assign(4 * n_bins, 0);
    std::uint32_t* lanes[4] = {copies_.data(), copies_.data() + n_bins, copies_.data() + 2 * n_bins, copies_.data() + 3 * n_bins};
    std::size_t i = 0;
    for (; i + 4 <= piece.size(); i += 4) {
      const i32x4 bins = bin_of(load_f32x4(piece.data() + i));
      ++lanes[0][bins[0]];
      ++lanes[1][bins[1]];
      ++lanes[2][bins[2]];
      ++lanes[3][bins[3]];
    }
    for (; i < piece.size(); ++i) count_one(piece[i]);
    for (std::size_t b = 0; b < n_bins; ++b) counts_[b] += std::uint64_t{lanes[0][b]} + lanes[1][b] + lanes[2][b] + lanes[3][b];
  }
}

}  // namespace bitwright
