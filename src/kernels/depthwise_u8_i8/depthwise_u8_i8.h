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
/// Weights as every family reads them, in blocks of 8 channels; w less its zero point, rows of the kernel over depth and height:
///   i32 bias[8], as zero points of activations leave it
///   i16 [kernel_width][pairs of rows][8][2]
///   i8 [kernel_width][fours of rows][8][4]
///   i32 bias[8] for codes that are taken less 128
///   i32 whether all weights are bytes, and 12 bytes
class DepthwisePacking {
 public:
  constexpr DepthwisePacking(std::ptrdiff_t taps, std::ptrdiff_t kernel_width)
      : width_(kernel_width), rows_(taps / kernel_width) {}

  constexpr std::ptrdiff_t block_bytes() const { return flipped_bias() + 48; }
  constexpr std::ptrdiff_t weights(int rows_of_group) const { return rows_of_group == 2 ? 32 : 32 + width_ * groups(2) * 32; }
  constexpr std::ptrdiff_t flipped_bias() const { return weights(4) + width_ * groups(4) * 32; }
  /// Where the weight of a tap stands behind weights(n), counted in weights.
  constexpr std::ptrdiff_t place(int n, std::ptrdiff_t tap, std::ptrdiff_t channel) const {
    const std::ptrdiff_t row = tap / width_;
    return ((tap % width_ * groups(n) + row / n) * 8 + channel % 8) * n + row % n;
  }
  bool has_bytes(const std::byte* block) const { return block[flipped_bias() + 32] != std::byte{0}; }

 private:
  constexpr std::ptrdiff_t groups(int n) const { return (rows_ + n - 1) / n; }
  std::ptrdiff_t width_, rows_;
};
std::size_t packed_depthwise_u8_i8_bytes(const DepthwiseWeightsU8I8& weights);
/// Answers the first channel whose accumulator could leave int32, -1 where none can.
std::ptrdiff_t pack_depthwise_u8_i8(const DepthwiseWeightsU8I8& weights, std::byte* packed);

#define DEPTHWISE_U8_I8_KERNEL(function, family, arithmetic) \
  void function(const DepthwiseU8I8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);
#include "kernels/depthwise_u8_i8/variants.inc"
#undef DEPTHWISE_U8_I8_KERNEL

}  // namespace bitwright
