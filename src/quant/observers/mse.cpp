#include <algorithm>

#include "quant/observers/range_search.h"
#include "quant/rounding.h"

namespace bitwright {

namespace {

/// Steps tried along one end of the range, and how often both ends take turns, each time on a finer grid.
constexpr int kSteps = 40;
constexpr int kRounds = 3;
constexpr double kNarrowing = kSteps / 4.0;

/// The reals that codes stand for: multiples of step within [low, high].
struct Grid {
  double step;
  double low;
  double high;

  /// The integral of (u - u')^2 from 0 to x.
  double error_up_to(double x) const {
    const double inside = std::clamp(x, low, high);
    const double n = round_half_even(inside / step);
    const double rest = inside - n * step;
    double sum = n * (step * step * step / 12.0) + rest * rest * rest / 3.0;
    if (x > high) sum += (x - high) * (x - high) * (x - high) / 3.0;
    if (x < low) sum -= (low - x) * (low - x) * (low - x) / 3.0;
    return sum;
  }
};

}  // namespace

double expected_mse(const Bins& bins, RealRange range, CodeRange codes, bool is_symmetric) {
  if (bins.total == 0) return 0.0;
  const ScaleZeroPoint chosen = choose_scale_zero_point(range, codes, is_symmetric);
  const double step = chosen.scale;
  const double zero_point = chosen.zero_point;
  const Grid grid{step, step * (codes.qmin - zero_point), step * (codes.qmax - zero_point)};
  double sum = 0.0;
  double before = grid.error_up_to(bins.edge(0));
  for (std::size_t i = 0; i < bins.counts.size(); ++i) {
    const double after = grid.error_up_to(bins.edge(i + 1));
    if (bins.counts[i] != 0) sum += static_cast<double>(bins.counts[i]) * (after - before);
    before = after;
  }
  return sum / (bins.width * static_cast<double>(bins.total));
}

RealRange search_range(RealRange whole, bool is_symmetric, FunctionRef<double(RealRange)> error) {
  RealRange best = whole;
  double least = error(whole);
  const auto try_range = [&](RealRange range) {
    const double found = error(range);
    if (!(found < least)) return;
    least = found;
    best = range;
  };
  if (is_symmetric) {
    const float largest = std::max(-whole.rmin, whole.rmax);
    double reach = 1.0;  // candidates lie between (centre - reach) and (centre + reach) of the largest
    for (int round = 0; round < kRounds; ++round) {
      const double centre = std::max(-best.rmin, best.rmax) / static_cast<double>(largest);
      for (int k = 1; k <= kSteps; ++k) {
        const double share = centre + reach * (1.0 - 2.0 * k / kSteps);
        if (!(share > 0.0 && share < 1.0)) continue;
        const auto end = static_cast<float>(share * static_cast<double>(largest));
        try_range({std::max(-end, whole.rmin), std::min(end, whole.rmax)});
      }
      reach /= kNarrowing;
    }
    return best;
  }
  double reach = 1.0;
  for (int round = 0; round < kRounds; ++round) {
    for (const bool is_upper : {true, false}) {
      const double full = is_upper ? whole.rmax : whole.rmin;
      const RealRange start = best;
      if (full == 0.0) continue;
      const double centre = (is_upper ? start.rmax : start.rmin) / full;
      for (int k = 1; k <= kSteps; ++k) {
        const double share = centre + reach * (1.0 - 2.0 * k / kSteps);
        if (!(share > 0.0 && share < 1.0)) continue;
        const auto end = static_cast<float>(share * full);
        try_range(is_upper ? RealRange{start.rmin, end} : RealRange{end, start.rmax});
      }
    }
    reach /= kNarrowing;
  }
  return best;
}

RealRange mse_range(const Bins& bins, RealRange whole, CodeRange codes, bool is_symmetric) {
  return search_range(whole, is_symmetric, [&](RealRange range) { return expected_mse(bins, range, codes, is_symmetric); });
}

}  // namespace bitwright
