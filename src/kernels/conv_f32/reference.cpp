#include "kernels/conv_f32/conv_f32.h"

namespace bitwright {

void conv_f32__reference(const ConvF32& conv) {
  const ConvGeometry& g = conv.geometry;
  for (std::ptrdiff_t o = 0; o < conv.out_channels; ++o)
    for (std::ptrdiff_t pixel = 0; pixel < g.n_outputs(); ++pixel) {
      const Extents3f at{pixel / (g.output[2] * g.output[1]), pixel / g.output[2] % g.output[1], pixel % g.output[2]};
      float sum = 0.0f;
      for (std::ptrdiff_t c = 0; c < conv.channels; ++c)
        for (std::ptrdiff_t tap = 0; tap < g.n_taps(); ++tap) {
          const Extents3f k{tap / (g.kernel[2] * g.kernel[1]), tap / g.kernel[2] % g.kernel[1], tap % g.kernel[2]};
          std::ptrdiff_t place = 0;
          bool is_inside = true;
          for (std::size_t axis = 0; axis < 3; ++axis) {
            const std::ptrdiff_t i = at[axis] * g.stride[axis] - g.pad_begin[axis] + k[axis] * g.dilation[axis];
            is_inside = is_inside && i >= 0 && i < g.input[axis];
            place = place * g.input[axis] + i;
          }
          const float x = is_inside ? conv.x[c * g.n_inputs() + place] : 0.0f;
          sum += conv.w[(o * conv.channels + c) * g.n_taps() + tap] * x;
        }
      conv.y[o * g.n_outputs() + pixel] = conv.bias != nullptr ? sum + conv.bias[o] : sum;
    }
}

}  // namespace bitwright
