#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "quant/channel_request.h"
#include "quant/quant_params.h"
#include "quant/recipe.h"

namespace bitwright {

/// What was seen of one activation over all samples. Everything has a fixed size whatever the number of samples.
struct TensorStatistics {
  std::uint64_t n_samples = 0;
  std::uint64_t n_values = 0;
  float rmin = 0.0f;  // smallest and largest finite value seen
  float rmax = 0.0f;
  float average_rmin = 0.0f;  // exponential moving averages of each sample's ends
  float average_rmax = 0.0f;
  std::uint64_t n_not_finite = 0;
  std::int64_t first_not_finite_sample = -1;
  /// Streamed histogram over [histogram_min, histogram_max]; empty unless the method needs one.
  float histogram_min = 0.0f;
  float histogram_max = 0.0f;
  std::vector<std::uint64_t> histogram;
  std::vector<double> histogram_rests;      // WideningHistogram::rests, for mse
  std::vector<ChannelStatistics> channels;  // of each ChannelRequest
};

/// One row per observed value.
using Statistics = std::map<std::string, TensorStatistics, std::less<>>;

/// The clipping range that the method chooses for this tensor and these codes; always holds 0, never wider than what was seen.
/// Throws Error{bad_data} naming the first sample with NaN or infinity where no finite value was seen.
RealRange choose_range(const TensorStatistics& statistics, const CalibrationOptions& options, CodeRange codes, bool is_symmetric);

}  // namespace bitwright
