#include <algorithm>

#include "kernels/depthwise_f32/depthwise_f32.h"

namespace bitwright {

void depthwise_f32__reference(const DepthwiseF32& d) {
  for (std::ptrdiff_t oy = 0; oy < d.out_height; ++oy)
    for (std::ptrdiff_t ox = 0; ox < d.out_width; ++ox) {
      float sum = 0.0f;
      for (std::ptrdiff_t ky = 0; ky < d.kernel_height; ++ky)
        for (std::ptrdiff_t kx = 0; kx < d.kernel_width; ++kx) {
          const float* row = d.x + (oy * d.stride_y + ky * d.dilation_y) * d.x_row_stride;
          sum += d.w[ky * d.kernel_width + kx] * row[ox * d.stride_x + kx * d.dilation_x];
        }
      d.y[oy * d.out_width + ox] = d.clamp(sum + d.bias);
    }
}

std::span<const DepthwiseF32Variant> depthwise_f32_variants() {
  static constexpr DepthwiseF32Variant kVariants[] = {
#define DEPTHWISE_F32_KERNEL(function, is_deterministic) {#function, function, is_deterministic},
#include "kernels/depthwise_f32/variants.inc"
#undef DEPTHWISE_F32_KERNEL
  };
  return kVariants;
}

DepthwiseF32Kernel choose_depthwise_f32(bool is_deterministic) {
  for (const DepthwiseF32Variant& variant : depthwise_f32_variants())
    if (variant.is_deterministic || !is_deterministic) return variant.run;
  return depthwise_f32__reference;
}

void pad_plane_f32(const float* from, std::ptrdiff_t height, std::ptrdiff_t width, std::ptrdiff_t pad_top,
                   std::ptrdiff_t pad_left, std::ptrdiff_t to_rows, std::ptrdiff_t to_stride, float* to) {
  const std::ptrdiff_t left = std::min(pad_left, to_stride), columns = std::min(width, to_stride - left);
  for (std::ptrdiff_t row = 0; row < to_rows; ++row, to += to_stride) {
    const std::ptrdiff_t y = row - pad_top;
    if (y < 0 || y >= height) {
      std::fill(to, to + to_stride, 0.0f);
      continue;
    }
    std::fill(to, to + left, 0.0f);
    std::copy(from + y * width, from + y * width + columns, to + left);
    std::fill(to + left + columns, to + to_stride, 0.0f);
  }
}

}  // namespace bitwright
