#include <algorithm>

#include "quant/observers/range_search.h"

namespace bitwright {

Bins occupied_bins(std::span<const std::uint64_t> counts, double lower, double upper, std::span<const double> rests) {
  Bins bins;
  const std::size_t n = counts.size();
  if (n == 0) return bins;
  bins.width = (upper - lower) / static_cast<double>(n);
  if (!(bins.width > 0.0)) return bins;
  const double below_zero = -lower / bins.width;
  const auto zero = static_cast<std::size_t>(std::clamp(below_zero + 0.5, 0.0, static_cast<double>(n)));
  std::size_t first = zero;
  std::size_t end = zero;
  for (std::size_t i = 0; i < n; ++i) {
    if (counts[i] == 0) continue;
    first = std::min(first, i);
    end = std::max(end, i + 1);
    bins.total += counts[i];
  }
  bins.counts = counts.subspan(first, end - first);
  if (!rests.empty()) bins.rests = rests.subspan(first, end - first);
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

}  // namespace bitwright
