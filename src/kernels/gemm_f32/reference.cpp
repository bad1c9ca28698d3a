#include "kernels/gemm_f32/gemm_f32.h"

namespace bitwright {

void gemm_f32__reference(const GemmF32& g) {
  for (std::ptrdiff_t i = 0; i < g.m; ++i) {
    for (std::ptrdiff_t j = 0; j < g.n; ++j) {
      const float* b = g.b + j / 8 * g.b_panel_stride + j % 8;
      float sum = 0.0f;
      for (std::ptrdiff_t p = 0; p < g.k; ++p) sum += g.a[i * g.a_row_stride + p * g.a_k_stride] * b[p * g.b_k_stride];
      if (g.row_bias != nullptr) sum += g.row_bias[i];
      if (g.column_bias != nullptr) sum += g.column_bias[j];
      g.c[i * g.c_row_stride + j] = g.clamp(sum);
    }
  }
}

}  // namespace bitwright
