#include <cmath>

#include "base/math.h"
#include "quant/observers/range_search.h"

namespace bitwright {

namespace {

/// Where a function that falls through 0 between low and high does so.
template <typename Function>
double root(double low, double high, Function&& function) {
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (function(middle) > 0.0 ? low : high) = middle;
  }
  return low;
}

/// The sums are taken in one order, whatever the values.
template <typename ForEach>
Moments moments(ForEach&& for_each) {
  double n = 0.0;
  double sum = 0.0;
  for_each([&](double x, double count) {
    n += count;
    sum += count * x;
  });
  Moments found;
  if (n == 0.0) return found;
  found.mean = sum / n;
  double squares = 0.0;
  for_each([&](double x, double count) {
    found.mean_distance += count * std::abs(x - found.mean);
    squares += count * (x - found.mean) * (x - found.mean);
  });
  found.mean_distance /= n;
  found.deviation = std::sqrt(squares / n);
  return found;
}

}  // namespace

Moments moments_of(FunctionRef<void(FunctionRef<void(std::span<const float>)>)> for_each_piece) {
  return moments([&](auto&& add) {
    for_each_piece([&](std::span<const float> values) {
      for (const float value : values) add(static_cast<double>(value), 1.0);
    });
  });
}

Moments moments_of(const Bins& bins) {
  return moments([&](auto&& add) {
    for (std::size_t i = 0; i < bins.counts.size(); ++i)
      if (bins.counts[i] != 0) add(0.5 * (bins.edge(i) + bins.edge(i + 1)), static_cast<double>(bins.counts[i]));
  });
}

RealRange aciq_range(const Moments& moments, int bits, bool is_laplace) {
  constexpr double kSqrtHalf = 0.70710678118654752;
  constexpr double kDensityOfZero = 0.39894228040143268;  // of the normal distribution: 1 / sqrt(2 pi)
  const double a_thirds = 1.0 / (3.0 * std::ldexp(1.0, 2 * bits));
  // The derivative of the error by a, in units of the spread.
  const double a = is_laplace ? moments.mean_distance * root(0.0, 40.0, [&](double t) { return f64::exp(-t) - a_thirds * t; })
                              : moments.deviation * root(0.0, 40.0, [&](double t) {
                                  const double tail = 0.5 * (1.0 - f64::erf(t * kSqrtHalf));
                                  return 2.0 * (kDensityOfZero * f64::exp(-0.5 * t * t) - t * tail) - a_thirds * t;
                                });
  return {static_cast<float>(std::fmin(0.0, moments.mean - a)), static_cast<float>(std::fmax(0.0, moments.mean + a))};
}

}  // namespace bitwright
