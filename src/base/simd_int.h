#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "base/simd.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace bitwright {

// Integer lanes, beside the four of base/simd.h: wasm's instructions, and natively the same results by SSE2 or plain vectors.
// Arithmetic by operators wraps.
typedef std::int8_t i8x16 __attribute__((vector_size(16)));
typedef std::uint8_t u8x16 __attribute__((vector_size(16)));
typedef std::int16_t i16x8 __attribute__((vector_size(16)));
typedef std::uint16_t u16x8 __attribute__((vector_size(16)));

/// body(0) to body(n - 1), each written out, the index a constant: arrays of vectors that it indexes stay in registers.
template <int n, typename Body>
[[gnu::always_inline]] inline void unrolled(Body body) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (body(std::integral_constant<int, i>()), ...);
  }
  (std::make_integer_sequence<int, n>());
}

template <typename V>
V load_lanes(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
template <typename V>
void store_lanes(void* p, V v) {
  std::memcpy(p, &v, sizeof(v));
}
/// The low or high 8 bytes.
template <int kHalf = 0>
void store_half(void* p, u8x16 v) {
#if defined(__wasm_simd128__)
  wasm_v128_store64_lane(p, (v128_t)v, kHalf);
#else
  std::memcpy(p, reinterpret_cast<const char*>(&v) + 8 * kHalf, 8);
#endif
}

/// The first n bytes of a vector. No memcpy: in wasm a copy of variable length is a call out of the module.
inline void store_bytes(std::uint8_t* p, u8x16 v, std::ptrdiff_t n) {
  std::uint8_t bytes[16];
  store_lanes(bytes, v);
  for (std::ptrdiff_t i = 0; i < n; ++i) p[i] = bytes[i];
}
/// The first n <= 8 bytes of each half; none of the high one where `high` is null. For the ends of rows.
inline void store_bytes_of_halves(std::uint8_t* low, std::uint8_t* high, u8x16 v, std::ptrdiff_t n) {
  std::uint8_t bytes[16];
  store_lanes(bytes, v);
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    low[i] = bytes[i];
    if (high != nullptr) high[i] = bytes[8 + i];
  }
}

