#include "kernels/gemm_ternary/gemm_ternary.h"

#include <algorithm>

#include "base/parallel_for.h"
#include "base/simd_int.h"

namespace bitwright {

std::span<const GemmTernaryVariant> gemm_ternary_variants() {
  static constexpr GemmTernaryVariant kVariants[] = {
#define GEMM_TERNARY_KERNEL(function) {#function, function},
#include "kernels/gemm_ternary/variants.inc"
#undef GEMM_TERNARY_KERNEL
  };
  return kVariants;
}

void gemm_ternary_parallel(const GemmTernary& product) {
  constexpr std::ptrdiff_t kProductsPerTask = 1 << 20;
  const std::ptrdiff_t of_column = std::max<std::ptrdiff_t>(1, product.m * product.layout.n_vectors() * 128);
  parallel_for(product.layout.n, std::max<std::ptrdiff_t>(1, kProductsPerTask / of_column),
               [&](std::int64_t begin, std::int64_t end) {
                 gemm_ternary__simd128_1x4(product, static_cast<std::ptrdiff_t>(begin), static_cast<std::ptrdiff_t>(end));
               });
}

void pack_signs(const float* x, std::ptrdiff_t pixels, std::ptrdiff_t pixel_stride, std::ptrdiff_t channels,
                std::ptrdiff_t channel_stride, std::uint32_t* words) {
  const std::ptrdiff_t pairs = (channels + 31) / 32;
  for (std::ptrdiff_t pixel = 0; pixel < pixels; pixel += 4) {
    const std::ptrdiff_t n = std::min<std::ptrdiff_t>(4, pixels - pixel);
    std::ptrdiff_t at[4];  // of the last pixel again where there are no four
    for (std::ptrdiff_t i = 0; i < 4; ++i) at[i] = (pixel + std::min(i, n - 1)) * pixel_stride;
    const bool are_neighbours = n == 4 && pixel_stride == 1;
    for (std::ptrdiff_t pair = 0; pair < pairs; ++pair) {
      const float* from = x + pair * 32 * channel_stride;
      i32x4 nonzero{}, negative{}, bit = splat(1);
      for (std::ptrdiff_t left = std::min<std::ptrdiff_t>(32, channels - pair * 32); left > 0; --left, from += channel_stride) {
        const f32x4 v = are_neighbours ? load_f32x4(from + at[0]) : f32x4{from[at[0]], from[at[1]], from[at[2]], from[at[3]]};
        const i32x4 is_negative = v<f32x4{}, is_positive = v> f32x4{};
        negative |= is_negative & bit;
        nonzero |= (is_negative | is_positive) & bit;
        bit += bit;
      }
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        std::uint32_t* to = words + ((pixel + i) * pairs + pair) * 2;
        to[0] = static_cast<std::uint32_t>(nonzero[i]);
        to[1] = static_cast<std::uint32_t>(negative[i]);
      }
    }
  }
}

void pack_column(const TernaryLayout& layout, const std::uint32_t* row, std::uint32_t* column) {
  const std::ptrdiff_t words = layout.is_binary ? 4 : 8;
  for (std::ptrdiff_t v = 0; v < layout.n_vectors(); ++v, row += 8, column += words)
    std::copy_n(row + (8 - words), words, column);
}

}  // namespace bitwright
