#include "kernels/gemm_i8_nbits/gemm_i8_nbits.h"

#include <algorithm>

#include "base/parallel_for.h"
#include "base/simd_int.h"
#include "kernels/probe.h"

namespace bitwright {

std::span<const GemmI8NBitsVariant> gemm_i8_nbits_variants() {
  static constexpr GemmI8NBitsVariant kVariants[] = {
#define GEMM_I8_NBITS_KERNEL(function, arrange, widths, is_by_table) {#function, function, arrange, widths, is_by_table},
#include "kernels/gemm_i8_nbits/variants.inc"
#undef GEMM_I8_NBITS_KERNEL
  };
  return kVariants;
}

const GemmI8NBitsVariant& choose_gemm_i8_nbits(int bits) {
  static constexpr GemmI8NBitsVariant kVariants[] = {
#define GEMM_I8_NBITS_CHOSEN  // the others are linked only where something names them
#define GEMM_I8_NBITS_KERNEL(function, arrange, widths, is_by_table) {#function, function, arrange, widths, is_by_table},
#include "kernels/gemm_i8_nbits/variants.inc"
#undef GEMM_I8_NBITS_KERNEL
  };
  const GemmI8NBitsVariant* variant = kVariants;
#if defined(BITWRIGHT_RELAXED)
  // Two need the relaxed dot, the first of them VNNI, to be the faster.
  static const int first = !is_relaxed_dot_exact() ? 2 : probe_kernel_family() == KernelFamily::simd128 ? 1 : 0;
  variant += first;
#endif
  while (!variant->takes(bits)) ++variant;
  return *variant;
}

void quantize_blocks_i8(const float* x, std::ptrdiff_t m, const NBitsLayout& layout, std::int8_t* codes, float* scales,
                        std::int32_t factor, std::int32_t* sums) {
  const std::ptrdiff_t padded_block = layout.strips_per_block() * 32;
  const f32x4 magic = in_register(splat(12582912.0f));  // 1.5 * 2^23: the unit in the last place is 1
  for (std::ptrdiff_t i = 0; i < m; ++i)
    for (std::ptrdiff_t p = 0; p < layout.k; p += layout.block_size, ++scales, ++sums) {
      const float* from = x + i * layout.k + p;
      const std::ptrdiff_t n = std::min(layout.block_size, layout.k - p);
      float last[16] = {};  // what a block has behind its last whole 16
      std::copy_n(from + n / 16 * 16, n % 16, last);
      const auto sixteen = [&](std::ptrdiff_t at) { return at + 16 <= n ? from + at : last; };
      f32x4 largest{};
      for (std::ptrdiff_t at = 0; at < n; at += 16)
        unrolled<4>([&](auto q) { largest = max(largest, abs(load_f32x4(sixteen(at) + 4 * q))); });
      const float range = std::max(std::max(largest[0], largest[1]), std::max(largest[2], largest[3]));
      const f32x4 inverse = splat(range > 0.0f ? 127.0f / range : 0.0f);
      i32x4 sum{};
      for (std::ptrdiff_t at = 0; at < padded_block; at += 16, codes += 16) {
        i32x4 steps[4] = {};
        if (at < n)
          unrolled<4>([&](auto q) {
            steps[q] = bits_of(load_f32x4(sixteen(at) + 4 * q) * inverse + magic) - bits_of(magic);
            sum = sum + steps[q];
          });
        const u8x16 raised = narrow(narrow(steps[0], steps[1]) + splat_i16(128), narrow(steps[2], steps[3]) + splat_i16(128));
        store_lanes(codes, raised ^ splat_u8(128));
      }
      *scales = range / 127.0f;
      *sums = (sum[0] + sum[1] + sum[2] + sum[3]) * factor;
    }
}

void gemm_i8_nbits_parallel(const GemmI8NBits& product, GemmI8NBitsKernel kernel) {
  constexpr std::ptrdiff_t kProductsPerTask = 1 << 18;
  const std::ptrdiff_t of_four = std::max<std::ptrdiff_t>(1, product.m * product.layout.padded_k() * 32);
  parallel_for(product.layout.n_panels() / 4, std::max<std::ptrdiff_t>(1, kProductsPerTask / of_four),
               [&](std::int64_t begin, std::int64_t end) {
                 kernel(product, static_cast<std::ptrdiff_t>(begin) * 4, static_cast<std::ptrdiff_t>(end) * 4);
               });
}

}  // namespace bitwright
