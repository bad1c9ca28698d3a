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

/// One row of a bilinear resampling: from rows x[0] and x[1] [columns of the input, inner] to y [output, inner]. With u, v the
/// weights of the rows and a, b those of an output's two columns p, q:
///   y = (((a * u) * x[0][p] + (b * u) * x[0][q]) + (a * v) * x[1][p]) + (b * v) * x[1][q]
/// The order of ONNX Runtime's Resize, so that ties between two codes fall alike.
struct BilinearRowF32 {
  std::ptrdiff_t output = 0, inner = 1;
  const std::ptrdiff_t* places = nullptr;  // [output, 2]
  const float* weights = nullptr;          // [output, 2]
  const float* x[2] = {};
  const float* row_weights = nullptr;  // [2]
  float* y = nullptr;
};

void bilinear_row_f32(const BilinearRowF32& row);

}  // namespace bitwright
