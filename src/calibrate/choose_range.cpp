#include <algorithm>
#include <vector>

#include "base/error.h"
#include "calibrate/range_search.h"

namespace bitwright {

Bins occupied_bins(const TensorStatistics& statistics) {
  Bins bins;
  const std::size_t n = statistics.histogram.size();
  if (n == 0) return bins;
  bins.width =
      (static_cast<double>(statistics.histogram_max) - static_cast<double>(statistics.histogram_min)) / static_cast<double>(n);
  if (!(bins.width > 0.0)) return bins;
  const double below_zero = -static_cast<double>(statistics.histogram_min) / bins.width;
  const auto zero = static_cast<std::size_t>(std::clamp(below_zero + 0.5, 0.0, static_cast<double>(n)));
  std::size_t first = zero;
  std::size_t end = zero;
  for (std::size_t i = 0; i < n; ++i) {
    if (statistics.histogram[i] == 0) continue;
    first = std::min(first, i);
    end = std::max(end, i + 1);
    bins.total += statistics.histogram[i];
  }
  bins.counts = std::span(statistics.histogram).subspan(first, end - first);
  bins.zero = zero - first;
  return bins;
}

Bins level_spikes(const Bins& bins, std::vector<std::uint64_t>& counts) {
  counts.assign(bins.counts.begin(), bins.counts.end());
  const auto level = [&](std::size_t at, std::size_t neighbour) { counts[at] = std::min(counts[at], counts[neighbour]); };
  const std::size_t n = counts.size();
  if (n > 1) {
    if (bins.zero < n) level(bins.zero, bins.zero + 1 < n ? bins.zero + 1 : bins.zero - 1);
    if (bins.zero + 1 < n) level(n - 1, n - 2);
    if (bins.zero > 1) level(0, 1);
  }
  Bins levelled = bins;
  levelled.counts = counts;
  levelled.total = 0;
  for (const std::uint64_t count : counts) levelled.total += count;
  return levelled;
}

RealRange percentile_range(const Bins& bins, double percentile) {
  std::size_t first = 0;
  std::size_t end = bins.counts.size();
  // What may go, in values; computed so that 100 per cent takes nothing away.
  auto spare = static_cast<std::uint64_t>(static_cast<double>(bins.total) * ((100.0 - percentile) / 100.0));
  while (first < end) {
    const bool is_left = bins.zero > first && bins.zero - first > (end > bins.zero ? end - bins.zero : 0);
    const std::uint64_t count = bins.counts[is_left ? first : end - 1];
    if (count > spare) break;
    spare -= count;
    is_left ? ++first : --end;
  }
  return {static_cast<float>(std::min(0.0, bins.edge(first))), static_cast<float>(std::max(0.0, bins.edge(end)))};
}

RealRange choose_range(const TensorStatistics& statistics, const CalibrationOptions& options, CodeRange codes,
                       bool is_symmetric) {
  const bool has_finite = statistics.n_values > statistics.n_not_finite;
  if (!has_finite && statistics.n_not_finite != 0)
    throw Error(ErrorCode::bad_data, "no finite value was seen: sample " + std::to_string(statistics.first_not_finite_sample) +
                                         " is the first with NaN or infinity; check the samples and their preprocessing");
  const RealRange seen{std::min(statistics.rmin, 0.0f), std::max(statistics.rmax, 0.0f)};
  if (!has_finite) return {};
  RealRange chosen = seen;
  const Bins bins = occupied_bins(statistics);
  const bool has_bins = !bins.counts.empty();
  std::vector<std::uint64_t> spikeless;
  switch (options.method) {
    case CalibrationMethod::min_max:
      break;
    case CalibrationMethod::moving_average:
      chosen = {statistics.average_rmin, statistics.average_rmax};
      break;
    case CalibrationMethod::percentile:
      if (has_bins) chosen = percentile_range(bins, options.percentile);
      break;
    case CalibrationMethod::entropy:
      if (has_bins)
        chosen = entropy_range(level_spikes(bins, spikeless), std::int64_t{codes.qmax} - codes.qmin + 1, is_symmetric);
      break;
    case CalibrationMethod::mse:
      if (has_bins) chosen = mse_range(bins, seen, codes, is_symmetric);
      break;
    case CalibrationMethod::aciq_laplace:
    case CalibrationMethod::aciq_gaussian:
    case CalibrationMethod::output_error:
      throw Error(ErrorCode::unsupported, "this clipping method is for weights; choose mse for activations");
  }
  return {std::clamp(chosen.rmin, seen.rmin, 0.0f), std::clamp(chosen.rmax, 0.0f, seen.rmax)};
}

}  // namespace bitwright
