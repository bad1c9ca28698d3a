#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "quant/quant_params.h"
#include "quant/scheme.h"
#include "tensor/shape.h"

namespace bitwright {

/// A tensor in its stored form. What a code stands for (g its scale, c its code):
///   uniform                           scales[g] * (c - zero_points[g])
///   encodings with fixed levels       scales[g] * levels[c]
///   kmeans, binary_code               levels[g * n_entries + c]
///   product                           element e of sub-vector code c: levels[(g * n_entries + c) * sub_vector + e]
///   f16, bf16                         the code is the half float
/// NaN is stored as real 0 (half floats keep it), infinities as the end of the range.
struct EncodedTensor {
  TensorScheme scheme;  // as given, with bits, n_entries and dtype filled in
  Shape shape;
  Granularity granularity;  // axes counted from the front
  CodeRange range;          // of the codes; signed for uniform schemes of a signed dtype only
  /// scheme.bits for each code, low bits first, without gaps: bits 8, 4 and 2 are as ONNX packs them, 16 is little endian.
  UnsetBytes codes;
  std::vector<float> scales;              // what decoding multiplies: already of the form that is stored
  std::vector<std::int32_t> zero_points;  // uniform only
  std::vector<float> levels;
  /// scale_form e8m0, f8e4m3fn, u6: the stored code of each scale, and the scales of those (f8e4m3fn: one; u6: one for each
  /// super-block, in the order of scale_shape with the axis divided by 8). scales[g] = super_scale * value(scale_codes[g]).
  std::vector<std::uint8_t> scale_codes;
  std::vector<float> super_scales;
  /// binary_code: [g, plane] the alphas that the levels are sums of.
  std::vector<float> alphas;
  std::uint64_t n_not_finite = 0;
  /// What scale EncodeOptions::watched_scale was chosen for, after clipping; encodings that have scales only.
  RealRange watched_range;
  float watched_threshold = 0.0f;  // ternary: |x| of at most that are 0

  std::int64_t n_codes() const;
  /// Codes, scales, zero points and codebooks as they are stored.
  std::uint64_t stored_bits() const;
  double bits_per_weight() const;
};

/// What encoding may take into account beside the values.
struct EncodeOptions {
  /// One weight for the error of each element, or one for each index of `importance_axis`; empty: all 1. Finite, >= 0.
  std::span<const float> importance = {};
  std::int64_t importance_axis = 0;
  /// Rounding::mask: a byte for each element, or a bit, low ones first; 0 rounds down and 1 up. And whose it is, for an error's text.
  std::span<const std::uint8_t> rounding_mask = {};
  std::string_view tensor = "values";
  /// product: sample activations [n_samples, columns] that the codebook is refined against by least squares; columns is the
  /// extent of the axis, times the window. Empty: no refinement.
  std::span<const float> samples = {};
  /// How many neighbours behind the axis the outputs sum too: 1, or all of them (the kernel of a convolution).
  std::int64_t sample_window = 1;
  /// Whose clipping range is told; -1: none.
  std::int64_t watched_scale = -1;
};

/// The scheme with what was left out filled in: bits, n_entries, dtype (of what holds a code).
/// Throws Error{invalid_argument} where its members do not go together or are out of range.
TensorScheme complete_scheme(const TensorScheme& scheme);

/// Chooses scales (or codebooks) and quantizes. `axis` is the channel axis of per_channel, the reduction axis of per_block,
/// kmeans and product; negative counts from the end.
/// Throws Error{invalid_argument} for bits, blocks, groups or entries out of range, Error{bad_graph} for an axis out of range,
/// Error{shape_mismatch} where values, importance or mask do not fit the shape. A tensor without elements has no codes;
/// a group without a finite value other than 0 has any scale that is finite and positive. A block longer than its axis is the axis.
/// Beside values and result it holds nothing that grows with them.
EncodedTensor encode_tensor(std::span<const float> values, const Shape& shape, const TensorScheme& scheme, std::int64_t axis,
                            const EncodeOptions& options = {});
/// The reals; `values` has n_elements(shape) elements.
void decode_tensor(const EncodedTensor& encoded, std::span<float> values);

/// Codes one by one, sign extended where range.qmin < 0; and the way back.
std::vector<std::int32_t> unpack_codes(const EncodedTensor& encoded);
UnsetBytes pack_codes(std::span<const std::int32_t> codes, int bits);

/// The name, bits and summary of an encoding.
struct EncodingInfo {
  std::string_view name;
  int min_bits;
  int max_bits;
  int usual_bits;
  std::string_view summary;
};
const EncodingInfo& encoding_info(Encoding encoding);

/// A scheme with a name: what `--scheme NAME` takes and `bitwright schemes` lists.
struct NamedScheme {
  std::string_view name;
  TensorScheme scheme;
};
std::span<const NamedScheme> named_schemes();
/// Nothing for an unknown name.
const NamedScheme* find_scheme(std::string_view name);

}  // namespace bitwright
