#pragma once

#include "kernels/gemm_i8_nbits/tiles.h"

namespace bitwright {

/// By pairs of bytes into 16 bits: Multiply::pairs(a, w) is i16 lanes a[2i] * w[2i] + a[2i+1] * w[2i+1] for w of at most 7 bits. A lane
/// sums 16 products of a strip, which 4 bits let it: 16 * 15 * 127 < 2^15. Codes of at most 7 bits make wasm's relaxed dot
/// exact everywhere, and this one runs at twice the rate of dot_i16x8 where the dot into 32 bits has no instruction of its own.
template <typename Multiply>
struct DotI7 {
  using Item = u8x16;
  using Acc = i16x8;
  static constexpr int kActivationBytes = 1, kRows = 4;
  static constexpr bool kHas2Bits = true, kHas8Bits = false;
  static u8x16 mask(int bits) { return splat_u8((1 << bits) - 1); }
  static Item item(u8x16 vector, int shift, u8x16 mask) { return (u8x16)((u16x8)vector >> shift) & mask; }
  static Acc accumulate(Acc acc, const std::uint8_t* a, Item w) { return acc + Multiply::pairs((u8x16)load_splat(a), w); }
  struct Fold {
    i16x8 ones = in_register(splat_i16(1));
    i32x4 operator()(Acc acc) const { return dot(acc, ones); }
  };
};

/// By fours of bytes into 32 bits, Multiply::fours(acc, a, w): one instruction where the engine knows VNNI, three elsewhere.
template <typename Multiply>
struct DotAddI7 : DotI7<Multiply> {
  using Item = u8x16;
  using Acc = i32x4;
  static constexpr int kRows = 6;
  static constexpr bool kHas2Bits = false;
  static Acc accumulate(Acc acc, const std::uint8_t* a, Item w) { return Multiply::fours(acc, (u8x16)load_splat(a), w); }
  struct Fold {};
};

}  // namespace bitwright
