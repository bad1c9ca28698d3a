#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/geometry.h"
#include "kernels/int8.h"

namespace bitwright {

/// Depthwise convolution of u8 codes, channels last:
///
///   acc[o][c] = bias[c] + sum over taps t of (x[input_of(o, t)][c / multiplier] - x_zero_point) * (w[c][t] - w_zero_point[c])
///   y[o][c]   = code of acc by requantize; c = 0 .. channels * multiplier - 1
///
/// Padding counts as x_zero_point. Pixel p of image i is x + (i * n_inputs + p) * x_pixel_stride, of the output likewise.
/// Preconditions: as for ConvU8I8.
struct DepthwiseU8I8 {
  ConvGeometry geometry{};
  std::ptrdiff_t images = 1, channels = 0, multiplier = 1;
  const std::uint8_t* x = nullptr;
  std::ptrdiff_t x_pixel_stride = 0;
  std::int32_t x_zero_point = 0;
  const std::byte* packed = nullptr;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_pixel_stride = 0;
  Requantize requantize{};

  std::ptrdiff_t out_channels() const { return channels * multiplier; }
  /// Rows of the output, over images, depth and height: what kernels are split by.
  std::ptrdiff_t n_rows() const { return images * geometry.output[0] * geometry.output[1]; }
};

using DepthwiseU8I8Kernel = void (*)(const DepthwiseU8I8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);

struct DepthwiseU8I8Variant {
  std::string_view name;
  DepthwiseU8I8Kernel run;
  KernelFamily family;
  Arithmetic arithmetic;
};
std::span<const DepthwiseU8I8Variant> depthwise_u8_i8_variants();
/// Every family answers: one without kernels of its own takes those of simd128.
DepthwiseU8I8Kernel choose_depthwise_u8_i8(KernelFamily family, Arithmetic arithmetic);
/// Runs it whole, shared out over the threads of the scope.
void depthwise_u8_i8_blocked(const DepthwiseU8I8& d, DepthwiseU8I8Kernel kernel);

/// Weights as they lie in a file: w[c][t] = w[c * channel_stride + t * tap_stride]; arrays of out_channels.
struct DepthwiseWeightsU8I8 {
  const void* w = nullptr;
  bool is_unsigned = false;
  std::ptrdiff_t taps = 1, kernel_width = 1, out_channels = 0;  // taps: kernel rows * kernel_width
  std::ptrdiff_t channel_stride = 0, tap_stride = 1;
  const std::int32_t* bias = nullptr;         // or none
  const std::int32_t* zero_points = nullptr;  // or none: 0
  std::int32_t x_zero_point = 0;
};
/// Where the weight of a tap stands in its block, counted in i16 behind the bias.
constexpr std::ptrdiff_t packed_depthwise_place(std::ptrdiff_t taps, std::ptrdiff_t kernel_width, std::ptrdiff_t tap,
                                                std::ptrdiff_t channel) {
  const std::ptrdiff_t pairs = (taps / kernel_width + 1) / 2, row = tap / kernel_width;
  return ((tap % kernel_width * pairs + row / 2) * 8 + channel % 8) * 2 + row % 2;
}
constexpr std::ptrdiff_t packed_depthwise_block_bytes(std::ptrdiff_t taps, std::ptrdiff_t kernel_width) {
  return 32 + kernel_width * ((taps / kernel_width + 1) / 2) * 32;
}
std::size_t packed_depthwise_u8_i8_bytes(const DepthwiseWeightsU8I8& weights);
/// Packs for every family, in blocks of 8 channels: i32 bias[8], then i16 (w - zero point) [kernel_width][pairs of rows][8][2]; rows
/// are those of the kernel over depth and height.
/// Answers the first channel whose accumulator could leave int32, -1 where none can.
std::ptrdiff_t pack_depthwise_u8_i8(const DepthwiseWeightsU8I8& weights, std::byte* packed);

#define DEPTHWISE_U8_I8_KERNEL(function, family, arithmetic) \
  void function(const DepthwiseU8I8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);
#include "kernels/depthwise_u8_i8/variants.inc"
#undef DEPTHWISE_U8_I8_KERNEL

}  // namespace bitwright
