#include <bit>
#include <cmath>
#include <string>

#include "base/error.h"
#include "quant/encodings/encoding.h"
#include "quant/encodings/groups.h"
#include "quant/encodings/stored_scales.h"
#include "quant/quantize.h"

namespace bitwright {

namespace {

constexpr EncodingInfo kInfos[] = {
#define BITWRIGHT_ENCODING(name, least, most, usual, summary) {#name, least, most, usual, summary},
#include "quant/encodings/encodings.inc"
#undef BITWRIGHT_ENCODING
};

using Encode = void (*)(EncodedTensor&, std::span<const float>, std::int64_t, const EncodeOptions&);

Encode encode_function(Encoding encoding) {
  switch (encoding) {
    case Encoding::f16:
    case Encoding::bf16:
      return encode_half;
    case Encoding::kmeans:
      return encode_kmeans;
    case Encoding::binary_code:
      return encode_binary_code;
    case Encoding::product:
      return encode_product;
    default:
      return encode_scaled;
  }
}

[[noreturn]] void refuse(const std::string& finding) { throw_error(ErrorCode::invalid_argument, {"scheme: ", finding}); }

void check_range(const char* what, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least || value > most) refuse(concat({what, " is ", value, "; give ", least, " to ", most}));
}

/// The smallest type that holds codes of so many bits, of the sign of `dtype`.
DType holding_type(DType dtype, int bits) {
  const bool is_negative = is_signed(dtype);
  if (bits <= 2) return is_negative ? DType::i2 : DType::u2;
  if (bits <= 4) return is_negative ? DType::i4 : DType::u4;
  if (bits <= 8) return is_negative ? DType::i8 : DType::u8;
  return is_negative ? DType::i16 : DType::u16;
}

}  // namespace

bool has_scales(Encoding encoding) { return encode_function(encoding) == encode_scaled; }

const EncodingInfo& encoding_info(Encoding encoding) { return kInfos[static_cast<std::size_t>(encoding)]; }

TensorScheme complete_scheme(const TensorScheme& given) {
  TensorScheme scheme = given;
  const EncodingInfo& info = encoding_info(scheme.encoding);
  const bool is_uniform = scheme.encoding == Encoding::uniform;
  const bool is_codebook = scheme.encoding == Encoding::kmeans || scheme.encoding == Encoding::product;
  if (is_uniform && (!is_integer(scheme.dtype) || dtype_bits(scheme.dtype) > 16))
    refuse(concat({"codes of ", dtype_name(scheme.dtype), " are not possible; choose an integer type of at most 16 bits"}));
  if (is_codebook && scheme.n_entries != 0) {
    check_range("n_entries", scheme.n_entries, 2, 256);
    scheme.bits = std::bit_width(static_cast<unsigned>(scheme.n_entries - 1));
  }
  if (scheme.bits == 0) scheme.bits = is_uniform ? dtype_bits(scheme.dtype) : info.usual_bits;
  check_range("bits", scheme.bits, info.min_bits, info.max_bits);
  if (is_uniform) {
    if (scheme.bits > 8 && scheme.bits != 16) refuse(concat({"bits is ", scheme.bits, "; give 1 to 8, or 16"}));
    if (scheme.bits == 1 && scheme.is_symmetric) refuse("1 bit has no symmetric codes; choose encoding binary");
    scheme.dtype = holding_type(scheme.dtype, scheme.bits);
    if (scheme.bits == 1 && scheme.narrow_range) refuse("a narrow range needs at least 2 bits");
  } else {
    scheme.dtype = scheme.bits > 8 ? DType::u16 : holding_type(DType::u8, scheme.bits);
    if (scheme.rounding != Rounding::nearest_even) refuse("other roundings than nearest_even are for encoding uniform");
  }
  if (is_codebook || scheme.encoding == Encoding::binary_code) {
    if (scheme.n_entries == 0) scheme.n_entries = 1 << scheme.bits;
  }
  if (scheme.encoding == Encoding::product) {
    check_range("sub_vector", scheme.sub_vector, 2, 8);
    check_range("column_group", scheme.column_group, 0, std::int64_t{1} << 40);
  }
  check_range("block_size", scheme.block_size, 1, std::int64_t{1} << 40);
  check_range("channel_group", scheme.channel_group, 1, std::int64_t{1} << 40);
  if (!(scheme.percentile > 0.0 && scheme.percentile <= 100.0)) refuse("percentile must lie above 0 and at most at 100");
  if (!(scheme.clip_ratio > 0.0 && scheme.clip_ratio <= 1.0)) refuse("clip_ratio must lie above 0 and at most at 1");
  if (scheme.scale_form != ScaleForm::f32 && !has_scales(scheme.encoding))
    refuse(concat({info.name, " has no scales that could be stored otherwise than as f32"}));
  if (scheme.scale_form == ScaleForm::u6 && scheme.grain != TensorScheme::Grain::per_block)
    refuse("two-level scales (u6) need granularity per_block");
  if (scheme.clipping == CalibrationMethod::moving_average) refuse("moving_average is for activations; choose another clipping");
  const bool is_ternary_mse = scheme.encoding == Encoding::ternary && scheme.clipping == CalibrationMethod::mse;
  const bool is_fitted =
      !has_scales(scheme.encoding) || scheme.encoding == Encoding::binary || scheme.encoding == Encoding::ternary;
  if (is_fitted && !is_ternary_mse && scheme.clipping != CalibrationMethod::min_max &&
      scheme.clipping != CalibrationMethod::output_error)
    refuse(concat({info.name, " is fitted to the values and has no clipping range; choose min_max"}));
  if (is_fitted && scheme.clip_ratio != 1.0)
    refuse(concat({info.name, " is fitted to the values and has no clipping range; leave clip_ratio at 1"}));
  return scheme;
}

