#pragma once

#include "base/simd_int.h"

namespace bitwright {

/// The dot of ConvTiles that multiplies weights (i8) with activations as they are, four at a time; `Multiply` is wasm's relaxed dot,
/// or in native tests what one kind of processor makes of it. usdot takes activations as unsigned numbers. sdot takes them as
/// signed ones, less 128 (kSignedFlip), which the packed bias adds again.
template <typename Multiply>
struct RelaxedDot {
  using Activation = std::uint8_t;
  using Weights = i8x16;
  static constexpr int kRows = 6;
  static constexpr bool has_zero_points = true;
  static i32x4 accumulate(i32x4 acc, i32x4 activations, i8x16 weights) { return Multiply::dot(weights, (u8x16)activations, acc); }
};

}  // namespace bitwright
