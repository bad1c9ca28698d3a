#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

namespace bitwright {

// Four lanes through the vector extensions of g++ and clang: the same source is SSE2 natively and SIMD128 in wasm, and each lane
// computes what the scalar operation computes. A comparison yields all bits set (-1) or none.
typedef float f32x4 __attribute__((vector_size(16)));
typedef std::int32_t i32x4 __attribute__((vector_size(16)));
typedef std::uint32_t u32x4 __attribute__((vector_size(16)));

inline f32x4 load_f32x4(const float* p) {
  f32x4 v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline void store_f32x4(float* p, f32x4 v) { std::memcpy(p, &v, sizeof(v)); }
inline f32x4 splat(float x) { return f32x4{x, x, x, x}; }
inline i32x4 splat(std::int32_t x) { return i32x4{x, x, x, x}; }

inline i32x4 bits_of(f32x4 v) { return std::bit_cast<i32x4>(v); }
inline f32x4 float_of_bits(i32x4 v) { return std::bit_cast<f32x4>(v); }

/// A vector constant for a loop, read from memory once: written out, V8 from version 12 on (Node 22, 24, today's Chromium) makes it
/// anew at every use, by three instructions, one of them a slow move from a general register. A loop of 28 vector instructions that
/// masks 8 times became 1.8 times as fast in Node 24.
template <typename V>
inline V in_register(V constant) {
  const V* place = &constant;
  asm volatile("" : "+r"(place) : : "memory");
  return *place;
}

/// Lane by lane: mask ? a : b.
inline f32x4 select(i32x4 mask, f32x4 a, f32x4 b) { return float_of_bits((mask & bits_of(a)) | (~mask & bits_of(b))); }
inline i32x4 select(i32x4 mask, i32x4 a, i32x4 b) { return (mask & a) | (~mask & b); }

/// b < a ? b : a and a < b ? b : a: a NaN in `a` stays, one in `b` is dropped (wasm's pmin and pmax).
#if defined(__wasm_simd128__)
inline f32x4 min(f32x4 a, f32x4 b) { return (f32x4)wasm_f32x4_pmin((v128_t)a, (v128_t)b); }
inline f32x4 max(f32x4 a, f32x4 b) { return (f32x4)wasm_f32x4_pmax((v128_t)a, (v128_t)b); }
#else
inline f32x4 min(f32x4 a, f32x4 b) { return select(b < a, b, a); }
inline f32x4 max(f32x4 a, f32x4 b) { return select(a < b, b, a); }
#endif
inline f32x4 abs(f32x4 v) { return float_of_bits(bits_of(v) & 0x7fffffff); }

/// Nearest integer, ties to even, for |v| < 2^22.
inline f32x4 round_small(f32x4 v) {
  const f32x4 magic = splat(12582912.0f);  // 1.5 * 2^23: the unit in the last place is 1
  return (v + magic) - magic;
}

/// To integer, exact for values that are integers of |v| < 2^31.
inline i32x4 to_i32x4(f32x4 v) { return __builtin_convertvector(v, i32x4); }
inline f32x4 to_f32x4(i32x4 v) { return __builtin_convertvector(v, f32x4); }

// Two lanes of doubles, as those of floats.
typedef double f64x2 __attribute__((vector_size(16)));
typedef std::int64_t i64x2 __attribute__((vector_size(16)));
inline f64x2 splat(double x) { return f64x2{x, x}; }
inline f64x2 load_f64x2(const double* p) {
  f64x2 v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline void store_f64x2(double* p, f64x2 v) { std::memcpy(p, &v, sizeof(v)); }
/// The two low or high lanes.
inline f64x2 low_f64x2(f32x4 v) { return __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1), f64x2); }
inline f64x2 high_f64x2(f32x4 v) { return __builtin_convertvector(__builtin_shufflevector(v, v, 2, 3), f64x2); }
#if defined(__wasm_simd128__)
inline f64x2 min(f64x2 a, f64x2 b) { return (f64x2)wasm_f64x2_pmin((v128_t)a, (v128_t)b); }
inline f64x2 max(f64x2 a, f64x2 b) { return (f64x2)wasm_f64x2_pmax((v128_t)a, (v128_t)b); }
#else
inline f64x2 select(i64x2 mask, f64x2 a, f64x2 b) {
  return std::bit_cast<f64x2>((mask & std::bit_cast<i64x2>(a)) | (~mask & std::bit_cast<i64x2>(b)));
}
inline f64x2 min(f64x2 a, f64x2 b) { return select(b < a, b, a); }
inline f64x2 max(f64x2 a, f64x2 b) { return select(a < b, b, a); }
#endif
inline f64x2 abs(f64x2 v) { return std::bit_cast<f64x2>(std::bit_cast<i64x2>(v) & INT64_MAX); }

}  // namespace bitwright
