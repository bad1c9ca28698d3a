#include <algorithm>

#include "kernels/border_u8/border_u8.h"
#include "quant/requantize_f32.h"

namespace bitwright {

namespace {

/// Calls move(index of the plane form, index of the codes).
template <typename Move>
void for_each(const BorderU8& b, std::ptrdiff_t first, std::ptrdiff_t last, Move move) {
  for (std::ptrdiff_t image = 0; image < b.images; ++image)
    for (std::ptrdiff_t c = 0; c < b.channels; ++c)
      for (std::ptrdiff_t p = first; p < last; ++p)
        move((image * b.channels + c) * b.pixels + p, (image * b.pixels + p) * b.pixel_stride + c);
}

}  // namespace

void quantize_u8__reference(const BorderU8& b, const float* x, std::uint8_t* codes, std::ptrdiff_t first, std::ptrdiff_t last) {
  for_each(b, first, last, [&](std::ptrdiff_t real, std::ptrdiff_t code) {
    const float steps = x[real] / b.scale;
    codes[code] = static_cast<std::uint8_t>(requantize_f32(1, steps == steps ? steps : 0.0f, b.zero_point, b.qmin, b.qmax));
  });
}

void dequantize_u8__reference(const BorderU8& b, const std::uint8_t* codes, float* x, std::ptrdiff_t first, std::ptrdiff_t last) {
  for_each(b, first, last,
           [&](std::ptrdiff_t real, std::ptrdiff_t code) { x[real] = static_cast<float>(codes[code] - b.zero_point) * b.scale; });
}

void transpose_u8__reference(const TransposeU8& t) {
  for (std::ptrdiff_t image = 0; image < t.images; ++image)
    for (std::ptrdiff_t i = 0; i < t.rows; ++i)
      for (std::ptrdiff_t j = 0; j < t.columns; ++j)
        t.y[(image * t.columns + j) * t.y_row_stride + i] =
            static_cast<std::uint8_t>(t.x[(image * t.rows + i) * t.x_row_stride + j] ^ t.flip);
}

}  // namespace bitwright
