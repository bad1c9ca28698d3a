#include <algorithm>

#include "kernels/pool_u8/pool_u8.h"
#include "kernels/requantize_lanes.h"

namespace bitwright {

namespace {

constexpr std::ptrdiff_t kTermsInI16 = 128;  // 128 * 255 < 2^15

/// The part of a window that lies inside: taps [first, last) of each axis.
struct Span {
  std::ptrdiff_t at, first, last;
  Span(std::ptrdiff_t out, std::ptrdiff_t stride, std::ptrdiff_t pad, std::ptrdiff_t dilation, std::ptrdiff_t kernel,
       std::ptrdiff_t input)
      : at(out * stride - pad),
        first(at >= 0 ? 0 : std::min(kernel, (-at + dilation - 1) / dilation)),
        last(at >= input ? first : std::max(first, std::min(kernel, (input - at + dilation - 1) / dilation))) {}
};

/// Calls finish(pixel, window) for every output; window(visit) calls visit(first channel of a pixel inside), window.n counts them.
template <typename Finish>
void for_each_window(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel, Finish finish) {
  const ConvGeometry& g = args.geometry;
  for (std::ptrdiff_t pixel = first_pixel; pixel < last_pixel; ++pixel) {
    const std::ptrdiff_t row = pixel / g.output[2], slice = row / g.output[1];
    const std::ptrdiff_t out[3] = {slice % g.output[0], row % g.output[1], pixel % g.output[2]};
    const auto span = [&](std::size_t axis) {
      return Span(out[axis], g.stride[axis], g.pad_begin[axis], g.dilation[axis], g.kernel[axis], g.input[axis]);
    };
    const Span z = span(0), y = span(1), x = span(2);
    const std::uint8_t* image = args.x + slice / g.output[0] * g.n_inputs() * args.x_pixel_stride;
    const std::ptrdiff_t n = (z.last - z.first) * (y.last - y.first) * (x.last - x.first);
    const auto visit_all = [&](std::ptrdiff_t channel, auto visit) __attribute__((always_inline)) {
      for (std::ptrdiff_t kz = z.first; kz < z.last; ++kz)
        for (std::ptrdiff_t ky = y.first; ky < y.last; ++ky) {
          const std::ptrdiff_t in_z = z.at + kz * g.dilation[0], in_y = y.at + ky * g.dilation[1];
          const std::uint8_t* from =
              image + ((in_z * g.input[1] + in_y) * g.input[2] + x.at + x.first * g.dilation[2]) * args.x_pixel_stride + channel;
          for (std::ptrdiff_t kx = x.first; kx < x.last; ++kx, from += g.dilation[2] * args.x_pixel_stride) visit(from);
        }
    };
    finish(args.y + pixel * args.y_pixel_stride, static_cast<std::int32_t>(n), visit_all);
  }
}

template <typename Lanes>
void average(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel) {
  for_each_window(args, first_pixel, last_pixel, [&](std::uint8_t* y, std::int32_t n, auto visit_all) {
    // The multiplier of this window, for all channels.
    alignas(16) float multipliers[8];
    alignas(16) std::int32_t fixed[8];
    Requantize r = args.requantize;
    if constexpr (Lanes::is_float) {
      std::fill(multipliers, multipliers + 8, n == 0 ? 0.0f : r.multipliers[n]);
      r.multipliers = multipliers;
    } else {
      std::fill(fixed, fixed + 8, n == 0 ? 0 : r.fixed_multipliers[n]);
      r.fixed_multipliers = fixed;
    }
    const Lanes lanes(r);
    const i32x4 start = splat(-n * args.x_zero_point);
    for (std::ptrdiff_t c = 0; c < args.channels; c += 16) {
      i32x4 sums[4] = {start, start, start, start};
      i16x8 low{}, high{};
      std::ptrdiff_t left = kTermsInI16;
      const auto flush = [&] {
        sums[0] = sums[0] + widen_low(low);
        sums[1] = sums[1] + widen_high(low);
        sums[2] = sums[2] + widen_low(high);
        sums[3] = sums[3] + widen_high(high);
        low = high = i16x8{};
        left = kTermsInI16;
      };
      visit_all(
          c, [&](const std::uint8_t* x) __attribute__((always_inline)) {
            const u8x16 codes = load_lanes<u8x16>(x);
            low = low + widen_low(codes);
            high = high + widen_high(codes);
            if (--left == 0) flush();
          });
      flush();
      const u8x16 codes = lanes.finish(narrow(lanes(sums[0], sums[1], 0), lanes(sums[2], sums[3], 0)));
      if (args.channels - c >= 16) {
        store_lanes(y + c, codes);
      } else {
        store_bytes(y + c, codes, args.channels - c);
      }
    }
  });
}

}  // namespace

void max_pool_u8__simd128(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel) {
  const u8x16 qmin = splat_u8(args.requantize.qmin), qmax = splat_u8(args.requantize.qmax);
  for_each_window(args, first_pixel, last_pixel, [&](std::uint8_t* y, std::int32_t, auto visit_all) {
    for (std::ptrdiff_t c = 0; c < args.channels; c += 16) {
      u8x16 largest = qmin;
      visit_all(
          c, [&](const std::uint8_t* x) __attribute__((always_inline)) { largest = max(largest, load_lanes<u8x16>(x)); });
      largest = min(largest, qmax);
      if (args.channels - c >= 16) {
        store_lanes(y + c, largest);
      } else {
        store_bytes(y + c, largest, args.channels - c);
      }
    }
  });
}

void average_pool_u8__simd128_fast(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel) {
  average<RequantizeFastLanes>(args, first_pixel, last_pixel);
}
void average_pool_u8__simd128_integer_only(const PoolU8& args, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel) {
  average<RequantizeFixedLanes>(args, first_pixel, last_pixel);
}

}  // namespace bitwright
