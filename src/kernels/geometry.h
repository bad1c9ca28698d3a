#pragma once

#include <array>
#include <cstddef>

namespace bitwright {

using Extents3f = std::array<std::ptrdiff_t, 3>;

/// The windows of a convolution or pooling: depth, height, width.
/// Output pixel o takes input o * stride - pad_begin + tap * dilation.
struct ConvGeometry {
  Extents3f input{1, 1, 1}, output{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad_begin{0, 0, 0};

  std::ptrdiff_t n_inputs() const { return input[0] * input[1] * input[2]; }
  std::ptrdiff_t n_outputs() const { return output[0] * output[1] * output[2]; }
  std::ptrdiff_t n_taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

}  // namespace bitwright
