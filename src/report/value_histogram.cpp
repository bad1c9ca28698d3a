#include "report/value_histogram.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

std::optional<ValueHistogram> histogram_of(std::span<const float> values, std::vector<std::uint8_t>* bins) {
  ValueHistogram histogram;
  bool is_first = true;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    histogram.min = is_first ? value : std::min(histogram.min, value);
    histogram.max = is_first ? value : std::max(histogram.max, value);
    is_first = false;
  }
  if (is_first) return std::nullopt;
  histogram.counts.assign(kShownBins, 0);
  const double span = static_cast<double>(histogram.max) - static_cast<double>(histogram.min);
  const double per_real = span > 0.0 ? static_cast<double>(kShownBins) / span : 0.0;
  if (bins != nullptr) bins->assign(values.size(), 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    const auto place = static_cast<std::size_t>((static_cast<double>(values[i]) - static_cast<double>(histogram.min)) * per_real);
    const std::size_t bin = std::min(place, kShownBins - 1);
    ++histogram.counts[bin];
    if (bins != nullptr) (*bins)[i] = static_cast<std::uint8_t>(bin);
  }
  return histogram;
}

std::optional<ValueHistogram> histogram_of(const TensorStatistics& statistics) {
  const std::vector<std::uint64_t>& bins = statistics.histogram;
  if (bins.empty()) return std::nullopt;
  // The streamed histogram widens by doubling, so its ends may be empty: they are left out.
  std::size_t begin = 0;
  std::size_t end = bins.size();
  while (begin < end && bins[begin] == 0) ++begin;
  while (end > begin && bins[end - 1] == 0) --end;
  if (begin == end) return std::nullopt;
  const std::size_t per_bin = (end - begin + kShownBins - 1) / kShownBins;
  const double width = (static_cast<double>(statistics.histogram_max) - static_cast<double>(statistics.histogram_min)) /
                       static_cast<double>(bins.size());
  ValueHistogram histogram;
  histogram.counts.assign((end - begin + per_bin - 1) / per_bin, 0);
  for (std::size_t i = begin; i < end; ++i) histogram.counts[(i - begin) / per_bin] += bins[i];
  histogram.min = static_cast<float>(static_cast<double>(statistics.histogram_min) + width * static_cast<double>(begin));
  histogram.max =
      static_cast<float>(static_cast<double>(histogram.min) + width * static_cast<double>(per_bin * histogram.counts.size()));
  return histogram;
}

}  // namespace bitwright
