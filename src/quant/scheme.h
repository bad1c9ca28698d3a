#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace bitwright {

/// How a code stands for a real. Names and facts of each: quant/encodings/encodings.inc.
enum class Encoding : std::uint8_t {
#define BITWRIGHT_ENCODING(name, ...) name,
#include "quant/encodings/encodings.inc"
#undef BITWRIGHT_ENCODING
};

/// Of real / scale to an integer. `mask`: floor, plus one where the mask says so (AdaRound).
enum class Rounding : std::uint8_t { nearest_even, stochastic, floor, mask };

/// How the ends of a clipping range are chosen. moving_average is for activations; output_error weighs the error of each
/// weight by its importance (the mean square of what it is multiplied with); product codebooks are refined against what it is
/// multiplied with.
enum class CalibrationMethod : std::uint8_t {
  min_max,
  moving_average,
  percentile,
  entropy,
  mse,
  aciq_laplace,
  aciq_gaussian,
  output_error,
};

/// How scales are stored beside the codes.
///   f32, f16    as they are
///   e8m0        powers of two (MX): 2^(floor(log2 max|x|) - e), e the exponent of the largest level
///   f8e4m3fn    codes of f8e4m3fn times one f32 scale of the tensor (NVFP4)
///   u6          codes 1..63 times one f16 scale for each super-block of 8 blocks along the axis (two-level, as k-quants)
enum class ScaleForm : std::uint8_t { f32, f16, e8m0, f8e4m3fn, u6 };

/// How one kind of tensor is quantized: data, the same in recipe, API and CLI. Members from `encoding` on serve the other
/// encodings too; the passes that write integer QDQ graphs read the ones before.
struct TensorScheme {
  DType dtype = DType::u8;  // uniform: what codes are stored as; its sign and width are the codes'
  bool is_symmetric = false;
  bool narrow_range = false;
  /// Weights: per_channel takes each operator's own output-channel axis; per_block the reduction axis.
  enum class Grain : std::uint8_t { per_tensor, per_channel, per_block, per_token } grain = Grain::per_tensor;
  std::int64_t block_size = 32;

  Encoding encoding = Encoding::uniform;
  /// Of a code: 1 to 8, and 16 for uniform; 0: those of dtype (uniform), or the encoding's usual ones. binary_code: the planes.
  int bits = 0;
  std::int64_t channel_group = 1;  // per_channel: this many neighbours on the axis share a scale
  ScaleForm scale_form = ScaleForm::f32;
  Rounding rounding = Rounding::nearest_even;
  CalibrationMethod clipping = CalibrationMethod::min_max;
  double percentile = 99.999;  // of |values| kept, for percentile
  double clip_ratio = 1.0;     // both ends of the chosen range are multiplied by this, above 0 and at most 1
  std::uint64_t seed = 0;
  int n_entries = 0;              // of a fitted codebook, 2 to 256; 0: 2^bits
  std::int64_t sub_vector = 4;    // product: elements that share a code, 2 to 8
  std::int64_t column_group = 0;  // product: sub-vectors along the axis that share a codebook; 0: all

  bool operator==(const TensorScheme&) const = default;
};

}  // namespace bitwright