inline i16x8 splat_i16(std::int32_t x) {
  const auto v = static_cast<std::int16_t>(x);
  return i16x8{v, v, v, v, v, v, v, v};
}
inline i8x16 splat_i8(std::int32_t x) {
  const auto v = static_cast<std::int8_t>(x);
  return i8x16{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}
inline u8x16 splat_u8(std::int32_t x) {
  const auto v = static_cast<std::uint8_t>(x);
  return u8x16{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}
/// The 4 bytes at p in every lane.
inline i32x4 load_splat(const void* p) {
#if defined(__wasm_simd128__)
  return (i32x4)wasm_v128_load32_splat(p);
#else
  std::int32_t x;
  std::memcpy(&x, p, sizeof(x));
  return splat(x);
#endif
}
/// The 8 bytes at p in the low half.
inline u8x16 load_low_half(const void* p) {
#if defined(__wasm_simd128__)
  return (u8x16)wasm_v128_load64_zero(p);
#else
  u8x16 v{};
  std::memcpy(&v, p, 8);
  return v;
#endif
}

/// 8 bytes from each of two places.
inline u8x16 load_halves(const void* low, const void* high) {
#if defined(__wasm_simd128__)
  return (u8x16)wasm_v128_load64_lane(high, wasm_v128_load64_zero(low), 1);
#else
  u8x16 v;
  std::memcpy(&v, low, 8);
  std::memcpy(reinterpret_cast<char*>(&v) + 8, high, 8);
  return v;
#endif
}

template <typename V>
V interleave_low_bytes(V a, V b) {
  return (V)__builtin_shufflevector((u8x16)a, (u8x16)b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
template <typename V>
V interleave_high_bytes(V a, V b) {
  return (V)__builtin_shufflevector((u8x16)a, (u8x16)b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
inline i16x8 interleave_low(i16x8 a, i16x8 b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
inline i16x8 interleave_high(i16x8 a, i16x8 b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }

/// Bytes of a table of 16; an index beyond gives 0.
inline u8x16 swizzle(u8x16 table, u8x16 index) {
#if defined(__wasm_simd128__)
  return (u8x16)wasm_i8x16_swizzle((v128_t)table, (v128_t)index);
#else
  u8x16 y{};
  for (int i = 0; i < 16; ++i) y[i] = index[i] < 16 ? table[index[i]] : 0;
  return y;
#endif
}

/// 8 u8 codes at p as i16.
inline i16x8 load_widened(const std::uint8_t* p) {
#if defined(__wasm_simd128__)
  return (i16x8)wasm_u16x8_load8x8(p);
#else
  return (i16x8)interleave_low_bytes(load_low_half(p), u8x16{});
#endif
}
inline i16x8 widen_low(u8x16 v) { return (i16x8)interleave_low_bytes(v, u8x16{}); }
inline i16x8 widen_high(u8x16 v) { return (i16x8)interleave_high_bytes(v, u8x16{}); }
/// Sign extension of the halves.
inline i32x4 widen_low(i16x8 v) {
#if defined(__wasm_simd128__)
  return (i32x4)wasm_i32x4_extend_low_i16x8((v128_t)v);
#else
  return (i32x4)interleave_low(v, v) >> 16;
#endif
}
inline i32x4 widen_high(i16x8 v) {
#if defined(__wasm_simd128__)
  return (i32x4)wasm_i32x4_extend_high_i16x8((v128_t)v);
#else
  return (i32x4)interleave_high(v, v) >> 16;
#endif
}

/// a[2i] * b[2i] + a[2i+1] * b[2i+1]
inline i32x4 dot(i16x8 a, i16x8 b) {
#if defined(__wasm_simd128__)
  return (i32x4)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#elif defined(__SSE2__)
  return (i32x4)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  const i32x4 even_a = ((i32x4)a << 16) >> 16, even_b = ((i32x4)b << 16) >> 16;
  return even_a * even_b + ((i32x4)a >> 16) * ((i32x4)b >> 16);
#endif
}

inline i32x4 max(i32x4 a, i32x4 b) {
#if defined(__wasm_simd128__)
  return (i32x4)wasm_i32x4_max((v128_t)a, (v128_t)b);
#else
  return select(a > b, a, b);
#endif
}
inline i32x4 min(i32x4 a, i32x4 b) {
#if defined(__wasm_simd128__)
  return (i32x4)wasm_i32x4_min((v128_t)a, (v128_t)b);
#else
  return select(a < b, a, b);
#endif
}
inline u8x16 max(u8x16 a, u8x16 b) {
#if defined(__wasm_simd128__)
  return (u8x16)wasm_u8x16_max((v128_t)a, (v128_t)b);
#else
  const auto mask = (u8x16)(a > b);
  return (a & mask) | (b & ~mask);
#endif
}
inline u8x16 min(u8x16 a, u8x16 b) {
#if defined(__wasm_simd128__)
  return (u8x16)wasm_u8x16_min((v128_t)a, (v128_t)b);
#else
  const auto mask = (u8x16)(a < b);
  return (a & mask) | (b & ~mask);
#endif
}

inline i16x8 clamp(i16x8 v, i16x8 low, i16x8 high) {
#if defined(__wasm_simd128__)
  return (i16x8)wasm_i16x8_min(wasm_i16x8_max((v128_t)v, (v128_t)low), (v128_t)high);
#elif defined(__SSE2__)
  return (i16x8)_mm_min_epi16(_mm_max_epi16((__m128i)v, (__m128i)low), (__m128i)high);
#else
  for (int i = 0; i < 8; ++i) v[i] = v[i] < low[i] ? low[i] : v[i] > high[i] ? high[i] : v[i];
  return v;
#endif
}

/// Saturating: 4 + 4 to i16, 8 + 8 to u8.
inline i16x8 narrow(i32x4 low, i32x4 high) {
#if defined(__wasm_simd128__)
  return (i16x8)wasm_i16x8_narrow_i32x4((v128_t)low, (v128_t)high);
#elif defined(__SSE2__)
  return (i16x8)_mm_packs_epi32((__m128i)low, (__m128i)high);
#else
  const i32x4 ends[2] = {splat(-32768), splat(32767)};
  low = min(max(low, ends[0]), ends[1]);
  high = min(max(high, ends[0]), ends[1]);
  return __builtin_shufflevector((i16x8)low, (i16x8)high, 0, 2, 4, 6, 8, 10, 12, 14);  // little-endian
#endif
}
inline u8x16 narrow(i16x8 low, i16x8 high) {
#if defined(__wasm_simd128__)
  return (u8x16)wasm_u8x16_narrow_i16x8((v128_t)low, (v128_t)high);
#elif defined(__SSE2__)
  return (u8x16)_mm_packus_epi16((__m128i)low, (__m128i)high);
#else
  const auto clamp = [](i16x8 v) {
    const i16x8 ends[2] = {splat_i16(0), splat_i16(255)};
    v = v & (i16x8)(v > ends[0]);
    const auto mask = (i16x8)(v < ends[1]);
    return (v & mask) | (ends[1] & ~mask);
  };
  return __builtin_shufflevector((u8x16)clamp(low), (u8x16)clamp(high), 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28,
                                 30);
#endif
}
inline i8x16 narrow_signed(i16x8 low, i16x8 high) {
#if defined(__wasm_simd128__)
  return (i8x16)wasm_i8x16_narrow_i16x8((v128_t)low, (v128_t)high);
#elif defined(__SSE2__)
  return (i8x16)_mm_packs_epi16((__m128i)low, (__m128i)high);
#else
  return (i8x16)(narrow(low + 128, high + 128) ^ 0x80);
#endif
}
inline u8x16 clamp(i8x16 v, i8x16 low, i8x16 high) {
#if defined(__wasm_simd128__)
  return (u8x16)wasm_i8x16_min(wasm_i8x16_max((v128_t)v, (v128_t)low), (v128_t)high);
#else
  const auto under = (i8x16)(v < low);
  v = (low & under) | (v & ~under);
  const auto over = (i8x16)(v > high);
  return (u8x16)((high & over) | (v & ~over));
#endif
}
/// a + b, saturating, for b that is not negative.
inline i16x8 add_saturated(i16x8 a, i16x8 b) {
#if defined(__wasm_simd128__)
  return (i16x8)wasm_i16x8_add_sat((v128_t)a, (v128_t)b);
#elif defined(__SSE2__)
  return (i16x8)_mm_adds_epi16((__m128i)a, (__m128i)b);
#else
  const i16x8 sum = a + b;
  const auto is_over = (i16x8)(sum < a);
  return (splat_i16(32767) & is_over) | (sum & ~is_over);
#endif
}

/// The bits that are set in each byte.
inline u8x16 popcount(u8x16 v) {
#if defined(__wasm_simd128__)
  return (u8x16)wasm_i8x16_popcnt((v128_t)v);
#else
  v = v - ((v >> 1) & 0x55);
  v = (v & 0x33) + ((v >> 2) & 0x33);
  return (v + (v >> 4)) & 0x0f;
#endif
}
/// Sums of four neighbours each.
inline i32x4 sum_of_fours(i8x16 v) {
#if defined(__wasm_simd128__)
  return (i32x4)wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_extadd_pairwise_i8x16((v128_t)v));
#else
  i32x4 sums{};
  for (int i = 0; i < 16; ++i) sums[i / 4] += v[i];
  return sums;
#endif
}

/// The high 32 bits of the signed products.
inline i32x4 multiply_high(i32x4 a, i32x4 b) {
#if defined(__wasm_simd128__)
  // Or LLVM shares the widened b between uses, in another block than they, and multiplies 64 bits by 64: eight instructions for two.
  asm volatile("" : "+r"(b));
  return (i32x4)wasm_i32x4_shuffle(wasm_i64x2_extmul_low_i32x4((v128_t)a, (v128_t)b),
                                   wasm_i64x2_extmul_high_i32x4((v128_t)a, (v128_t)b), 1, 3, 5, 7);
#else
  i32x4 high;
  for (int i = 0; i < 4; ++i) high[i] = static_cast<std::int32_t>((static_cast<std::int64_t>(a[i]) * b[i]) >> 32);
  return high;
#endif
}

}  // namespace bitwright
