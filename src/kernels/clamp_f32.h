#pragma once

#include <limits>

#include "base/simd.h"

namespace bitwright {

/// What a product may end with: ReLU and Clip, min(max(x, low), high), with the bits of the operators. A NaN stays.
struct ClampF32 {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  float operator()(float x) const {
    const float raised = x < low ? low : x;
    return high < raised ? high : raised;
  }
  f32x4 operator()(f32x4 x) const { return min(max(x, splat(low)), splat(high)); }
};

}  // namespace bitwright
