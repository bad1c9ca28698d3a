#include <cstring>

#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"
#include "quant/requantize_f32.h"

namespace bitwright {

namespace {

template <typename Code>
void convolve(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row, Code code) {
  const ConvGeometry& g = d.geometry;
  const std::ptrdiff_t width = g.output[2], taps = g.n_taps(), plane = g.n_outputs();
  const DepthwisePacking packing(taps, g.kernel[2]);
  for (std::ptrdiff_t pixel = first_row * width; pixel < last_row * width; ++pixel)
    for (std::ptrdiff_t c = 0; c < d.out_channels(); ++c) {
      const std::byte* block = d.packed + c / 8 * packing.block_bytes();
      std::int32_t acc = 0;
      std::memcpy(&acc, block + c % 8 * 4, 4);
      for (std::ptrdiff_t t = 0; t < taps; ++t) {
        std::int16_t w = 0;
        std::memcpy(&w, block + packing.weights(2) + 2 * packing.place(2, t, c), 2);
        const std::ptrdiff_t from = g.input_of(pixel % plane, t);
        acc += w * (from == ConvGeometry::kPadding
                        ? d.x_zero_point
                        : d.x[(pixel / plane * g.n_inputs() + from) * d.x_pixel_stride + c / d.multiplier]);
      }
      d.y[pixel * d.y_pixel_stride + c] = static_cast<std::uint8_t>(code(acc, c));
    }
}

}  // namespace

void depthwise_u8_i8__reference_fast(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  const Requantize& r = d.requantize;
  convolve(d, first_row, last_row, [&](std::int32_t acc, std::ptrdiff_t c) {
    return requantize_f32(acc, r.multipliers[c], r.zero_point, r.qmin, r.qmax);
  });
}

void depthwise_u8_i8__reference_integer_only(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  const Requantize& r = d.requantize;
  convolve(d, first_row, last_row, [&](std::int32_t acc, std::ptrdiff_t c) {
    return requantize_fixed(acc, r.fixed_multipliers[c], r.left_shift, r.zero_point, r.qmin, r.qmax);
  });
}

}  // namespace bitwright
