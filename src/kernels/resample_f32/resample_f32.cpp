#include "kernels/resample_f32/resample_f32.h"

#include <algorithm>

#include "base/simd.h"

namespace bitwright {

void resample_f32(const ResampleF32& r) {
  for (std::ptrdiff_t o = 0; o < r.output; ++o) {
    const std::ptrdiff_t* places = r.places + o * r.n_taps;
    const float* weights = r.weights + o * r.n_taps;
    float* y = r.y + o * r.inner;
    if (r.n_taps == 1 && weights[0] == 1.0f) {
      const float* x = r.x + places[0] * r.inner;
      std::copy(x, x + r.inner, y);
      continue;
    }
    std::ptrdiff_t i = 0;
    for (; i + 4 <= r.inner; i += 4) {
      f32x4 sum = {};
      for (std::ptrdiff_t t = 0; t < r.n_taps; ++t) sum = sum + weights[t] * load_f32x4(r.x + places[t] * r.inner + i);
      store_f32x4(y + i, sum);
    }
    for (; i < r.inner; ++i) {
      float sum = 0.0f;
      for (std::ptrdiff_t t = 0; t < r.n_taps; ++t) sum += weights[t] * r.x[places[t] * r.inner + i];
      y[i] = sum;
    }
  }
}

void bilinear_row_f32(const BilinearRowF32& row) {
  const float u = row.row_weights[0], v = row.row_weights[1];
  for (std::ptrdiff_t o = 0; o < row.output; ++o) {
    const float a = row.weights[2 * o], b = row.weights[2 * o + 1];
    const float au = a * u, bu = b * u, av = a * v, bv = b * v;
    const std::ptrdiff_t p = row.places[2 * o] * row.inner, q = row.places[2 * o + 1] * row.inner;
    const float *top = row.x[0], *bottom = row.x[1];
    float* y = row.y + o * row.inner;
    std::ptrdiff_t i = 0;
    for (; i + 4 <= row.inner; i += 4)
      store_f32x4(y + i, au * load_f32x4(top + p + i) + bu * load_f32x4(top + q + i) + av * load_f32x4(bottom + p + i) +
                             bv * load_f32x4(bottom + q + i));
    for (; i < row.inner; ++i) y[i] = au * top[p + i] + bu * top[q + i] + av * bottom[p + i] + bv * bottom[q + i];
  }
}

}  // namespace bitwright
