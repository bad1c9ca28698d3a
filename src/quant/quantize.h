#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "quant/quant_params.h"
#include "quant/recipe.h"
#include "quant/runs.h"
#include "tensor/tensor.h"

namespace bitwright {

// Quantize, dequantize and scan, by vector instructions. Every function has a slow twin of the same name in
// quant/reference.h, which defines the answer; both give the same bits, natively and in wasm.
//
//   code = saturate(round_half_even(real / scale) + zero_point)      real = scale * (code - zero_point)
//
// as ONNX QuantizeLinear and DequantizeLinear have it: a division, not a product with 1 / scale. NaN becomes
// zero_point, infinities saturate. Codes of 4 and 2 bits are packed, first element in the low bits.

/// The ends of the finite values, and how many are none. rmin > rmax where none is finite. Zeros come out as +0.
struct MinMax {
  float rmin;
  float rmax;
  std::uint64_t n_not_finite;
  bool has_finite() const { return rmin <= rmax; }
  /// The clipping range that holds them all and 0; [0, 0] where there is none.
  RealRange range() const;
};

MinMax scan_min_max(std::span<const float> values);
/// What takes the ends of some scales, from number `first` on.
using TakeEnds = FunctionRef<void(std::size_t first, std::span<const MinMax> ends)>;
/// Those of each scale, in order of the scales; some at a time, so that what is held does not grow with their number.
void scan_min_max(std::span<const float> values, const ScaleLayout& layout, std::size_t n_scales, TakeEnds take);

/// Quantizes `values` to the packed codes of params.dtype: 2 to 16 bits. `codes` has packed_bytes(dtype, n) bytes.
/// Throws Error{shape_mismatch} where the scales do not fit the shape, Error{unsupported} for another element type.
void quantize(std::span<const float> values, const Shape& shape, const QuantParams& params, std::span<std::uint8_t> codes);
/// The way back; i32 too.
void dequantize(std::span<const std::uint8_t> codes, const Shape& shape, const QuantParams& params, std::span<float> values);

/// The same with codes of any width, 1 to 8 or 16 bits, packed low bits first without gaps, whatever params.dtype says; codes are
/// signed where params.range.qmin < 0.
void quantize_packed(std::span<const float> values, const Shape& shape, const QuantParamsView& params, int bits,
                     std::span<std::uint8_t> codes);
void dequantize_packed(std::span<const std::uint8_t> codes, const Shape& shape, const QuantParamsView& params, int bits,
                       std::span<float> values);

/// The same, rounded as params.rounding says; Rounding::mask: as EncodeOptions has them.
void quantize_rounded(std::span<const float> values, const Shape& shape, const QuantParamsView& params, int bits,
                      std::span<const std::uint8_t> mask, std::span<std::uint8_t> codes);

/// The share of the values, 0 to 1, that lie outside of what the codes of their group can say: beyond the ends by more than half of the
/// last step. NaN does not count. `levels`: what codes stand for in units of the scale; empty: integers less their zero point. 0 where
/// there are no scales.
double clipped_share(std::span<const float> values, const Shape& shape, const QuantParams& params,
                     std::span<const float> levels = {});

/// Codes of up to 8 bits of neighbours that share a scale, one a byte (the low bits where they are signed).
void quantize_run(const float* values, std::size_t n, float scale, std::int32_t zero_point, CodeRange range, std::uint8_t* codes);

struct QuantizedTensor {
  Tensor codes;
  QuantParams params;
  std::uint64_t n_not_finite = 0;  // NaN counts as 0, infinities as the end of the range
};

/// The granularity of a scheme on this axis (negative: from the end).
Granularity granularity_of(const TensorScheme& scheme, std::int64_t axis, std::size_t rank);
/// Scales and zero points of a constant tensor, of a uniform scheme with float scales: those that hold every finite value, or what
/// the scheme's clipping chooses. A channel or block of zeros takes the scale of the whole tensor: any scale serves its codes, and
/// a bias with the usual one keeps its resolution. `importance` as in EncodeOptions; without any, output_error is mse.
QuantParams choose_params(const Tensor& values, const TensorScheme& scheme, std::int64_t axis,
                          std::uint64_t* n_not_finite = nullptr, std::span<const float> importance = {},
                          std::int64_t importance_axis = 0);
/// Rounded as params.rounding says.
Tensor quantize(const Tensor& values, const QuantParams& params);
Tensor dequantize(const Tensor& codes, const QuantParams& params);
/// choose_params, then quantize. f32 only.
QuantizedTensor quantize_weight_tensor(const Tensor& values, const TensorScheme& scheme, std::int64_t axis);

/// A bias as int32 codes of scale input_scale * weight_scale[c] and zero point 0.
struct QuantizedBias {
  std::vector<std::int32_t> codes;
  std::vector<float> scales;  // input_scale * weight_scales, in float: what a runtime multiplies
  /// The weight scales that make every code fit: those given, raised where |bias / scale| would pass 2^31 - 1 or the
  /// product would not be a normal float. The weight must be quantized with these.
  std::vector<float> weight_scales;
  std::uint64_t n_raised = 0;
};
/// `weight_scales` has one element, or one per bias element. Throws Error{invalid_argument} for other counts, scales
/// that are not finite and positive, and bias values that are not finite.
QuantizedBias quantize_bias(std::span<const float> bias, float input_scale, std::span<const float> weight_scales);

}  // namespace bitwright
