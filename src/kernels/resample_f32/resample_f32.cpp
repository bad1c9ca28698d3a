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

}  // namespace bitwright
