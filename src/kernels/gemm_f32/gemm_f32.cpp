#include "kernels/gemm_f32/gemm_f32.h"

#include <algorithm>

#include "base/simd.h"

namespace bitwright {

std::span<const GemmF32Variant> gemm_f32_variants() {
  static constexpr GemmF32Variant kVariants[] = {
#define GEMM_F32_KERNEL(function, is_deterministic) {#function, function, is_deterministic},
#include "kernels/gemm_f32/variants.inc"
#undef GEMM_F32_KERNEL
  };
  return kVariants;
}

GemmF32Kernel choose_gemm_f32(bool is_deterministic) {
  for (const GemmF32Variant& variant : gemm_f32_variants())
    if (variant.is_deterministic || !is_deterministic) return variant.run;
  return gemm_f32__reference;
}

void pack_b_f32(const float* b, std::ptrdiff_t k_stride, std::ptrdiff_t column_stride, std::ptrdiff_t k, std::ptrdiff_t n,
                std::ptrdiff_t first_panel, std::ptrdiff_t last_panel, float* packed) {
  for (std::ptrdiff_t panel = first_panel; panel < last_panel; ++panel) {
    const float* from = b + panel * 8 * column_stride;
    float* to = packed + panel * 8 * k;
    const std::ptrdiff_t columns = std::min<std::ptrdiff_t>(8, n - panel * 8);
    if (columns == 8 && column_stride == 1) {
      for (std::ptrdiff_t p = 0; p < k; ++p, from += k_stride, to += 8) {
        store_f32x4(to, load_f32x4(from));
        store_f32x4(to + 4, load_f32x4(from + 4));
      }
      continue;
    }
    for (std::ptrdiff_t p = 0; p < k; ++p, from += k_stride, to += 8)
      for (std::ptrdiff_t j = 0; j < 8; ++j) to[j] = j < columns ? from[j * column_stride] : 0.0f;
  }
}

}  // namespace bitwright
