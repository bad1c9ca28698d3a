#include "kernels/conv_f32/conv_f32.h"

namespace bitwright {

void conv_f32__reference(const ConvF32& conv) {
  const ConvGeometry& g = conv.geometry;
  for (std::ptrdiff_t o = 0; o < conv.out_channels; ++o)
    for (std::ptrdiff_t pixel = 0; pixel < g.n_outputs(); ++pixel) {
      float sum = 0.0f;
      for (std::ptrdiff_t c = 0; c < conv.channels; ++c)
        for (std::ptrdiff_t tap = 0; tap < g.n_taps(); ++tap) {
          const std::ptrdiff_t place = g.input_of(pixel, tap);
          const float x = place == ConvGeometry::kPadding ? 0.0f : conv.x[c * g.n_inputs() + place];
          sum += conv.w[(o * conv.channels + c) * g.n_taps() + tap] * x;
        }
      conv.y[o * g.n_outputs() + pixel] = conv.clamp(conv.bias != nullptr ? sum + conv.bias[o] : sum);
    }
}

}  // namespace bitwright
