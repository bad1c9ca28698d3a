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

  static constexpr std::ptrdiff_t kPadding = -1;
  /// Which element of the input plane an output element takes by a tap, both counted row by row; kPadding where it lies outside.
  std::ptrdiff_t input_of(std::ptrdiff_t element, std::ptrdiff_t tap) const {
    const Extents3f at{element / (output[2] * output[1]), element / output[2] % output[1], element % output[2]};
    const Extents3f k{tap / (kernel[2] * kernel[1]), tap / kernel[2] % kernel[1], tap % kernel[2]};
    std::ptrdiff_t place = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const std::ptrdiff_t i = at[axis] * stride[axis] - pad_begin[axis] + k[axis] * dilation[axis];
      if (i < 0 || i >= input[axis]) return kPadding;
      place = place * input[axis] + i;
    }
    return place;
  }
};

}  // namespace bitwright
