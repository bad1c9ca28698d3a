#pragma once

#include <algorithm>

#include "base/simd.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/multiply_add_f32.h"

namespace bitwright::depthwise_tiles {

// Neighbours of a row in vectors. Step: kernels/multiply_add_f32.h.

enum class Stride { one, two, other };

template <Stride kStride>
f32x4 load_columns(const float* x, std::ptrdiff_t stride) {
  if constexpr (kStride == Stride::one) return load_f32x4(x);
  if constexpr (kStride == Stride::two) return __builtin_shufflevector(load_f32x4(x), load_f32x4(x + 4), 0, 2, 4, 6);
  return f32x4{x[0], x[stride], x[2 * stride], x[3 * stride]};
}

/// kVectors * 4 neighbours of one output row.
template <typename Step, Stride kStride, int kVectors>
void columns(const DepthwiseF32& d, std::ptrdiff_t oy, std::ptrdiff_t ox) {
  f32x4 sums[kVectors] = {};
  const float* w = d.w;
  for (std::ptrdiff_t ky = 0; ky < d.kernel_height; ++ky) {
    const float* x = d.x + (oy * d.stride_y + ky * d.dilation_y) * d.x_row_stride + ox * d.stride_x;
    for (std::ptrdiff_t kx = 0; kx < d.kernel_width; ++kx, x += d.dilation_x) {
      const f32x4 weight = splat(*w++);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        sums[v] = Step::add(sums[v], weight, load_columns<kStride>(x + 4 * v * d.stride_x, d.stride_x));
    }
  }
  float* y = d.y + oy * d.out_width + ox;
  for (int v = 0; v < kVectors; ++v) {
    const f32x4 sum = d.clamp(sums[v] + d.bias);
    const std::ptrdiff_t left = d.out_width - ox - 4 * v;
    if (left >= 4) {
      store_f32x4(y + 4 * v, sum);
    } else {
      for (std::ptrdiff_t i = 0; i < left; ++i) y[4 * v + i] = sum[i];
    }
  }
}

template <typename Step, Stride kStride>
void plane(const DepthwiseF32& d) {
  for (std::ptrdiff_t oy = 0; oy < d.out_height; ++oy) {
    std::ptrdiff_t ox = 0;
    for (; ox + 12 < d.out_width; ox += 16) columns<Step, kStride, 4>(d, oy, ox);
    if (ox + 4 < d.out_width) {
      columns<Step, kStride, 2>(d, oy, ox);
      ox += 8;
    }
    if (ox < d.out_width) columns<Step, kStride, 1>(d, oy, ox);
  }
}

template <typename Step>
void run(const DepthwiseF32& d) {
  switch (d.stride_x) {
    case 1:
      return plane<Step, Stride::one>(d);
    case 2:
      return plane<Step, Stride::two>(d);
    default:
      return plane<Step, Stride::other>(d);
  }
}

}  // namespace bitwright::depthwise_tiles
