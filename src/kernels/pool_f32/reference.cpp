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
    float y = pool.kind == PoolF32::Kind::sum ? 0.0f : -std::numeric_limits<float>::infinity();
    for (std::ptrdiff_t tap = 0; tap < g.n_taps(); ++tap) {
      const std::ptrdiff_t place = g.input_of(pixel, tap);
      if (place == ConvGeometry::kPadding) continue;
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
