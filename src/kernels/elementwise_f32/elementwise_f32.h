#pragma once

#include <cstdint>

namespace bitwright {

/// Parameters of a map; what alpha and beta mean stands in maps.inc.
struct MapParams {
  float alpha = 0.0f;
  float beta = 0.0f;
};

/// y[i] = f(x[i]) for i < n. x and y are dense, of any alignment; they may be the same array, but not overlap otherwise.
/// Each element's bits depend on its value alone, not on its place.
using MapF32 = void (*)(const float* x, float* y, std::int64_t n, MapParams params);
#define MAP_KERNEL(name) void map_f32__##name(const float* x, float* y, std::int64_t n, MapParams params);
#include "kernels/elementwise_f32/maps.inc"
#undef MAP_KERNEL

/// y[i] = f(a[i * a_stride], b[i * b_stride]) for i < n. A stride is 1, or 0 for an operand that is one number. y may be a or b
/// where that one's stride is 1.
using ZipF32 = void (*)(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* y, std::int64_t n);
#define ZIP_KERNEL(name) \
  void zip_f32__##name(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* y, std::int64_t n);
#include "kernels/elementwise_f32/zips.inc"
#undef ZIP_KERNEL

}  // namespace bitwright
