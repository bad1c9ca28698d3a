#include <limits>

#include "base/simd.h"
#include "kernels/reduce_f32/reduce_f32.h"

namespace bitwright {

namespace {

template <typename Term>
float sum_of(const float* x, std::ptrdiff_t n, Term term) {
  f32x4 partial[4] = {};
  std::ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int v = 0; v < 4; ++v) partial[v] = partial[v] + term(load_f32x4(x + i + 4 * v));
  float lanes[16];
  for (int v = 0; v < 4; ++v) store_f32x4(lanes + 4 * v, partial[v]);
  for (int lane = 0; i < n; ++i, ++lane) lanes[lane] += term(splat(x[i]))[0];
  for (int apart = 8; apart > 0; apart /= 2)
    for (int lane = 0; lane < apart; ++lane) lanes[lane] += lanes[lane + apart];
  return lanes[0];
}

}  // namespace

float sum_f32(const float* x, std::ptrdiff_t n) {
  return sum_of(x, n, [](f32x4 v) { return v; });
}

float sum_squares_f32(const float* x, std::ptrdiff_t n, float center) {
  return sum_of(x, n, [center](f32x4 v) { return (v - center) * (v - center); });
}

float max_f32(const float* x, std::ptrdiff_t n) {
  f32x4 best = splat(-std::numeric_limits<float>::infinity());
  std::ptrdiff_t i = 0;
  for (; i + 4 <= n; i += 4) best = max(best, load_f32x4(x + i));
  for (; i < n; ++i) best = max(best, splat(x[i]));
  const float low = best[1] > best[0] ? best[1] : best[0], high = best[3] > best[2] ? best[3] : best[2];
  return high > low ? high : low;
}

}  // namespace bitwright
