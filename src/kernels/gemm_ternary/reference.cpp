#include "kernels/gemm_ternary/gemm_ternary.h"

namespace bitwright {

void gemm_ternary__reference(const GemmTernary& g, std::ptrdiff_t first, std::ptrdiff_t last) {
  for (std::ptrdiff_t i = 0; i < g.m; ++i)
    for (std::ptrdiff_t j = first; j < last; ++j) {
      std::int32_t sum = 0;
      for (std::ptrdiff_t k = 0; k < g.layout.k; ++k) {
        const std::ptrdiff_t vector = k / 128, lane = k % 128 / 32;
        const auto bit = [&](const std::uint32_t* at) { return static_cast<std::int32_t>(at[lane] >> k % 32 & 1); };
        const std::uint32_t *a = g.a + i * g.layout.row_words() + vector * 8,
                            *w = g.weights + j * g.layout.weight_words() + vector * (g.layout.is_binary ? 4 : 8);
        const std::int32_t a_code = bit(a) * (1 - 2 * bit(a + 4));
        sum += a_code * (g.layout.is_binary ? 1 - 2 * bit(w) : bit(w) * (1 - 2 * bit(w + 4)));
      }
      const float y = static_cast<float>(sum) * g.scales[j];
      g.y[i * g.y_row_stride + j * g.y_column_stride] = g.bias != nullptr ? y + g.bias[j] : y;
    }
}

}  // namespace bitwright
