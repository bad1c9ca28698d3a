#include "kernels/gemm_i8_nbits/tiles.h"

namespace bitwright {

namespace {

/// Everything in 16 bits: neighbours 0 and 2 of the four in one vector, 1 and 3 in another.
struct Dot16 {
  struct Item {
    i16x8 even, odd;
  };
  using Acc = i32x4;
  static constexpr int kActivationBytes = 2, kRows = 4;
  static constexpr bool kHas2Bits = true, kHas8Bits = true;
  static u8x16 mask(int bits) { return (u8x16)splat_i16((1 << bits) - 1); }
  static Item item(u8x16 vector, int shift, u8x16 mask) {
    const auto v = (u16x8)vector;
    return {(i16x8)((v >> shift) & (u16x8)mask), (i16x8)((v >> (shift + 8)) & (u16x8)mask)};
  }
  static Acc accumulate(Acc acc, const std::uint8_t* a, const Item& w) {
    return acc + dot((i16x8)load_splat(a), w.even) + dot((i16x8)load_splat(a + 4), w.odd);
  }
  struct Fold {};
};

}  // namespace

void gemm_i8_nbits__simd128_4x8(const GemmI8NBits& g, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel) {
  NBitsTiles<Dot16>::run(g, first_panel, last_panel);
}

void arrange_i8__simd128_4x8(const std::int8_t* codes, std::ptrdiff_t m, std::ptrdiff_t padded_k, void* arranged) {
  arrange_rows<Dot16>(codes, m, padded_k, arranged, [](const std::int8_t* from, std::uint8_t* to) {
    const std::int16_t wide[4] = {from[0], from[2], from[1], from[3]};
    std::memcpy(to, wide, sizeof(wide));
  });
}

}  // namespace bitwright
