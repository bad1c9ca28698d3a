#include <cstring>

#include "kernels/gemm_i8_nbits/gemm_i8_nbits.h"

namespace bitwright {

namespace {

/// The code of column c (0..7) at place p (0..31) of a strip.
int code_at(const NBitsLayout& l, const std::uint8_t* strip, int c, int p) {
  if (!l.is_by_table) {
    const NBitsPlace place = nbits_place(l.bits, p / 4, c / 4, c % 4 * 4 + p % 4);
    return strip[place.byte] >> place.shift & ((1 << l.bits) - 1);
  }
  int code = 0;
  for (int bit = 0; bit < l.bits; ++bit) code |= (strip[(bit * 4 + p / 4 % 4) * 8 + c] >> (p / 16 * 4 + p % 4) & 1) << bit;
  return code;
}

}  // namespace

void gemm_i8_nbits__reference(const GemmI8NBits& g, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel) {
  const NBitsLayout& l = g.layout;
  const std::ptrdiff_t strips = l.strips_per_block();
  for (std::ptrdiff_t i = 0; i < g.m; ++i)
    for (std::ptrdiff_t j = first_panel * 8; j < last_panel * 8 && j < l.n; ++j) {
      const int c = static_cast<int>(j % 8);
      float y = 0.0f;
      for (std::ptrdiff_t block = 0; block < l.n_blocks(); ++block) {
        std::int32_t acc = 0;
        for (std::ptrdiff_t p = block * strips * 32; p < (block + 1) * strips * 32; ++p)
          acc += static_cast<const std::int8_t*>(g.a)[i * l.padded_k() + p] *
                 code_at(l, g.weights + j / 8 * l.panel_bytes() + p / 32 * 32 * l.bits, c, static_cast<int>(p % 32));
        const std::ptrdiff_t at = (j / 8 * l.n_blocks() + block) * 8 + c, row_block = i * l.n_blocks() + block;
        const std::int32_t a_sum = g.a_sums[row_block];
        const float steps = g.zeros != nullptr ? static_cast<float>(acc) - g.zeros[at] * static_cast<float>(a_sum)
                                               : static_cast<float>(acc + a_sum);
        y += steps * (g.a_scales[row_block] * g.scales[at]);
      }
      g.y[i * g.y_row_stride + j] = g.bias != nullptr ? y + g.bias[j] : y;
    }
}

void arrange_i8__reference(const std::int8_t* codes, std::ptrdiff_t m, std::ptrdiff_t padded_k, void* arranged) {
  std::memcpy(arranged, codes, static_cast<std::size_t>(m * padded_k));
}

}  // namespace bitwright
