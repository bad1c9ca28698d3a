#include "report/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/math.h"

namespace bitwright {

namespace {

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

void ErrorSums::add(std::span<const float> reference, std::span<const float> approximation) {
  BITWRIGHT_ASSERT(reference.size() == approximation.size());
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double x = reference[i];
    const double y = approximation[i];
    if (!std::isfinite(x) || !std::isfinite(y)) {
      ++n_not_finite_;
      continue;
    }
    rmin_ = n_ == 0 ? x : std::min(rmin_, x);
    rmax_ = n_ == 0 ? x : std::max(rmax_, x);
    ++n_;
    const double error = x - y;
    sum_xx_ += x * x;
    sum_yy_ += y * y;
    sum_xy_ += x * y;
    sum_error_ += error * error;
    max_abs_error_ = std::max(max_abs_error_, std::abs(error));
  }
}

double ErrorSums::sqnr_db() const {
  if (sum_error_ == 0.0) return std::numeric_limits<double>::infinity();
  if (sum_xx_ == 0.0) return -std::numeric_limits<double>::infinity();
  return 10.0 * (f64::log(sum_xx_ / sum_error_) / kLn10);
}

double ErrorSums::cosine() const {
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

double clipped_share(std::span<const float> values, ScaleZeroPoint params, CodeRange codes) {
  if (values.empty()) return 0.0;
  const Limits limits(params, codes);
  const auto n = std::count_if(values.begin(), values.end(), [&](float value) { return limits.clips(value); });
  return static_cast<double>(n) / static_cast<double>(values.size());
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
