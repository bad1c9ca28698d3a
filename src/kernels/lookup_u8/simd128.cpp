#include "base/simd_int.h"
#include "kernels/lookup_u8/lookup_u8.h"

namespace bitwright {

/// The table in 16 pieces of 16: each gives 0 where the code is not its own, since the index, 16 lower from piece to piece, is out
/// of range there.
void lookup_u8__simd128(const LookupU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  const u8x16 sixteen = in_register(splat_u8(16));
  for (std::ptrdiff_t row = first_row; row < last_row; ++row) {
    const std::uint8_t* x = args.x + row * args.x_row_stride;
    std::uint8_t* y = args.y + row * args.y_row_stride;
    std::ptrdiff_t i = 0;
    for (; args.n - i >= 32; i += 32) {
      u8x16 a = load_lanes<u8x16>(x + i), b = load_lanes<u8x16>(x + i + 16), to_a{}, to_b{};
      for (std::ptrdiff_t piece = 0; piece < 256; piece += 16, a = a - sixteen, b = b - sixteen) {
        const u8x16 table = load_lanes<u8x16>(args.table + piece);
        to_a = to_a | swizzle(table, a);
        to_b = to_b | swizzle(table, b);
      }
      store_lanes(y + i, to_a);
      store_lanes(y + i + 16, to_b);
    }
    for (; i < args.n; ++i) y[i] = args.table[x[i]];
  }
}

/// In vectors and bytes: in wasm a copy of variable length is a call out of the module, and pixels are short.
void gather_u8(const GatherU8& args, std::ptrdiff_t first, std::ptrdiff_t last) {
  const u8x16 fill = splat_u8(args.fill);
  for (std::ptrdiff_t i = first; i < last; ++i) {
    const std::uint8_t* from = args.index[i] < 0 ? nullptr : args.x + args.index[i] * args.x_stride;
    std::uint8_t* to = args.y + i * args.y_stride;
    std::ptrdiff_t at = 0;
    for (; args.bytes - at >= 16; at += 16) store_lanes(to + at, from != nullptr ? load_lanes<u8x16>(from + at) : fill);
    for (; at < args.bytes; ++at) to[at] = from != nullptr ? from[at] : args.fill;
  }
}

}  // namespace bitwright
