#include <algorithm>
#include <limits>

#include "base/simd.h"
#include "kernels/pool_f32/pool_f32.h"

namespace bitwright {

namespace {

template <PoolF32::Kind kKind>
f32x4 taken(f32x4 y, f32x4 x) {
  if constexpr (kKind == PoolF32::Kind::sum) return y + x;
  return max(y, x);
}

/// One tap of one row: y[i] takes x[i * stride] for i below n.
template <PoolF32::Kind kKind>
void take_row(float* y, const float* x, std::ptrdiff_t n, std::ptrdiff_t stride) {
  std::ptrdiff_t i = 0;
  if (stride == 1) {
    for (; i + 4 <= n; i += 4) store_f32x4(y + i, taken<kKind>(load_f32x4(y + i), load_f32x4(x + i)));
  } else if (stride == 2) {
    for (; i + 5 <= n; i += 4) {  // 8 elements are read for 4: the fifth says they are there
      const f32x4 even = __builtin_shufflevector(load_f32x4(x + 2 * i), load_f32x4(x + 2 * i + 4), 0, 2, 4, 6);
      store_f32x4(y + i, taken<kKind>(load_f32x4(y + i), even));
    }
  }
  for (; i < n; ++i) y[i] = taken<kKind>(splat(y[i]), splat(x[i * stride]))[0];
}

template <PoolF32::Kind kKind>
void plane(const PoolF32& pool) {
  const ConvGeometry& g = pool.geometry;
  constexpr float kStart = kKind == PoolF32::Kind::sum ? 0.0f : -std::numeric_limits<float>::infinity();
  float* y = pool.y;
  for (std::ptrdiff_t oz = 0; oz < g.output[0]; ++oz)
    for (std::ptrdiff_t oy = 0; oy < g.output[1]; ++oy, y += g.output[2]) {
      std::fill(y, y + g.output[2], kStart);
      for (std::ptrdiff_t kz = 0; kz < g.kernel[0]; ++kz) {
        const std::ptrdiff_t z = oz * g.stride[0] - g.pad_begin[0] + kz * g.dilation[0];
        if (z < 0 || z >= g.input[0]) continue;
        for (std::ptrdiff_t ky = 0; ky < g.kernel[1]; ++ky) {
          const std::ptrdiff_t row = oy * g.stride[1] - g.pad_begin[1] + ky * g.dilation[1];
          if (row < 0 || row >= g.input[1]) continue;
          const float* x = pool.x + (z * g.input[1] + row) * g.input[2];
          for (std::ptrdiff_t kx = 0; kx < g.kernel[2]; ++kx) {
            const std::ptrdiff_t shift = kx * g.dilation[2] - g.pad_begin[2], stride = g.stride[2];
            const std::ptrdiff_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
            const std::ptrdiff_t last =
                shift >= g.input[2] ? 0 : std::min(g.output[2], (g.input[2] - shift + stride - 1) / stride);
            if (first < last) take_row<kKind>(y + first, x + first * stride + shift, last - first, stride);
          }
        }
      }
    }
}

}  // namespace

void pool_f32__simd128(const PoolF32& pool) {
  if (pool.kind == PoolF32::Kind::sum) return plane<PoolF32::Kind::sum>(pool);
  plane<PoolF32::Kind::maximum>(pool);
}

}  // namespace bitwright
