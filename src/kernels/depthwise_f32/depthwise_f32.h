#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "kernels/clamp_f32.h"

namespace bitwright {

/// One plane of a depthwise convolution in float:
///   y[oy][ox] = sum over ky, kx (row-major) of w[ky][kx] * x[oy * stride_y + ky * dilation_y][ox * stride_x + kx * dilation_x]  + bias,  clamped
/// Multiply then add from 0, bias last (relaxed variants contract). `x` is padded already. Vector code may read x up to the column of the output's width
/// rounded up to a multiple of 4, that is depthwise_f32_row_floats columns in each row it touches.
struct DepthwiseF32 {
  std::ptrdiff_t out_height = 0, out_width = 0;
  std::ptrdiff_t kernel_height = 1, kernel_width = 1;
  std::ptrdiff_t stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1;
  const float* x = nullptr;
  std::ptrdiff_t x_row_stride = 0;
  const float* w = nullptr;
  float bias = 0.0f;
  float* y = nullptr;  // dense
  ClampF32 clamp{};
};

/// Columns that a row of padded input must have.
constexpr std::ptrdiff_t depthwise_f32_row_floats(const DepthwiseF32& d) {
  return ((d.out_width + 3) / 4 * 4 - 1) * d.stride_x + (d.kernel_width - 1) * d.dilation_x + 1 +
         4;  // the last vector of stride 2 reads one more
}
constexpr std::ptrdiff_t depthwise_f32_rows(const DepthwiseF32& d) {
  return (d.out_height - 1) * d.stride_y + (d.kernel_height - 1) * d.dilation_y + 1;
}

using DepthwiseF32Kernel = void (*)(const DepthwiseF32&);
struct DepthwiseF32Variant {
  std::string_view name;
  DepthwiseF32Kernel run;
  bool is_deterministic;
};
/// The list, best first; the deterministic ones give the same bits.
std::span<const DepthwiseF32Variant> depthwise_f32_variants();
DepthwiseF32Kernel choose_depthwise_f32(bool is_deterministic = true);

#define DEPTHWISE_F32_KERNEL(function, is_deterministic) void function(const DepthwiseF32&);
#include "kernels/depthwise_f32/variants.inc"
#undef DEPTHWISE_F32_KERNEL

/// Copies a plane [height][width] into rows of `to_stride` floats, `pad_top` rows and `pad_left` columns further, zeros around,
/// `to_rows` rows in all. Rows and columns beyond `to` are dropped.
void pad_plane_f32(const float* from, std::ptrdiff_t height, std::ptrdiff_t width, std::ptrdiff_t pad_top,
                   std::ptrdiff_t pad_left, std::ptrdiff_t to_rows, std::ptrdiff_t to_stride, float* to);

}  // namespace bitwright
