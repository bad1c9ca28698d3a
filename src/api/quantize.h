#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "calibrate/statistics.h"
#include "model/model.h"
#include "passes/plan.h"
#include "quant/channel_request.h"
#include "quant/recipe.h"
#include "report/value_histogram.h"

namespace bitwright {

/// What happened to one tensor.
struct TensorReport {
  std::string tensor;
  TensorRole role = TensorRole::activation;
  DType dtype = DType::u8;  // that the codes are of; encodings without one of their own: the unsigned integer that holds them
  std::string scheme;       // of codes that are no plain integers: its name or its encoding's; else empty
  std::string granularity;  // as to_string(Granularity)
  float rmin = 0.0f;        // what the codes can say, over all scales
  float rmax = 0.0f;
  CodeRange range;              // of the codes
  std::vector<float> grid;      // EncodedWeight::grid
  float scale = 1.0f;           // the first
  std::int32_t zero_point = 0;  // the first
  std::int64_t n_scales = 1;
  double clipped_share = 0.0;               // activations with a histogram, and weights; else 0
  bool has_sqnr = false;                    // weights and biases
  double sqnr_db = 0.0;                     // +inf: exact
  std::optional<ValueHistogram> histogram;  // of the float values, where they were read or streamed
  std::uint64_t bytes_before = 0;           // 0 for activations
  std::uint64_t bytes_after = 0;            // codes, scales and zero points
};

struct QuantizeResult {
  std::shared_ptr<Model> model;
  std::vector<NodeDecision> nodes;  // every node of the input, folded ones too
  std::vector<TensorReport> tensors;
  std::vector<LintRow> lint;
  std::vector<std::string> messages;  // what was done besides: opset raised, batch norm folded
  std::uint64_t bytes_before = 0;     // of the model as it would be written, external data included
  std::uint64_t bytes_after = 0;
};

/// The values of the model that static quantization by this recipe needs ranges of, those that half precision can check, those that weights
/// with clipping output_error are multiplied with; else none.
/// Throws what quantize throws for the recipe: Error{bad_recipe, pattern_unmatched, unsupported}.
std::vector<std::string> values_to_calibrate(const Model& model, const Recipe& recipe);

/// The channels of such values whose mean squares (and rows, for product encodings) the recipe needs: none but for weights with
/// clipping output_error.
std::vector<ChannelRequest> channels_to_calibrate(const Model& model, const Recipe& recipe);

struct QuantizeLimits {
  /// SQNR, clipped share and histogram of every weight: measuring takes several times as long as quantizing.
  bool measures_weights = true;
  bool allows_larger = false;  // the result may be as large as the input: the caller looks at bytes_before and bytes_after
};

/// Quantizes a copy; the input stays as it is and shares its values with the result. The same model, recipe and statistics give
/// the same bytes. The recipe, our version and the input's hash are written into the result's metadata.
///   statistics     of values_to_calibrate and channels_to_calibrate, for mode static and clipping output_error; half precision leaves
///                  nodes in float32 whose values it could not hold; others ignore it
///   input_xxh64    Xxh64 of the input file, as text; left out of the metadata where empty
/// Throws Error{nothing_quantized} where no node could be, Error{not_smaller} where the result is no smaller than the input and that is not allowed,
/// Error{invalid_argument} where static mode or clipping output_error has no statistics, Error{bad_data} where no calibrated value was finite in every sample.
QuantizeResult quantize(const Model& model, const Recipe& recipe, const Statistics* statistics,
                        const std::string& input_xxh64 = "", const OnProgress& on_progress = {}, QuantizeLimits limits = {});

}  // namespace bitwright
