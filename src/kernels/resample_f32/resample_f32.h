#pragma once

#include <cstddef>

namespace bitwright {

/// One axis of a separable resampling: x [input, inner] to y [output, inner],
///   y[o][i] = sum over t of weights[o * n_taps + t] * x[places[o * n_taps + t]][i], t ascending, multiply then add, from 0
/// Places lie in [0, input). A lone tap of weight 1 copies.
struct ResampleF32 {
  std::ptrdiff_t input = 0, output = 0, inner = 1, n_taps = 1;
  const std::ptrdiff_t* places = nullptr;
  const float* weights = nullptr;
  const float* x = nullptr;
  float* y = nullptr;
};

void resample_f32(const ResampleF32& resample);

}  // namespace bitwright