EncodedTensor encode_tensor(std::span<const float> values, const Shape& shape, const TensorScheme& scheme, std::int64_t axis,
                            const EncodeOptions& options) {
  const auto n = static_cast<std::size_t>(n_elements(shape));
  if (values.size() != n) throw_error(ErrorCode::shape_mismatch, {values.size(), " values were given for shape ", shape});
  EncodedTensor encoded;
  encoded.scheme = complete_scheme(scheme);
  encoded.shape = shape;
  encoded.granularity = granularity_of(encoded.scheme, axis, shape.size());
  if (encoded.scheme.encoding == Encoding::product)
    encoded.granularity = PerBlock{normalized_axis(axis, shape.size()), encoded.scheme.sub_vector};
  if (encoded.scheme.encoding == Encoding::f16 || encoded.scheme.encoding == Encoding::bf16) encoded.granularity = PerTensor{};
  encoded.range = encoded.scheme.encoding == Encoding::uniform
                      ? code_range(encoded.scheme.bits, is_signed(encoded.scheme.dtype), encoded.scheme.narrow_range)
                      : CodeRange{0, (1 << encoded.scheme.bits) - 1};
  if (!options.importance.empty()) {
    const bool fits = options.importance.size() == n ||
                      static_cast<std::int64_t>(options.importance.size()) ==
                          shape[static_cast<std::size_t>(normalized_axis(options.importance_axis, shape.size()))];
    if (!fits) throw_error(ErrorCode::shape_mismatch, {options.importance.size(), " importances do not fit shape ", shape});
    for (const float weight : options.importance)
      if (!(weight >= 0.0f) || std::isinf(weight)) refuse("importances must be finite and at least 0");
  } else if (encoded.scheme.clipping == CalibrationMethod::output_error) {
    refuse("output_error needs the importance of each weight; give samples, or choose mse");
  }
  if (const std::size_t n_bytes = options.rounding_mask.size();
      encoded.scheme.rounding == Rounding::mask && n_bytes != n && n_bytes != (n + 7) / 8)
    throw_error(ErrorCode::shape_mismatch,
                {"tensor ", in_quotes(options.tensor), ": a rounding mask of ", n, " elements has ", n, " bytes, or ",
                 (n + 7) / 8, " of bits; ", n_bytes, " were given"},
                options.tensor);
  if (!options.samples.empty()) {
    if (encoded.scheme.encoding != Encoding::product) refuse("samples refine product codebooks only");
    const std::int64_t columns = shape[static_cast<std::size_t>(normalized_axis(axis, shape.size()))] * options.sample_window;
    if (columns == 0 || options.samples.size() % static_cast<std::size_t>(columns) != 0)
      throw_error(ErrorCode::shape_mismatch, {"samples do not have rows of ", columns});
    for (const float sample : options.samples)
      if (!std::isfinite(sample)) refuse("samples must be finite");
  }
  encode_function(encoded.scheme.encoding)(encoded, values, axis, options);
  return encoded;
}

