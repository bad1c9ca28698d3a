#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/geometry.h"
#include "kernels/int8.h"

namespace bitwright {

/// Activations that one output may take: about where accumulators of full codes leave int32.
inline constexpr std::ptrdiff_t kMaxConvU8I8K = 40960;

/// Convolution of u8 codes, channels last, with packed weights; a matrix product is a convolution of 1 x 1:
///
///   acc[o][n] = bias[n] + sum over taps t, channels c of (x[input_of(o, t)][c] - x_zero_point) * (w[n][c][t] - w_zero_point[n])
///   y[o][n]   = acc as AccResult says: u8 by requantize, i32, or f32 = float(acc) * multipliers[n]
///
/// Padding counts as x_zero_point. Bias, x_zero_point and the zero points of the weights are folded in by pack_conv_u8_i8.
/// Groups stand side by side: group g takes input channels from g * channels and gives output channels from g * out_channels.
/// Pixel p of image i is x + (i * n_inputs + p) * x_pixel_stride; the output at depth, height, width (z, y, x) is
/// y + i * y_image_stride + z * y_strides[0] + y * y_strides[1] + x * y_strides[2], in elements of the result.
/// Preconditions: extents >= 0, strides of geometry >= 1, k <= kMaxConvU8I8K, no accumulator leaves int32 (pack_conv_u8_i8 tells).
struct ConvU8I8 {
  ConvGeometry geometry{};
  std::ptrdiff_t images = 1, groups = 1;
  std::ptrdiff_t channels = 0, out_channels = 0;  // of one group
  const std::uint8_t* x = nullptr;
  std::ptrdiff_t x_pixel_stride = 0;
  std::int32_t x_zero_point = 0;
  const std::byte* packed = nullptr;
  void* y = nullptr;
  std::ptrdiff_t y_image_stride = 0;
  Extents3f y_strides{};
  Requantize requantize{};

  std::ptrdiff_t n_pixels() const { return images * geometry.n_outputs(); }
  std::ptrdiff_t n_panels() const { return (out_channels + 7) / 8; }  // of one group
  std::ptrdiff_t k() const { return channels * geometry.n_taps(); }
  std::ptrdiff_t y_place(std::ptrdiff_t pixel) const {
    const std::ptrdiff_t plane = geometry.n_outputs(), p = pixel % plane, row = p / geometry.output[2];
    return pixel / plane * y_image_stride + row / geometry.output[1] * y_strides[0] + row % geometry.output[1] * y_strides[1] +
           p % geometry.output[2] * y_strides[2];
  }
};

/// y[m, n] = x[m, k] times packed weights, all dense; where they lie is still to be said.
ConvU8I8 matrix_product_u8_i8(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t k);

/// A block of the output: pixels (over all images) and panels of 8 columns (over all groups).
struct ConvBlock {
  std::ptrdiff_t first_pixel = 0, last_pixel = 0, first_panel = 0, last_panel = 0;
};
using ConvU8I8Kernel = void (*)(const ConvU8I8&, const ConvBlock&);

struct ConvU8I8Variant {
  std::string_view name;
  ConvU8I8Kernel run;
  KernelFamily family;
  AccResult result;
};
std::span<const ConvU8I8Variant> conv_u8_i8_variants();
/// The kernel of a family. simd128 and reference are everywhere; nullptr for usdot and sdot where the build has no relaxed SIMD.
ConvU8I8Kernel choose_conv_u8_i8(KernelFamily family, AccResult result);

/// Runs the whole convolution in blocks that keep panels in cache, shared out over the threads of the scope.
void conv_u8_i8_blocked(const ConvU8I8& conv, ConvU8I8Kernel kernel);

/// Weights as they lie in a file: w[n][c][t] = w[(group * out_channels + n) * column_stride + c * channel_stride + t * tap_stride].
struct ConvWeightsU8I8 {
  const void* w = nullptr;
  bool is_unsigned = false;
  std::ptrdiff_t groups = 1, channels = 0, taps = 1, out_channels = 0;
  std::ptrdiff_t column_stride = 0, channel_stride = 0, tap_stride = 1;
  const std::int32_t* bias = nullptr;         // [groups * out_channels], or none
  const std::int32_t* zero_points = nullptr;  // [groups * out_channels], or none: 0
  std::int32_t x_zero_point = 0;
  std::byte* scratch = nullptr;  // pack_scratch_bytes(k) of it, aligned to 2, or none: allocated
};
constexpr std::size_t pack_scratch_bytes(std::ptrdiff_t k) { return 3 * static_cast<std::size_t>(k + 8); }
/// What packed weights take, for the family that will use them.
std::size_t packed_conv_u8_i8_bytes(KernelFamily family, const ConvWeightsU8I8& weights);
/// Packs; panels of 8 columns, group by group:
///   simd128, reference   i32 bias[8], then i16 (w - zero point) [ceil(k / 2)][8 columns][2]        k = tap * channels + channel
///   usdot, sdot          i32 bias[8], i32 zero points[8], then i8 w [ceil(k / 4)][8 columns][4]
/// Answers the first output channel whose accumulator could leave int32, 0 where k > kMaxConvU8I8K, -1 where all is well.
std::ptrdiff_t pack_conv_u8_i8(KernelFamily family, const ConvWeightsU8I8& weights, std::byte* packed);

#define CONV_U8_I8_KERNEL(function, family, result) void function(const ConvU8I8&, const ConvBlock&);
#include "kernels/conv_u8_i8/variants.inc"
#undef CONV_U8_I8_KERNEL

}  // namespace bitwright
