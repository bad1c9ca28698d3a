#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/error.h"
#include "quant/encodings/encoding.h"
#include "quant/quantize.h"
#include "quant/quantize_finite.h"
#include "quant/rounding.h"
#include "quant/runs.h"
#include "tensor/raw_allocator.h"

namespace bitwright {

Granularity granularity_of(const TensorScheme& scheme, std::int64_t axis, std::size_t rank) {
  using Grain = TensorScheme::Grain;
  if (scheme.grain == Grain::per_tensor || rank == 0) return PerTensor{};
  if (scheme.grain == Grain::per_token) return PerToken{};
  const std::int64_t at = normalized_axis(axis, rank);
  if (scheme.grain == Grain::per_channel && scheme.channel_group != 1) return PerChannelGroup{at, scheme.channel_group};
  if (scheme.grain == Grain::per_channel) return PerChannel{at};
  return PerBlock{at, scheme.block_size};
}

namespace {

/// Ranges that hold every value.
bool holds_all(const TensorScheme& scheme) { return scheme.clipping == CalibrationMethod::min_max && scheme.clip_ratio == 1.0; }

/// Without scales.
QuantParams params_of(const TensorScheme& scheme, std::int64_t axis, std::size_t rank) {
  QuantParams params;
  params.dtype = scheme.dtype;
  params.range =
      code_range(scheme.bits != 0 ? scheme.bits : dtype_bits(scheme.dtype), is_signed(scheme.dtype), scheme.narrow_range);
  params.rounding = scheme.rounding;
  params.seed = scheme.seed;
  params.granularity = granularity_of(scheme, axis, rank);
  return params;
}

}  // namespace

QuantParams choose_params(const Tensor& values, const TensorScheme& scheme, std::int64_t axis, std::uint64_t* n_not_finite,
                          std::span<const float> importance, std::int64_t importance_axis) {
  const std::span<const float> reals = values.data<float>();
  QuantParams params = params_of(scheme, axis, values.rank());
  const auto n_scales = static_cast<std::size_t>(n_elements(scale_shape(params.granularity, values.shape())));
  if (holds_all(scheme)) {
    params.scales.resize(n_scales);
    params.zero_points.resize(n_scales);
  } else {
    TensorScheme chosen = scheme;
    chosen.rounding = Rounding::nearest_even;
    if (chosen.clipping == CalibrationMethod::output_error && importance.empty()) chosen.clipping = CalibrationMethod::mse;
    EncodedTensor encoded =
        encode_tensor(reals, values.shape(), chosen, axis, {.importance = importance, .importance_axis = importance_axis});
    params.scales = std::move(encoded.scales);
    params.zero_points = std::move(encoded.zero_points);
  }
  const auto settle = [&](std::size_t i, RealRange range) {
    const ScaleZeroPoint chosen = choose_scale_zero_point(range, params.range, scheme.is_symmetric);
    params.scales[i] = chosen.scale;
    params.zero_points[i] = chosen.zero_point;
  };
  RealRange whole;
  std::uint64_t n_bad = 0;
  scan_min_max(reals, scale_layout(params.granularity, values.shape()), n_scales,
               [&](std::size_t first, std::span<const MinMax> ends) {
                 for (const MinMax& e : ends) {
                   const std::size_t i = first++;
                   const RealRange range = e.range();
                   n_bad += e.n_not_finite;
                   if (range.rmin == 0.0f && range.rmax == 0.0f) {
                     params.scales[i] = 0.0f;  // until the whole range is known
                     continue;
                   }
                   whole = {std::min(whole.rmin, range.rmin), std::max(whole.rmax, range.rmax)};
                   if (holds_all(scheme)) settle(i, range);
                 }
               });
  for (std::size_t i = 0; i < n_scales; ++i)
    if (params.scales[i] == 0.0f) settle(i, whole);
  if (n_not_finite != nullptr) *n_not_finite = n_bad;
  return params;
}

Tensor quantize(const Tensor& values, const QuantParams& params) {
  Tensor codes(params.dtype, values.shape(), raw_allocator());
  if (params.rounding == Rounding::nearest_even)
    quantize(values.data<float>(), values.shape(), params, codes.bytes());
  else
    quantize_rounded(values.data<float>(), values.shape(), params, dtype_bits(params.dtype), {}, codes.bytes());
  return codes;
}

Tensor dequantize(const Tensor& codes, const QuantParams& params) {
  Tensor values(DType::f32, codes.shape(), raw_allocator());
  dequantize(codes.bytes(), codes.shape(), params, values.data<float>());
  return values;
}

namespace {

/// Symmetric codes of 8 bits where the values of each scale stand side by side: read from memory once. Nothing where a value is
/// not finite, or a scale has zeros alone and takes that of the whole tensor.
std::optional<QuantizedTensor> quantize_at_once(const Tensor& values, const TensorScheme& scheme, std::int64_t axis) {
  constexpr std::int64_t kShortest = 16;
  if (!scheme.is_symmetric || !is_integer(scheme.dtype) || dtype_bits(scheme.dtype) != 8 || !holds_all(scheme) ||
      scheme.rounding != Rounding::nearest_even)
    return std::nullopt;
  QuantizedTensor result;
  QuantParams& params = result.params;
  params = params_of(scheme, axis, values.rank());
  const ScaleLayout layout = scale_layout(params.granularity, values.shape());
  const std::int64_t length = layout.block * layout.inner;
  if (layout.outer != 1 || layout.is_per_position || length < kShortest) return std::nullopt;

  result.codes = Tensor(scheme.dtype, values.shape(), raw_allocator());
  const SymmetricScale symmetric_scale(params.range);
  const std::int32_t zero_point = symmetric_scale.zero_point();
  params.scales.reserve(static_cast<std::size_t>(layout.n_blocks()));
  const float* x = values.data<float>().data();
  std::uint8_t* codes = result.codes.bytes().data();
  for (std::int64_t left = values.n_elements(); left > 0;) {
    const std::int64_t n = std::min(length, left);
    std::int32_t bits = 0;
    largest_magnitudes(x, n, 1, &bits);
    if (bits == 0 || bits >= kNotFinite) return std::nullopt;
    params.scales.push_back(symmetric_scale(static_cast<double>(std::bit_cast<float>(bits))));
    quantize_finite(x, n, 1, &params.scales.back(), &zero_point, params.range, codes);
    x += n;
    codes += n;
    left -= n;
  }
  params.zero_points.assign(params.scales.size(), zero_point);
  return result;
}

}  // namespace

QuantizedTensor quantize_weight_tensor(const Tensor& values, const TensorScheme& scheme, std::int64_t axis) {
  if (std::optional<QuantizedTensor> at_once = quantize_at_once(values, scheme, axis)) return std::move(*at_once);
  QuantizedTensor result;
  result.params = choose_params(values, scheme, axis, &result.n_not_finite);
  result.codes = quantize(values, result.params);
  return result;
}

QuantizedBias quantize_bias(std::span<const float> bias, float input_scale, std::span<const float> weight_scales) {
  constexpr double kMaxCode = std::numeric_limits<std::int32_t>::max();
  // A product that falls below the normal floats loses digits; this leaves room for the runtime's own rounding.
  constexpr float kMinProduct = 0x1p-120f;
  const auto is_scale = [](float scale) { return std::isfinite(scale) && scale > 0.0f; };
  if (weight_scales.size() != 1 && weight_scales.size() != bias.size())
    throw_error(ErrorCode::invalid_argument, {weight_scales.size(), " weight scales do not fit a bias of ", bias.size()});
  if (!is_scale(input_scale) || !std::all_of(weight_scales.begin(), weight_scales.end(), is_scale))
    throw_error(ErrorCode::invalid_argument, {"scales of a bias must be finite and positive"});
  if (!std::all_of(bias.begin(), bias.end(), [](float b) { return std::isfinite(b); }))
    throw_error(ErrorCode::invalid_argument, {"a bias with NaN or infinity cannot be quantized"});

  QuantizedBias result;
  result.weight_scales.assign(weight_scales.begin(), weight_scales.end());
  const std::size_t per_scale = weight_scales.size() == bias.size() ? 1 : bias.size();
  for (std::size_t c = 0; c < result.weight_scales.size(); ++c) {
    float& scale = result.weight_scales[c];
    double largest = 0.0;
    for (std::size_t i = c * per_scale; i < std::min(bias.size(), (c + 1) * per_scale); ++i)
      largest = std::max(largest, std::abs(static_cast<double>(bias[i])));
    const float given = scale;
    const auto fits = [&] {
      const float product = input_scale * scale;
      return std::isfinite(product) && product >= kMinProduct && largest / static_cast<double>(product) <= kMaxCode;
    };
    if (!fits()) {
      const double needed = std::max(largest / kMaxCode, static_cast<double>(kMinProduct)) / static_cast<double>(input_scale);
      scale = std::max(given, static_cast<float>(std::min(needed, static_cast<double>(std::numeric_limits<float>::max()))));
      // The rounding of the product may still fall short by an ulp or two.
      for (int ulp = 0; ulp < 4 && !fits(); ++ulp) scale = std::nextafter(scale, std::numeric_limits<float>::infinity());
      if (!fits() || !std::isfinite(scale))
        throw_error(ErrorCode::invalid_argument, {"the input scale is too small for this bias; leave the node in float"});
      ++result.n_raised;
    }
    result.scales.push_back(input_scale * scale);
  }
  result.codes.reserve(bias.size());
  for (std::size_t i = 0; i < bias.size(); ++i) {
    const double scale = result.scales[result.scales.size() == 1 ? 0 : i];
    result.codes.push_back(
        static_cast<std::int32_t>(std::clamp(round_half_even(static_cast<double>(bias[i]) / scale), -kMaxCode, kMaxCode)));
  }
  return result;
}

}  // namespace bitwright
