#include <cstring>

#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "quant/requantize_f32.h"

namespace bitwright {

namespace {

/// Calls store(element of y, output channel, accumulator).
template <typename Store>
void convolve(const ConvU8I8& conv, const ConvBlock& block, Store store) {
  const std::ptrdiff_t pairs = (conv.k() + 1) / 2, panel_bytes = 32 + pairs * 32, panels = conv.n_panels();
  const std::ptrdiff_t plane = conv.geometry.n_outputs();
  for (std::ptrdiff_t pixel = block.first_pixel; pixel < block.last_pixel; ++pixel)
    for (std::ptrdiff_t column = block.first_panel * 8; column < block.last_panel * 8; ++column) {
      const std::ptrdiff_t group = column / 8 / panels, n = column - group * panels * 8;
      if (n >= conv.out_channels) continue;
      const std::byte* panel = conv.packed + column / 8 * panel_bytes;
      std::int32_t acc = 0;
      std::memcpy(&acc, panel + column % 8 * 4, 4);
      for (std::ptrdiff_t k = 0; k < conv.k(); ++k) {
        const std::ptrdiff_t from = conv.geometry.input_of(pixel % plane, k / conv.channels);
        std::int16_t w = 0;
        std::memcpy(&w, panel + 32 + (k / 2 * 16 + column % 8 * 2 + k % 2) * 2, 2);
        const std::uint8_t* x =
            conv.x + (pixel / plane * conv.geometry.n_inputs() + from) * conv.x_pixel_stride + group * conv.channels;
        acc += w * (from == ConvGeometry::kPadding ? conv.x_zero_point : x[k % conv.channels]);
      }
      const std::ptrdiff_t channel = group * conv.out_channels + n;
      store(conv.y_place(pixel) + channel, channel, acc);
    }
}

}  // namespace

void conv_u8_i8_u8__reference_fast(const ConvU8I8& conv, const ConvBlock& block) {
  convolve(conv, block, [&](std::ptrdiff_t at, std::ptrdiff_t n, std::int32_t acc) {
    const Requantize& r = conv.requantize;
    static_cast<std::uint8_t*>(conv.y)[at] =
        static_cast<std::uint8_t>(requantize_f32(acc, r.multipliers[n], r.zero_point, r.qmin, r.qmax));
  });
}

void conv_u8_i8_u8__reference_integer_only(const ConvU8I8& conv, const ConvBlock& block) {
  convolve(conv, block, [&](std::ptrdiff_t at, std::ptrdiff_t n, std::int32_t acc) {
    const Requantize& r = conv.requantize;
    static_cast<std::uint8_t*>(conv.y)[at] =
        static_cast<std::uint8_t>(requantize_fixed(acc, r.fixed_multipliers[n], r.left_shift, r.zero_point, r.qmin, r.qmax));
  });
}

void conv_u8_i8_i32__reference(const ConvU8I8& conv, const ConvBlock& block) {
  convolve(conv, block,
           [&](std::ptrdiff_t at, std::ptrdiff_t, std::int32_t acc) { static_cast<std::int32_t*>(conv.y)[at] = acc; });
}

void conv_u8_i8_f32__reference(const ConvU8I8& conv, const ConvBlock& block) {
  convolve(conv, block, [&](std::ptrdiff_t at, std::ptrdiff_t n, std::int32_t acc) {
    static_cast<float*>(conv.y)[at] = static_cast<float>(acc) * conv.requantize.multipliers[n];
  });
}

}  // namespace bitwright
