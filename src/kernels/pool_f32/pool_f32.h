#pragma once

#include <span>
#include <string_view>

#include "kernels/geometry.h"

namespace bitwright {

/// One plane of a pooling in float:
///   maximum   y = max over the taps inside the input (row-major; x replaces y where x > y, so a NaN never wins); -inf if none
///   sum       y = sum over the taps inside the input, row-major, from 0
struct PoolF32 {
  enum class Kind { maximum, sum } kind = Kind::maximum;
  ConvGeometry geometry;
  const float* x = nullptr;
  float* y = nullptr;
};

using PoolF32Kernel = void (*)(const PoolF32&);
struct PoolF32Variant {
  std::string_view name;
  PoolF32Kernel run;
};
/// The list, best first; all give the same bits.
std::span<const PoolF32Variant> pool_f32_variants();

#define POOL_F32_KERNEL(function) void function(const PoolF32&);
#include "kernels/pool_f32/variants.inc"
#undef POOL_F32_KERNEL

}  // namespace bitwright
