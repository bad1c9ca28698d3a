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
f32x4 load_some(const float* x, std::ptrdiff_t left) {
  if (left >= 4) return load_f32x4(x);
  f32x4 v = {};
  for (std::ptrdiff_t i = 0; i < left; ++i) v[i] = x[i];
  return v;
}
void store_some(float* y, f32x4 v, std::ptrdiff_t left) {
  if (left >= 4) return store_f32x4(y, v);
  for (std::ptrdiff_t i = 0; i < left; ++i) y[i] = v[i];
}

void row(const SoftmaxF32& s) {
  const f32x4 largest = splat(max_f32(s.x, s.n));
  for (std::ptrdiff_t i = 0; i < s.n; i += 4) store_some(s.y + i, exp(load_some(s.x + i, s.n - i) - largest), s.n - i);
  const f32x4 sum = splat(sum_f32(s.y, s.n)), log_sum = log(sum);
  for (std::ptrdiff_t i = 0; i < s.n; i += 4) {
    const f32x4 y = s.is_log ? (load_some(s.x + i, s.n - i) - largest) - log_sum : load_some(s.y + i, s.n - i) / sum;
    store_some(s.y + i, y, s.n - i);
  }
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
  const f32x4 log_sum = log(sum);
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
