#pragma once

#include <cstddef>

namespace bitwright {

/// y[i] = (x[i] - mean) * factor + bias, in this order. y may be x.
void shift_scale_f32(const float* x, std::ptrdiff_t n, float mean, float factor, float bias, float* y);
/// y[i] = (x[i] - mean) * factor * scale[i] + bias[i]; bias may be nullptr.
void normalize_row_f32(const float* x, std::ptrdiff_t n, float mean, float factor, const float* scale, const float* bias,
                       float* y);

/// Mean and variance (of the whole population), sums in the order of reduce_f32.
struct Moments {
  float mean;
  float variance;
};
Moments moments_f32(const float* x, std::ptrdiff_t n);

}  // namespace bitwright
