#pragma once

#include "quant/quantize.h"

/// Plain loops over index arithmetic, one element at a time: they define what quant/quantize.h computes.
namespace bitwright::reference {

/// The scale that an element, given by its place in memory order, belongs to.
std::int64_t scale_index(const Granularity& granularity, const Shape& shape, std::int64_t element);
/// One element; the code before packing.
std::int32_t quantize(float real, float scale, std::int32_t zero_point, CodeRange range);
float dequantize(std::int32_t code, float scale, std::int32_t zero_point);

/// Element `index` of packed codes, sign extended where the type is signed.
std::int32_t read_code(std::span<const std::uint8_t> codes, DType dtype, std::int64_t index);
void write_code(std::span<std::uint8_t> codes, DType dtype, std::int64_t index, std::int32_t code);

std::vector<MinMax> scan_min_max(std::span<const float> values, const Shape& shape, const Granularity& granularity);
void quantize(std::span<const float> values, const Shape& shape, const QuantParams& params, std::span<std::uint8_t> codes);
void dequantize(std::span<const std::uint8_t> codes, const Shape& shape, const QuantParams& params, std::span<float> values);

}  // namespace bitwright::reference
