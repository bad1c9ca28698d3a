#include <algorithm>
#include <limits>

#include "base/math.h"
#include "base/simd.h"
#include "kernels/reduce_f32/reduce_f32.h"
#include "kernels/softmax_f32/softmax_f32.h"

namespace bitwright {

namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

/// x[0 .. left) and zeros, or all four.
[[gnu::noinline]] f32x4 load_last(const float* x, std::ptrdiff_t left) {
  f32x4 v = {};
  for (std::ptrdiff_t i = 0; i < left; ++i) v[i] = x[i];
  return v;
}
[[gnu::noinline]] void store_last(float* y, f32x4 v, std::ptrdiff_t left) {
  for (std::ptrdiff_t i = 0; i < left; ++i) y[i] = v[i];
}
f32x4 load_some(const float* x, std::ptrdiff_t left) { return left >= 4 ? load_f32x4(x) : load_last(x, left); }
void store_some(float* y, f32x4 v, std::ptrdiff_t left) { left >= 4 ? store_f32x4(y, v) : store_last(y, v, left); }

/// y = map(x).
template <typename Map>
void each(const float* x, float* y, std::ptrdiff_t n, const Map& map) {
  for (; n > 0; x += 4, y += 4, n -= 4) store_some(y, map(load_some(x, n)), n);
}

void row(const SoftmaxF32& s) {
  const f32x4 largest = splat(max_f32(s.x, s.n));
  each(s.x, s.y, s.n, [&](f32x4 x) { return exp(x - largest); });
  const f32x4 sum = splat(sum_f32(s.y, s.n));
  if (!s.is_log) return each(s.y, s.y, s.n, [&](f32x4 y) { return y / sum; });
  const f32x4 log_sum = log(sum);
  each(s.x, s.y, s.n, [&](f32x4 x) { return (x - largest) - log_sum; });
}

void four_columns(const SoftmaxF32& s, std::ptrdiff_t column) {
  const float* x = s.x + column;
  float* y = s.y + column;
  const std::ptrdiff_t left = s.columns - column;
  f32x4 largest = splat(kLowest), sum = {};
  for (std::ptrdiff_t i = 0; i < s.n; ++i) largest = max(largest, load_some(x + i * s.stride, left));
  for (std::ptrdiff_t i = 0; i < s.n; ++i) {
    const f32x4 power = exp(load_some(x + i * s.stride, left) - largest);
    sum = sum + power;
    store_some(y + i * s.stride, power, left);
  }
  const f32x4 log_sum = s.is_log ? log(sum) : sum;
  for (std::ptrdiff_t i = 0; i < s.n; ++i) {
    const f32x4 out =
        s.is_log ? (load_some(x + i * s.stride, left) - largest) - log_sum : load_some(y + i * s.stride, left) / sum;
    store_some(y + i * s.stride, out, left);
  }
}

}  // namespace

void softmax_f32__simd128(const SoftmaxF32& s) {
  if (s.stride == 1) return row(s);
  for (std::ptrdiff_t column = 0; column < s.columns; column += 4) four_columns(s, column);
}

}  // namespace bitwright