std::int64_t EncodedTensor::n_codes() const {
  return n_elements(scheme.encoding == Encoding::product ? scale_shape(granularity, shape) : shape);
}

std::uint64_t EncodedTensor::stored_bits() const {
  const auto times = [](std::size_t n, int bits) { return static_cast<std::uint64_t>(n) * static_cast<std::uint64_t>(bits); };
  std::uint64_t sum = times(static_cast<std::size_t>(n_codes()), scheme.bits);
  switch (scheme.scale_form) {
    case ScaleForm::f32:
      sum += times(scales.size(), 32);
      break;
    case ScaleForm::f16:
      sum += times(scales.size(), 16);
      break;
    case ScaleForm::e8m0:
      sum += times(scales.size(), 8);
      break;
    case ScaleForm::f8e4m3fn:
      sum += times(scales.size(), 8) + times(super_scales.size(), 32);
      break;
    case ScaleForm::u6:
      sum += times(scales.size(), 6) + times(super_scales.size(), 16);
      break;
  }
  if (scheme.encoding == Encoding::uniform && !scheme.is_symmetric) sum += times(zero_points.size(), scheme.bits);
  // Fixed levels are known to whoever reads the codes.
  if (!alphas.empty())
    sum += times(alphas.size(), 32);
  else if (!has_scales(scheme.encoding))
    sum += times(levels.size(), 32);
  return sum;
}

double EncodedTensor::bits_per_weight() const {
  const std::int64_t n = n_elements(shape);
  return n == 0 ? 0.0 : static_cast<double>(stored_bits()) / static_cast<double>(n);
}

std::vector<std::int32_t> unpack_codes(const EncodedTensor& e) {
  std::vector<std::int32_t> codes(static_cast<std::size_t>(e.n_codes()));
  const std::int32_t sign = e.range.qmin < 0 ? std::int32_t{1} << (e.scheme.bits - 1) : 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    std::int32_t code = 0;
    if (e.scheme.bits == 16) {
      code = e.codes[2 * i] | e.codes[2 * i + 1] << 8;
    } else {
      code = code_in(e.codes.data(), e.scheme.bits, i);
    }
    codes[i] = (code ^ sign) - sign;
  }
  return codes;
}

UnsetBytes pack_codes(std::span<const std::int32_t> codes, int bits) {
  if (bits != 16) check_range("bits", bits, 1, 8);
  UnsetBytes packed((codes.size() * static_cast<std::size_t>(bits) + 7) / 8);
  if (bits == 16) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      packed[2 * i] = static_cast<std::uint8_t>(codes[i]);
      packed[2 * i + 1] = static_cast<std::uint8_t>(codes[i] >> 8);
    }
    return packed;
  }
  Packer packer(packed.data(), bits);
  for (const std::int32_t code : codes) {
    const auto byte = static_cast<std::uint8_t>(code);
    packer.append(&byte, 1);
  }
  packer.finish();
  return packed;
}

std::span<const NamedScheme> named_schemes() {
  static const NamedScheme kSchemes[] = {
#define NAMED_SCHEME(name, ...) {name, {__VA_ARGS__}},
#include "quant/encodings/schemes.inc"
#undef NAMED_SCHEME
  };
  return kSchemes;
}

const NamedScheme* find_scheme(std::string_view name) {
  for (const NamedScheme& scheme : named_schemes())
    if (scheme.name == name) return &scheme;
  return nullptr;
}

}  // namespace bitwright
