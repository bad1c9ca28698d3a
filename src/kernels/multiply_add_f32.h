#pragma once

#include "base/simd.h"

namespace bitwright {

// A term of a sum, sum + x * w, as a kernel is given it.

/// Rounds the product, then the sum: the same bits everywhere.
struct MultiplyThenAdd {
  static f32x4 add(f32x4 sum, f32x4 x, f32x4 w) { return sum + x * w; }
};

#if defined(__wasm_relaxed_simd__)
/// Rounds once where the machine can.
struct Contracted {
  static f32x4 add(f32x4 sum, f32x4 x, f32x4 w) { return (f32x4)wasm_f32x4_relaxed_madd((v128_t)x, (v128_t)w, (v128_t)sum); }
};
#endif

}  // namespace bitwright
