#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "quant/encodings/encoding.h"
#include "report/value_histogram.h"

namespace bitwright {

/// What a scheme makes of one tensor: everything that a page or terminal shows of it.
struct SchemeReport {
  TensorScheme scheme;  // complete
  Shape shape;
  std::string granularity;
  std::uint64_t n_not_finite = 0;
  std::uint64_t n_scales = 0;  // or codebooks
  std::uint64_t stored_bytes = 0;
  double bits_per_weight = 0.0;
  double sqnr_db = 0.0;
  double cosine = 0.0;
  double mean_squared_error = 0.0;
  double max_abs_error = 0.0;
  std::optional<ValueHistogram> histogram;        // of the values
  std::optional<ValueHistogram> error_histogram;  // of value - real, symmetric around 0; nothing where there is no error
  std::vector<double> rms_errors;                 // of the values in each bin of `histogram`
  /// How often each code is used in the whole tensor, from range.qmin on; empty for 16 bits.
  std::vector<std::uint64_t> code_counts;
  /// The group that is shown: what each code stands for there (in the order of code_counts; empty for 16 bits and product), and
  /// the numbers of its formula. `scale` is 1 where a codebook has none.
  std::int64_t scale_index = 0;
  std::vector<float> grid;
  float scale = 1.0f;
  std::int32_t zero_point = 0;
  std::uint8_t scale_code = 0;  // of scale forms that have one
  float threshold = 0.0f;       // ternary: x of at most that become 0
  std::vector<float> codebook;  // product: entry after entry
  CodeRange range;
  float rmin = 0.0f;  // of the group's finite values
  float rmax = 0.0f;
  RealRange clip;  // what the scale was chosen for: rmin and rmax widened to hold 0, then clipped
};

/// What stays the same whatever scheme is tried on the values.
struct ShownValues {
  explicit ShownValues(std::span<const float> values) : histogram(histogram_of(values, &bins)) {}

  std::vector<std::uint8_t> bins;  // of each value
  std::optional<ValueHistogram> histogram;
};

/// Encodes, decodes and measures. `shown` is of the values, where the caller has it already. Throws as encode_tensor does; Error{invalid_argument} for a scale that is not there.
SchemeReport report_scheme(std::span<const float> values, const Shape& shape, const TensorScheme& scheme, std::int64_t axis,
                           std::int64_t scale_index = 0, const EncodeOptions& options = {}, const ShownValues* shown = nullptr);

}  // namespace bitwright
