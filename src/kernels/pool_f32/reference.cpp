#include <limits>

#include "kernels/pool_f32/pool_f32.h"

namespace bitwright {

std::span<const PoolF32Variant> pool_f32_variants() {
  static constexpr PoolF32Variant kVariants[] = {
#define POOL_F32_KERNEL(function) {#function, function},
#include "kernels/pool_f32/variants.inc"
#undef POOL_F32_KERNEL
  };
  return kVariants;
}

void pool_f32__reference(const PoolF32& pool) {
  const ConvGeometry& g = pool.geometry;
  for (std::ptrdiff_t pixel = 0; pixel < g.n_outputs(); ++pixel) {
    const Extents3f at{pixel / (g.output[2] * g.output[1]), pixel / g.output[2] % g.output[1], pixel % g.output[2]};
    float y = pool.kind == PoolF32::Kind::sum ? 0.0f : -std::numeric_limits<float>::infinity();
    for (std::ptrdiff_t tap = 0; tap < g.n_taps(); ++tap) {
      const Extents3f k{tap / (g.kernel[2] * g.kernel[1]), tap / g.kernel[2] % g.kernel[1], tap % g.kernel[2]};
      std::ptrdiff_t place = 0;
      bool is_inside = true;
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const std::ptrdiff_t i = at[axis] * g.stride[axis] - g.pad_begin[axis] + k[axis] * g.dilation[axis];
        is_inside = is_inside && i >= 0 && i < g.input[axis];
        place = place * g.input[axis] + i;
      }
      if (!is_inside) continue;
      const float x = pool.x[place];
      if (pool.kind == PoolF32::Kind::sum) {
        y += x;
      } else if (x > y) {
        y = x;
      }
    }
    pool.y[pixel] = y;
  }
}

}  // namespace bitwright
