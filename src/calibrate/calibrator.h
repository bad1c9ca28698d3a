#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "calibrate/statistics.h"
#include "quant/channel_request.h"
#include "tensor/tensor.h"

namespace bitwright {

/// Collects statistics of named values, pushed sample by sample by any runner. Its memory does not grow with the samples:
/// a few numbers for each value, and one histogram of options.n_bins bins where the method asks for it (percentile, entropy,
/// mse) or `with_histograms` does (for the report), and for what `channels` asks a number for each index of an axis and at most
/// kMaxSampleRows rows.
class Calibrator {
 public:
  /// Throws Error{invalid_argument} for options out of range.
  /// `channels` are of such values.
  Calibrator(CalibrationOptions options, const std::vector<std::string>& values, bool with_histograms = false,
             const std::vector<ChannelRequest>& channels = {});
  ~Calibrator();

  /// One value of the running sample; several tensors of one name and sample (a loop) count as one. Names that were not asked
  /// for, and tensors that are not f32, are left out.
  void observe(std::string_view value, const Tensor& tensor);
  /// Closes the running sample: moving averages take its ends in.
  void end_sample();
  /// What was seen so far; a row for each value asked for. Collecting may go on.
  Statistics finish() const;
  std::uint64_t n_samples() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitwright
