#include <algorithm>

#include "base/simd_int.h"
#include "kernels/gemm_ternary/gemm_ternary.h"

namespace bitwright {

namespace {

/// Row i by four columns from j on; beyond the last one stands the last again.
template <bool kIsBinary>
void tile(const GemmTernary& g, std::ptrdiff_t i, std::ptrdiff_t j, std::ptrdiff_t last) {
  constexpr std::ptrdiff_t kWords = kIsBinary ? 4 : 8, kTurn = 15;  // counts of bytes, at most 8 each, stay below 128
  const std::uint32_t *a = g.a + i * g.layout.row_words(), *w[4];
  std::ptrdiff_t columns[4];
  unrolled<4>([&](auto c) {
    columns[c] = std::min<std::ptrdiff_t>(j + c, last - 1);
    w[c] = g.weights + columns[c] * g.layout.weight_words();
  });
  i32x4 sums[4] = {};
  for (std::ptrdiff_t left = g.layout.n_vectors(), at = 0; left > 0; left -= kTurn) {
    u8x16 counts[4] = {};
    for (std::ptrdiff_t step = std::min(left, kTurn); step > 0; --step, a += 8, at += kWords) {
      const u8x16 nonzero = load_lanes<u8x16>(a), negative = load_lanes<u8x16>(a + 4);
      unrolled<4>([&](auto c) {
        const u8x16 first = load_lanes<u8x16>(w[c] + at);
        if constexpr (kIsBinary) {
          counts[c] += popcount((negative ^ first) & nonzero);
        } else {
          const u8x16 both = nonzero & first, differ = (negative ^ load_lanes<u8x16>(w[c] + at + 4)) & both;
          counts[c] += popcount(both ^ differ) - popcount(differ);
        }
      });
    }
    unrolled<4>([&](auto c) { sums[c] += sum_of_fours((i8x16)counts[c]); });
  }
  unrolled<4>([&](auto c) {
    std::int32_t sum = sums[c][0] + sums[c][1] + sums[c][2] + sums[c][3];
    if (kIsBinary) sum = g.a_counts[i] - 2 * sum;
    const float y = static_cast<float>(sum) * g.scales[columns[c]];
    g.y[i * g.y_row_stride + columns[c] * g.y_column_stride] = g.bias != nullptr ? y + g.bias[columns[c]] : y;
  });
}

}  // namespace

void gemm_ternary__simd128_1x4(const GemmTernary& g, std::ptrdiff_t first, std::ptrdiff_t last) {
  // Rows that stay in the first cache meet column after column. Popcount is most of the work: taller tiles would save little.
  constexpr std::ptrdiff_t kWords = 4096;
  const std::ptrdiff_t block = std::max<std::ptrdiff_t>(1, kWords / g.layout.row_words());
  for (std::ptrdiff_t begin = 0; begin < g.m; begin += block)
    for (std::ptrdiff_t j = first; j < last; j += 4)
      for (std::ptrdiff_t i = begin; i < std::min(begin + block, g.m); ++i)
        g.layout.is_binary ? tile<true>(g, i, j, last) : tile<false>(g, i, j, last);
}

}  // namespace bitwright
