#include "kernels/normalize_f32/normalize_f32.h"

#include "base/simd.h"
#include "kernels/reduce_f32/reduce_f32.h"

namespace bitwright {

void shift_scale_f32(const float* x, std::ptrdiff_t n, float mean, float factor, float bias, float* y) {
  std::ptrdiff_t i = 0;
  for (; i + 4 <= n; i += 4) store_f32x4(y + i, (load_f32x4(x + i) - mean) * factor + bias);
  for (; i < n; ++i) y[i] = (x[i] - mean) * factor + bias;
}

void normalize_row_f32(const float* x, std::ptrdiff_t n, float mean, float factor, const float* scale, const float* bias,
                       float* y) {
  std::ptrdiff_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const f32x4 scaled = (load_f32x4(x + i) - mean) * factor * load_f32x4(scale + i);
    store_f32x4(y + i, bias != nullptr ? scaled + load_f32x4(bias + i) : scaled);
  }
  for (; i < n; ++i) {
    const float scaled = (x[i] - mean) * factor * scale[i];
    y[i] = bias != nullptr ? scaled + bias[i] : scaled;
  }
}

Moments moments_f32(const float* x, std::ptrdiff_t n) {
  if (n == 0) return {0.0f, 0.0f};
  const float mean = sum_f32(x, n) / static_cast<float>(n);
  return {mean, sum_squares_f32(x, n, mean) / static_cast<float>(n)};
}

}  // namespace bitwright
