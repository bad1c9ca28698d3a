#include <algorithm>
#include <cmath>

#include "quant/observers/range_search.h"
#include "quant/rounding.h"

namespace bitwright {

namespace {

/// Steps tried along one end of the range, and how often both ends take turns, each time on a finer grid.
constexpr int kSteps = 40;
constexpr int kRounds = 3;
constexpr double kNarrowing = kSteps / 4.0;

}  // namespace

ErrorBounds error_bounds(const Bins& bins, RealRange range, CodeRange codes, bool is_symmetric) {
  const ScaleZeroPoint chosen = choose_activation_scale(range, codes, is_symmetric);
  const double step = chosen.scale;
  const auto steps_of = [&](double real) {
    return std::clamp(round_half_even(real / step), double(codes.qmin) - chosen.zero_point,
                      double(codes.qmax) - chosen.zero_point);
  };
  ErrorBounds sums;
  for (std::size_t i = 0; i < bins.counts.size(); ++i) {
    if (bins.counts[i] == 0) continue;
    const double n = static_cast<double>(bins.counts[i]);
    const double low = bins.edge(i), high = bins.edge(i + 1);
    const double mean = low + bins.width * (bins.rests.empty() ? 0.5 : bins.rests[i] / n);
    const double distance = mean - step * steps_of(mean);
    const double most = distance * distance;
    double least = most;
    const double first = steps_of(low), last = steps_of(high);
    if (last - first == 1.0) {
      const double limit = step * (first + 0.5);
      const double spread = ((high - mean) * (limit - low) + (mean - low) * (high - limit)) / bins.width;
      least -= step * (spread - std::abs(mean - limit));
    } else if (last != first) {
      least = -(mean - low) * (high - mean);
    }
    sums.most += n * most;
    sums.least += n * least;
  }
  return sums;
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
  const auto most = [&](RealRange range) { return error_bounds(bins, range, codes, is_symmetric).most; };
  const RealRange best = search_range(whole, is_symmetric, most);
  return most(best) < error_bounds(bins, whole, codes, is_symmetric).least ? best : whole;
}

}  // namespace bitwright
