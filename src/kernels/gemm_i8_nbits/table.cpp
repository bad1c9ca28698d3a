#include "kernels/gemm_i8_nbits/tiles.h"

namespace bitwright {

// Nothing is multiplied: the 16 sums that 4 neighbouring activations can have with weights of one bit stand in a table, bytes of the low
// halves and of the high ones, and 16 columns look theirs up at once (T-MAC, Wei et al., arXiv 2407.00088).

namespace {

/// Of 16 columns.
struct Sums {
  i16x8 low, high;
  void add(const std::uint8_t* table, u8x16 index) {
    const u8x16 low_bytes = swizzle(load_lanes<u8x16>(table), index), high_bytes = swizzle(load_lanes<u8x16>(table + 16), index);
    low += (i16x8)interleave_low_bytes(low_bytes, high_bytes);
    high += (i16x8)interleave_high_bytes(low_bytes, high_bytes);
  }
};

void two_panels(const GemmI8NBits& g, std::ptrdiff_t row, std::ptrdiff_t panel) {
  const std::ptrdiff_t blocks = g.layout.n_blocks(), strips = g.layout.strips_per_block();
  const std::ptrdiff_t next_bytes = g.layout.panel_bytes(), next_scales = blocks * 8;
  const std::uint8_t* w = g.weights + panel * g.layout.panel_bytes();
  const auto* tables = static_cast<const std::uint8_t*>(g.a) + row * g.layout.padded_k() * 8;
  const float* scales = g.scales + panel * blocks * 8;
  const float* zeros = g.zeros != nullptr ? g.zeros + panel * blocks * 8 : nullptr;
  const u8x16 mask = in_register(splat_u8(15));
  f32x4 y[4] = {};
  for (std::ptrdiff_t block = 0; block < blocks; ++block, scales += 8) {
    const std::ptrdiff_t row_block = row * blocks + block;
    const std::int32_t* a_sum = g.a_sums + row_block;
    i32x4 acc[4];
    unrolled<4>([&](auto q) { acc[q] = start_of_sums(g, a_sum); });
    for (std::ptrdiff_t s = 0; s < strips; ++s, tables += 8 * 32) {
      i16x8 low{}, high{};
      for (int bit = 0; bit < g.layout.bits; ++bit) {
        Sums sums{};  // of 8 groups, at most 4 * 127 each
        const std::uint8_t* table = tables;
        for (int j = 0; j < 4; ++j, w += 8, table += 32) {
          const u8x16 v = load_halves(w, w + next_bytes);
          sums.add(table, v & mask);
          sums.add(table + 4 * 32, (u8x16)((u16x8)v >> 4) & mask);
        }
        low += sums.low << bit;
        high += sums.high << bit;
      }
      acc[0] += widen_low(low);
      acc[1] += widen_high(low);
      acc[2] += widen_low(high);
      acc[3] += widen_high(high);
    }
    const f32x4 a_scale = splat(g.a_scales[row_block]);
    unrolled<4>([&](auto q) {
      const std::ptrdiff_t at = q % 2 * 4 + (q < 2 ? 0 : next_scales);
      const f32x4 scale = load_f32x4(scales + at);
      y[q] = zeros == nullptr ? add_block(y[q], acc[q], a_scale, scale)
                              : add_block(y[q], acc[q], a_scale, scale, a_sum, load_f32x4(zeros + block * 8 + at));
    });
  }
  float results[16];
  unrolled<4>([&](auto q) { store_f32x4(results + q * 4, y[q]); });
  store_panel(g, row, panel, results, true);
  store_panel(g, row, panel + 1, results + 8, true);
}

}  // namespace

void gemm_i8_nbits__table_1x16(const GemmI8NBits& g, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel) {
  for (std::ptrdiff_t panel = first_panel; panel < last_panel && panel * 8 < g.layout.n; panel += 2)
    for (std::ptrdiff_t row = 0; row < g.m; ++row) two_panels(g, row, panel);
}

void arrange_i8__table_1x16(const std::int8_t* codes, std::ptrdiff_t m, std::ptrdiff_t padded_k, void* arranged) {
  auto* to = static_cast<std::uint8_t*>(arranged);
  const i16x8 byte = splat_i16(255);
  for (const std::int8_t* const end = codes + m * padded_k; codes != end; codes += 4, to += 32) {
    const i16x8 low = (splat_i16(codes[0]) & i16x8{0, -1, 0, -1, 0, -1, 0, -1}) +
                      (splat_i16(codes[1]) & i16x8{0, 0, -1, -1, 0, 0, -1, -1}) +
                      (splat_i16(codes[2]) & i16x8{0, 0, 0, 0, -1, -1, -1, -1}),
                high = low + splat_i16(codes[3]);
    store_lanes(to, narrow(low & byte, high & byte));
    store_lanes(to + 16, narrow((i16x8)((u16x8)low >> 8), (i16x8)((u16x8)high >> 8)));
  }
}

}  // namespace bitwright
