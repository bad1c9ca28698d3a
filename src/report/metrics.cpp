#include "report/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/math.h"
#include "base/simd.h"

namespace bitwright {

namespace {

constexpr std::size_t kLanes = 4;
constexpr std::size_t kPiece = 1024;
constexpr double kLn10 = 2.302585092994045684;

/// The reals half a step beyond the first and the last code.
struct Limits {
  double low;
  double high;
  Limits(ScaleZeroPoint params, CodeRange codes)
      : low(static_cast<double>(params.scale) * (static_cast<double>(codes.qmin) - params.zero_point - 0.5)),
        high(static_cast<double>(params.scale) * (static_cast<double>(codes.qmax) - params.zero_point + 0.5)) {}
  bool clips(double value) const { return value < low || value > high; }
};

}  // namespace

bool ErrorSums::add_finite(const float* reference, const float* approximation, std::size_t n) {
  f64x2 xx[2] = {}, yy[2] = {}, xy[2] = {}, ee[2] = {}, most[2] = {};
  f32x4 low = splat(reference[0]), high = low;
  const auto two = [&](int half, f64x2 x, f64x2 y) __attribute__((always_inline)) {
    const f64x2 error = x - y;
    xx[half] += x * x;
    yy[half] += y * y;
    xy[half] += x * y;
    ee[half] += error * error;
    most[half] = max(most[half], abs(error));
  };
  const auto four = [&](f32x4 x, f32x4 y) __attribute__((always_inline)) {
    two(0, low_f64x2(x), low_f64x2(y));
    two(1, high_f64x2(x), high_f64x2(y));
  };
  std::size_t at = 0;
  for (; at + kLanes <= n; at += kLanes) {
    const f32x4 x = load_f32x4(reference + at);
    low = min(low, x);
    high = max(high, x);
    four(x, load_f32x4(approximation + at));
  }
  float rest[2][kLanes] = {};  // pairs of zeros add nothing
  for (std::size_t l = 0; at + l < n; ++l) {
    rest[0][l] = reference[at + l];
    rest[1][l] = approximation[at + l];
    low = min(low, splat(rest[0][l]));
    high = max(high, splat(rest[0][l]));
  }
  four(load_f32x4(rest[0]), load_f32x4(rest[1]));
  const auto total = [](const f64x2* lanes) { return (lanes[0][0] + lanes[0][1]) + (lanes[1][0] + lanes[1][1]); };
  // Squares of floats do not overflow a double: only what was not finite before makes the sum so.
  if (!std::isfinite(total(xx) + total(yy))) return false;
  for (std::size_t l = 0; l < kLanes; ++l) {
    max_abs_error_ = std::max(max_abs_error_, most[l / 2][l % 2]);
    rmin_ = n_ == 0 && l == 0 ? static_cast<double>(low[l]) : std::min(rmin_, static_cast<double>(low[l]));
    rmax_ = n_ == 0 && l == 0 ? static_cast<double>(high[l]) : std::max(rmax_, static_cast<double>(high[l]));
  }
  sum_xx_ += total(xx);
  sum_yy_ += total(yy);
  sum_xy_ += total(xy);
  sum_error_ += total(ee);
  n_ += n;
  return true;
}

void ErrorSums::add(std::span<const float> reference, std::span<const float> approximation) {
  BITWRIGHT_ASSERT(reference.size() == approximation.size());
  for (std::size_t at = 0; at < reference.size(); at += kPiece) {
    const std::size_t n = std::min(kPiece, reference.size() - at);
    const float* x = reference.data() + at;
    const float* y = approximation.data() + at;
    if (add_finite(x, y, n)) continue;
    for (std::size_t i = 0; i < n; ++i) {
      if (add_finite(x + i, y + i, 1)) continue;
      ++n_not_finite_;
      is_ruined_ |= std::isfinite(x[i]);
    }
  }
}

double ErrorSums::sqnr_db() const {
  if (is_ruined_) return std::numeric_limits<double>::quiet_NaN();
  if (sum_error_ == 0.0) return std::numeric_limits<double>::infinity();
  if (sum_xx_ == 0.0) return -std::numeric_limits<double>::infinity();
  return 10.0 * (f64::log(sum_xx_ / sum_error_) / kLn10);
}

double ErrorSums::cosine() const {
  if (is_ruined_) return 0.0;
  if (sum_xx_ == 0.0 && sum_yy_ == 0.0) return 1.0;
  if (sum_xx_ == 0.0 || sum_yy_ == 0.0) return 0.0;
  if (sum_error_ == 0.0) return 1.0;
  return std::clamp(sum_xy_ / (std::sqrt(sum_xx_) * std::sqrt(sum_yy_)), -1.0, 1.0);
}

double ErrorSums::mean_squared_error() const { return n_ == 0 ? 0.0 : sum_error_ / static_cast<double>(n_); }

std::int64_t top1(std::span<const float> scores) {
  std::int64_t best = -1;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (!std::isnan(scores[i]) && (best < 0 || scores[i] > scores[static_cast<std::size_t>(best)]))
      best = static_cast<std::int64_t>(i);
  return best;
}

Interval wilson_interval(std::uint64_t count, std::uint64_t total) {
  if (total == 0) return {};
  constexpr double z = 1.959963984540054;
  const double n = static_cast<double>(total);
  const double p = static_cast<double>(count) / n;
  const double center = p + z * z / (2.0 * n);
  const double spread = z * std::sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
  const double divisor = 1.0 + z * z / n;
  return {count == 0 ? 0.0 : std::max(0.0, (center - spread) / divisor),
          count == total ? 1.0 : std::min(1.0, (center + spread) / divisor)};
}

double clipped_share(std::span<const std::uint64_t> counts, double histogram_min, double histogram_max, ScaleZeroPoint params,
                     CodeRange codes) {
  const Limits limits(params, codes);
  const double width = counts.empty() ? 0.0 : (histogram_max - histogram_min) / static_cast<double>(counts.size());
  std::uint64_t n_clipped = 0;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    if (limits.clips(histogram_min + (static_cast<double>(i) + 0.5) * width)) n_clipped += counts[i];
  }
  return total == 0 ? 0.0 : static_cast<double>(n_clipped) / static_cast<double>(total);
}

}  // namespace bitwright
