#include <algorithm>
#include <bit>
#include <vector>

#include "base/error.h"
#include "calibrate/statistics.h"
#include "quant/observers/range_search.h"

namespace bitwright {

RealRange choose_range(const TensorStatistics& statistics, const CalibrationOptions& options, CodeRange codes,
                       bool is_symmetric) {
  const bool has_finite = statistics.n_values > statistics.n_not_finite;
  if (!has_finite && statistics.n_not_finite != 0)
    throw_error(ErrorCode::bad_data, {"no finite value was seen: sample ", statistics.first_not_finite_sample,
                                      " is the first with NaN or infinity; check the samples and their preprocessing"});
  const RealRange seen{std::min(statistics.rmin, 0.0f), std::max(statistics.rmax, 0.0f)};
  if (!has_finite) return {};
  RealRange chosen = seen;
  const Bins bins =
      occupied_bins(statistics.histogram, statistics.histogram_min, statistics.histogram_max, statistics.histogram_rests);
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
      if (has_bins)
        chosen = aciq_range(moments_of(bins), std::bit_width(static_cast<std::uint32_t>(codes.qmax - codes.qmin)),
                            options.method == CalibrationMethod::aciq_laplace);
      break;
    case CalibrationMethod::output_error:
      throw_error(ErrorCode::unsupported, {"output_error weighs the errors of weights; choose mse for activations"});
  }
  return {std::clamp(chosen.rmin, seen.rmin, 0.0f), std::clamp(chosen.rmax, 0.0f, seen.rmax)};
}

}  // namespace bitwright
