#pragma once

#include <cstddef>
#include <cstdint>

namespace bitwright {

/// The borders of an integer island: between f32 planes [images][channels][pixels] and u8 codes, channels last
/// [images][pixels] of y_pixel_stride. One channel, or one pixel, is a plain array.
///
///   quantize     code = clamp(round_half_even(x / scale) + zero_point, qmin, qmax); NaN gives zero_point
///   dequantize   x = (code - zero_point) * scale
///
/// quant/quantize.h says the same arithmetic for whole tensors.
struct BorderU8 {
  std::ptrdiff_t images = 1, channels = 1, pixels = 0;
  std::ptrdiff_t pixel_stride = 1;  // of the codes
  float scale = 1.0f;
  std::int32_t zero_point = 0, qmin = 0, qmax = 255;
};
/// Pixels [first, last) of each image.
void quantize_u8__reference(const BorderU8&, const float* x, std::uint8_t* codes, std::ptrdiff_t first, std::ptrdiff_t last);
void quantize_u8(const BorderU8&, const float* x, std::uint8_t* codes, std::ptrdiff_t first, std::ptrdiff_t last);
void dequantize_u8__reference(const BorderU8&, const std::uint8_t* codes, float* x, std::ptrdiff_t first, std::ptrdiff_t last);
void dequantize_u8(const BorderU8&, const std::uint8_t* codes, float* x, std::ptrdiff_t first, std::ptrdiff_t last);

/// Bytes [images][rows][columns] to [images][columns][rows], each xor `flip` (0x80 turns s8 codes into u8 codes and back):
/// channels first to last and back. Row i of x stands at x + i * x_row_stride, row j of y at y + j * y_row_stride.
struct TransposeU8 {
  std::ptrdiff_t images = 1, rows = 0, columns = 0;
  const std::uint8_t* x = nullptr;
  std::ptrdiff_t x_row_stride = 0;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_row_stride = 0;
  std::uint8_t flip = 0;
};
void transpose_u8__reference(const TransposeU8&);
void transpose_u8(const TransposeU8&);

}  // namespace bitwright
