#include "quant/reference.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "quant/rounding.h"

namespace bitwright::reference {

std::int64_t scale_index(const Granularity& granularity, const Shape& shape, std::int64_t element) {
  if (std::holds_alternative<PerTensor>(granularity)) return 0;
  std::vector<std::int64_t> index(shape.size());
  std::int64_t rest = element;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index[axis] = rest % shape[axis];
    rest /= shape[axis];
  }
  if (const auto* channel = std::get_if<PerChannel>(&granularity))
    return index[static_cast<std::size_t>(normalized_axis(channel->axis, shape.size()))];
  if (const auto* group = std::get_if<PerChannelGroup>(&granularity))
    return index[static_cast<std::size_t>(normalized_axis(group->axis, shape.size()))] / group->group_size;
  if (const auto* block = std::get_if<PerBlock>(&granularity))
    index[static_cast<std::size_t>(normalized_axis(block->axis, shape.size()))] /= block->block_size;
  else
    index.pop_back();  // per_token
  const Shape scales = scale_shape(granularity, shape);
  std::int64_t at = 0;
  for (std::size_t axis = 0; axis < scales.size(); ++axis) at = at * scales[axis] + index[axis];
  return at;
}

std::int32_t quantize(float real, float scale, std::int32_t zero_point, CodeRange range) {
  if (std::isnan(real)) return zero_point;
  const float steps = real / scale;
  const double code = round_half_even(static_cast<double>(steps)) + zero_point;
  if (code <= range.qmin) return range.qmin;
  if (code >= range.qmax) return range.qmax;
  return static_cast<std::int32_t>(code);
}

float dequantize(std::int32_t code, float scale, std::int32_t zero_point) {
  return scale * static_cast<float>(static_cast<std::int64_t>(code) - zero_point);
}

std::int32_t read_code(std::span<const std::uint8_t> codes, DType dtype, std::int64_t index) {
  const int bits = dtype_bits(dtype);
  std::uint32_t code = 0;
  if (bits >= 8) {
    for (int byte = 0; byte < bits / 8; ++byte)
      code |= static_cast<std::uint32_t>(codes[static_cast<std::size_t>(index * (bits / 8) + byte)]) << (8 * byte);
  } else {
    const std::int64_t per_byte = 8 / bits;
    code = (codes[static_cast<std::size_t>(index / per_byte)] >> (index % per_byte * bits)) & ((1u << bits) - 1);
  }
  if (!is_signed(dtype) || bits == 32) return static_cast<std::int32_t>(code);
  const std::int64_t sign = std::int64_t{1} << (bits - 1);
  return static_cast<std::int32_t>((static_cast<std::int64_t>(code) ^ sign) - sign);
}

void write_code(std::span<std::uint8_t> codes, DType dtype, std::int64_t index, std::int32_t code) {
  const int bits = dtype_bits(dtype);
  const auto value = static_cast<std::uint32_t>(code);
  if (bits >= 8) {
    for (int byte = 0; byte < bits / 8; ++byte)
      codes[static_cast<std::size_t>(index * (bits / 8) + byte)] = static_cast<std::uint8_t>(value >> (8 * byte));
    return;
  }
  const std::int64_t per_byte = 8 / bits;
  const auto at = static_cast<std::size_t>(index / per_byte);
  const auto shift = static_cast<unsigned>(index % per_byte * bits);
  const std::uint32_t mask = ((1u << bits) - 1) << shift;
  codes[at] = static_cast<std::uint8_t>((codes[at] & ~mask) | ((value << shift) & mask));
}

std::vector<MinMax> scan_min_max(std::span<const float> values, const Shape& shape, const Granularity& granularity) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<MinMax> found(static_cast<std::size_t>(n_elements(scale_shape(granularity, shape))), {kInfinity, -kInfinity, 0});
  for (std::size_t i = 0; i < values.size(); ++i) {
    MinMax& ends = found[static_cast<std::size_t>(scale_index(granularity, shape, static_cast<std::int64_t>(i)))];
    const float value = values[i] + 0.0f;  // -0 becomes +0
    if (!std::isfinite(value)) {
      ++ends.n_not_finite;
      continue;
    }
    if (value < ends.rmin) ends.rmin = value;
    if (value > ends.rmax) ends.rmax = value;
  }
  return found;
}

void quantize(std::span<const float> values, const Shape& shape, const QuantParams& params, std::span<std::uint8_t> codes) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto element = static_cast<std::int64_t>(i);
    const auto s = static_cast<std::size_t>(scale_index(params.granularity, shape, element));
    write_code(codes, params.dtype, element, quantize(values[i], params.scales[s], params.zero_points[s], params.range));
  }
  if (codes.empty()) return;
  const std::int64_t per_byte = dtype_bits(params.dtype) < 8 ? 8 / dtype_bits(params.dtype) : 1;
  const auto last = static_cast<std::int64_t>(codes.size()) * per_byte;
  for (auto i = static_cast<std::int64_t>(values.size()); per_byte > 1 && i < last; ++i) write_code(codes, params.dtype, i, 0);
}

void dequantize(std::span<const std::uint8_t> codes, const Shape& shape, const QuantParams& params, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto element = static_cast<std::int64_t>(i);
    const auto s = static_cast<std::size_t>(scale_index(params.granularity, shape, element));
    values[i] = dequantize(read_code(codes, params.dtype, element), params.scales[s], params.zero_points[s]);
  }
}

}  // namespace bitwright::reference
