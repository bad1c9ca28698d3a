#include "report/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace bitwright {

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
  return 10.0 * std::log10(sum_xx_ / sum_error_);
}

double ErrorSums::cosine() const {
  if (sum_xx_ == 0.0 && sum_yy_ == 0.0) return 1.0;
  if (sum_xx_ == 0.0 || sum_yy_ == 0.0) return 0.0;
  return std::clamp(sum_xy_ / (std::sqrt(sum_xx_) * std::sqrt(sum_yy_)), -1.0, 1.0);
}

double ErrorSums::mean_squared_error() const { return n_ == 0 ? 0.0 : sum_error_ / static_cast<double>(n_); }

std::int64_t top1(std::span<const float> scores) {
  std::int64_t best = -1;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (!std::isnan(scores[i]) && (best < 0 || scores[i] > scores[static_cast<std::size_t>(best)])) best = static_cast<std::int64_t>(i);
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
  return {std::max(0.0, (center - spread) / divisor), std::min(1.0, (center + spread) / divisor)};
}

}  // namespace bitwright
