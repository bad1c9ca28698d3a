#include <wasm_simd128.h>

#include "kernels/gemm_i8_nbits/dot_i7.h"

namespace bitwright {

namespace {

struct Relaxed {
  static i16x8 pairs(u8x16 a, u8x16 w) { return (i16x8)wasm_i16x8_relaxed_dot_i8x16_i7x16((v128_t)a, (v128_t)w); }
  static i32x4 fours(i32x4 acc, u8x16 a, u8x16 w) {
    return (i32x4)wasm_i32x4_relaxed_dot_i8x16_i7x16_add((v128_t)a, (v128_t)w, (v128_t)acc);
  }
};

constexpr auto put_bytes = [](const std::int8_t* from, std::uint8_t* to) { std::memcpy(to, from, 4); };

}  // namespace

void gemm_i8_nbits__relaxed_add_6x8(const GemmI8NBits& g, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel) {
  NBitsTiles<DotAddI7<Relaxed>>::run(g, first_panel, last_panel);
}

void gemm_i8_nbits__relaxed_4x8(const GemmI8NBits& g, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel) {
  NBitsTiles<DotI7<Relaxed>>::run(g, first_panel, last_panel);
}

bool is_relaxed_dot_exact() {
  std::int8_t a[16];
  std::uint8_t w[16];
  for (int i = 0; i < 16; ++i) {
    a[i] = static_cast<std::int8_t>(i * 17 - 127);
    w[i] = static_cast<std::uint8_t>(127 - i * 8);
  }
  const i16x8 sums = Relaxed::pairs(in_register(load_lanes<u8x16>(a)), in_register(load_lanes<u8x16>(w)));
  for (int i = 0; i < 8; ++i)
    if (sums[i] != a[2 * i] * w[2 * i] + a[2 * i + 1] * w[2 * i + 1]) return false;
  return true;
}

void arrange_i8__relaxed_4x8(const std::int8_t* codes, std::ptrdiff_t m, std::ptrdiff_t padded_k, void* arranged) {
  arrange_rows<DotI7<Relaxed>>(codes, m, padded_k, arranged, put_bytes);
}
void arrange_i8__relaxed_6x8(const std::int8_t* codes, std::ptrdiff_t m, std::ptrdiff_t padded_k, void* arranged) {
  arrange_rows<DotAddI7<Relaxed>>(codes, m, padded_k, arranged, put_bytes);
}

}  // namespace bitwright
