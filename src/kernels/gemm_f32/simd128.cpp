#include <algorithm>

#include "base/simd.h"
#include "kernels/gemm_f32/gemm_f32.h"

namespace bitwright {

namespace {

void store_row(const GemmF32& g, std::ptrdiff_t i, std::ptrdiff_t j, std::ptrdiff_t columns, f32x4 low, f32x4 high) {
  if (g.row_bias != nullptr) {
    low = low + g.row_bias[i];
    high = high + g.row_bias[i];
  }
  float* c = g.c + i * g.c_row_stride + j;
  if (columns >= 8) {
    if (g.column_bias != nullptr) {
      low = low + load_f32x4(g.column_bias + j);
      high = high + load_f32x4(g.column_bias + j + 4);
    }
    store_f32x4(c, low);
    store_f32x4(c + 4, high);
    return;
  }
  for (std::ptrdiff_t x = 0; x < columns; ++x) {
    const float sum = x < 4 ? low[x] : high[x - 4];
    c[x] = g.column_bias != nullptr ? sum + g.column_bias[j + x] : sum;
  }
}

/// 5 x 8: ten accumulators, two vectors of B, one of A and one product fill the registers that wasm engines have.
template <int kRows>
void tile(const GemmF32& g, std::ptrdiff_t i, std::ptrdiff_t j) {
  f32x4 low[kRows] = {};
  f32x4 high[kRows] = {};
  const float* a[kRows];
  for (int r = 0; r < kRows; ++r) a[r] = g.a + (i + r) * g.a_row_stride;
  const float* b = g.b + j / 8 * g.b_panel_stride;
  std::ptrdiff_t at = 0;
  for (std::ptrdiff_t p = 0; p < g.k; ++p, at += g.a_k_stride, b += g.b_k_stride) {
    const f32x4 b_low = load_f32x4(b);
    const f32x4 b_high = load_f32x4(b + 4);
#pragma GCC unroll 5
    for (int r = 0; r < kRows; ++r) {
      const f32x4 x = splat(a[r][at]);
      low[r] = low[r] + x * b_low;
      high[r] = high[r] + x * b_high;
    }
  }
  for (int r = 0; r < kRows; ++r) store_row(g, i + r, j, g.n - j, low[r], high[r]);
}

/// 1 x 32: one row has too few additions to hide their latency in one panel, so it takes four.
void row_of_panels(const GemmF32& g, std::ptrdiff_t i, std::ptrdiff_t j) {
  f32x4 sums[8] = {};
  const float* a = g.a + i * g.a_row_stride;
  const float* b = g.b + j / 8 * g.b_panel_stride;
  const std::ptrdiff_t panel = g.b_panel_stride;
  for (std::ptrdiff_t p = 0; p < g.k; ++p, a += g.a_k_stride, b += g.b_k_stride) {
    const f32x4 x = splat(*a);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      sums[2 * v] = sums[2 * v] + x * load_f32x4(b + v * panel);
      sums[2 * v + 1] = sums[2 * v + 1] + x * load_f32x4(b + v * panel + 4);
    }
  }
  for (int v = 0; v < 4; ++v) store_row(g, i, j + 8 * v, 8, sums[2 * v], sums[2 * v + 1]);
}

template <int kRows>
void rows(const GemmF32& g, std::ptrdiff_t i) {
  std::ptrdiff_t j = 0;
  if constexpr (kRows == 1)
    for (; j + 32 <= g.n; j += 32) row_of_panels(g, i, j);
  for (; j < g.n; j += 8) tile<kRows>(g, i, j);
}

}  // namespace

void gemm_f32__simd128_5x8(const GemmF32& g) {
  std::ptrdiff_t i = 0;
  for (; i + 5 <= g.m; i += 5) rows<5>(g, i);
  switch (g.m - i) {
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
