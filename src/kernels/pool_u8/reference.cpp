#include <algorithm>

#include "kernels/pool_u8/pool_u8.h"
#include "quant/requantize_f32.h"

namespace bitwright {

namespace {

/// Calls finish(largest code or -1, sum of codes, pixels in the window) for every output.
template <typename Finish>
void pool(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel, Finish finish) {
  const ConvGeometry& g = args.geometry;
  const std::ptrdiff_t plane = g.n_outputs();
  for (std::ptrdiff_t pixel = first_pixel; pixel < last_pixel; ++pixel)
    for (std::ptrdiff_t c = 0; c < args.channels; ++c) {
      std::int32_t largest = -1, sum = 0, n = 0;
      for (std::ptrdiff_t tap = 0; tap < g.n_taps(); ++tap) {
        const std::ptrdiff_t from = g.input_of(pixel % plane, tap);
        if (from == ConvGeometry::kPadding) continue;
        const std::int32_t code = args.x[(pixel / plane * g.n_inputs() + from) * args.x_pixel_stride + c];
        largest = std::max(largest, code);
        sum += code;
        ++n;
      }
      args.y[pixel * args.y_pixel_stride + c] = static_cast<std::uint8_t>(finish(largest, sum, n));
    }
}

}  // namespace

void max_pool_u8__reference(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel) {
  pool(args, first_pixel, last_pixel, [&](std::int32_t largest, std::int32_t, std::int32_t) {
    return std::clamp(largest, args.requantize.qmin, args.requantize.qmax);
  });
}

void average_pool_u8__reference_fast(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel) {
  const Requantize& r = args.requantize;
  pool(args, first_pixel, last_pixel, [&](std::int32_t, std::int32_t sum, std::int32_t n) {
    return requantize_f32(sum - n * args.x_zero_point, n == 0 ? 0.0f : r.multipliers[n], r.zero_point, r.qmin, r.qmax);
  });
}

void average_pool_u8__reference_integer_only(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel) {
  const Requantize& r = args.requantize;
  pool(args, first_pixel, last_pixel, [&](std::int32_t, std::int32_t sum, std::int32_t n) {
    return requantize_fixed(sum - n * args.x_zero_point, n == 0 ? 0 : r.fixed_multipliers[n], r.left_shift, r.zero_point, r.qmin,
                            r.qmax);
  });
}

}  // namespace bitwright
