#pragma once

#include <algorithm>

#include "base/simd.h"
#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/multiply_add_f32.h"

namespace bitwright {

/// The product in tiles of kRows x 8. Step: kernels/multiply_add_f32.h. kRows is what the registers hold: two sums a row, two vectors
/// of B, one of A, and the product where it is rounded on its own.
template <typename Step, int kRows>
class GemmF32Tiles {
 public:
  static void run(const GemmF32& g) {
    std::ptrdiff_t i = 0;
    for (; i + kRows <= g.m; i += kRows) rows<kRows>(g, i);
    last_rows<kRows - 1>(g, i);
  }

 private:
  template <int kLeft>
  static void last_rows(const GemmF32& g, std::ptrdiff_t i) {
    if constexpr (kLeft > 0) {
      if (g.m - i == kLeft) return rows<kLeft>(g, i);
      last_rows<kLeft - 1>(g, i);
    }
  }

  template <int kN>
  static void rows(const GemmF32& g, std::ptrdiff_t i) {
    std::ptrdiff_t j = 0;
    if constexpr (kN == 1)
      for (; j + 32 <= g.n; j += 32) row_of_panels(g, i, j);
    for (; j < g.n; j += 8) tile<kN>(g, i, j);
  }

  template <int kN>
  static void tile(const GemmF32& g, std::ptrdiff_t i, std::ptrdiff_t j) {
    f32x4 low[kN] = {};
    f32x4 high[kN] = {};
    const float* a[kN];
    for (int r = 0; r < kN; ++r) a[r] = g.a + (i + r) * g.a_row_stride;
    const float* b = g.b + j / 8 * g.b_panel_stride;
    std::ptrdiff_t at = 0;
    for (std::ptrdiff_t p = 0; p < g.k; ++p, at += g.a_k_stride, b += g.b_k_stride) {
      const f32x4 b_low = load_f32x4(b);
      const f32x4 b_high = load_f32x4(b + 4);
#pragma GCC unroll 6
      for (int r = 0; r < kN; ++r) {
        const f32x4 x = splat(a[r][at]);
        low[r] = Step::add(low[r], x, b_low);
        high[r] = Step::add(high[r], x, b_high);
      }
    }
    for (int r = 0; r < kN; ++r) store_row(g, i + r, j, g.n - j, low[r], high[r]);
  }

  /// 1 x 32: one row has too few additions to hide their latency in one panel, so it takes four.
  static void row_of_panels(const GemmF32& g, std::ptrdiff_t i, std::ptrdiff_t j) {
    f32x4 sums[8] = {};
    const float* a = g.a + i * g.a_row_stride;
    const float* b = g.b + j / 8 * g.b_panel_stride;
    const std::ptrdiff_t panel = g.b_panel_stride;
    for (std::ptrdiff_t p = 0; p < g.k; ++p, a += g.a_k_stride, b += g.b_k_stride) {
      const f32x4 x = splat(*a);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        sums[2 * v] = Step::add(sums[2 * v], x, load_f32x4(b + v * panel));
        sums[2 * v + 1] = Step::add(sums[2 * v + 1], x, load_f32x4(b + v * panel + 4));
      }
    }
    for (int v = 0; v < 4; ++v) store_row(g, i, j + 8 * v, 8, sums[2 * v], sums[2 * v + 1]);
  }

  static void store_row(const GemmF32& g, std::ptrdiff_t i, std::ptrdiff_t j, std::ptrdiff_t columns, f32x4 low, f32x4 high) {
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
      store_f32x4(c, g.clamp(low));
      store_f32x4(c + 4, g.clamp(high));
      return;
    }
    for (std::ptrdiff_t x = 0; x < columns; ++x) {
      const float sum = x < 4 ? low[x] : high[x - 4];
      c[x] = g.clamp(g.column_bias != nullptr ? sum + g.column_bias[j + x] : sum);
    }
  }
};

}  // namespace bitwright
