#include <wasm_simd128.h>

#include <algorithm>

#include "kernels/gemm_f32/gemm_f32.h"

namespace bitwright {

namespace {

void store_row(const GemmF32& g, std::ptrdiff_t i, std::ptrdiff_t j, std::ptrdiff_t columns, v128_t low, v128_t high) {
  if (g.row_bias != nullptr) {
    const v128_t bias = wasm_v128_load32_splat(g.row_bias + i);
    low = wasm_f32x4_add(low, bias);
    high = wasm_f32x4_add(high, bias);
  }
  float sums[8];
  wasm_v128_store(sums, low);
  wasm_v128_store(sums + 4, high);
  float* c = g.c + i * g.c_row_stride + j;
  for (std::ptrdiff_t x = 0; x < std::min<std::ptrdiff_t>(columns, 8); ++x)
    c[x] = g.column_bias != nullptr ? sums[x] + g.column_bias[j + x] : sums[x];
}

/// 6 x 8: contraction needs no register for the product, which leaves room for a sixth row.
template <int kRows>
void tile(const GemmF32& g, std::ptrdiff_t i, std::ptrdiff_t j) {
  v128_t low[kRows], high[kRows];
  const float* a[kRows];
  for (int r = 0; r < kRows; ++r) {
    low[r] = high[r] = wasm_f32x4_splat(0.0f);
    a[r] = g.a + (i + r) * g.a_row_stride;
  }
  const float* b = g.b + j / 8 * g.b_panel_stride;
  std::ptrdiff_t at = 0;
  for (std::ptrdiff_t p = 0; p < g.k; ++p, at += g.a_k_stride, b += g.b_k_stride) {
    const v128_t b_low = wasm_v128_load(b), b_high = wasm_v128_load(b + 4);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const v128_t x = wasm_v128_load32_splat(a[r] + at);
      low[r] = wasm_f32x4_relaxed_madd(x, b_low, low[r]);
      high[r] = wasm_f32x4_relaxed_madd(x, b_high, high[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) store_row(g, i + r, j, g.n - j, low[r], high[r]);
}

template <int kRows>
void rows(const GemmF32& g, std::ptrdiff_t i) {
  for (std::ptrdiff_t j = 0; j < g.n; j += 8) tile<kRows>(g, i, j);
}

}  // namespace

void gemm_f32__relaxed_6x8(const GemmF32& g) {
  std::ptrdiff_t i = 0;
  for (; i + 6 <= g.m; i += 6) rows<6>(g, i);
  switch (g.m - i) {
    case 5:
      return rows<5>(g, i);
    case 4:
      return rows<4>(g, i);
    case 3:
      return rows<3>(g, i);
    case 2:
      return rows<2>(g, i);
    case 1:
      return rows<1>(g, i);
    default:
      return;
  }
}

}  // namespace bitwright
