#include <doctest/doctest.h>

#include "kernels/codes.h"
#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"
#include "kernels/depthwise_u8_i8/relaxed_dot.h"
#include "kernels/depthwise_u8_i8/tiles.h"
#include "kernels/probe.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

template <typename Activation>
struct Emulated {
  static i32x4 dot(i8x16 weights, u8x16 activations, i32x4 acc) {
    for (int i = 0; i < 16; ++i) acc[i / 4] += weights[i] * static_cast<Activation>(activations[i]);
    return acc;
  }
};
template <typename Activation, typename Lanes, std::uint8_t flip>
void emulated(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  depthwise_u8_i8_tiles<DepthwiseRelaxedDot<Emulated<Activation>>, Lanes>(
      d, flip, first_row, last_row,
      choose_depthwise_u8_i8(KernelFamily::simd128, Lanes::is_float ? Arithmetic::fast : Arithmetic::integer_only));
}

/// The variants of this build that this engine computes right, and the relaxed ones by emulation.
std::vector<DepthwiseU8I8Variant> variants() {
  std::vector<DepthwiseU8I8Variant> all;
  for (const DepthwiseU8I8Variant& v : depthwise_u8_i8_variants())
    if (v.family == KernelFamily::reference || v.family == KernelFamily::simd128 || v.family == probe_kernel_family())
      all.push_back(v);
  using enum Arithmetic;
  using enum KernelFamily;
  using Byte = std::uint8_t;
  using Signed = std::int8_t;
  all.push_back({"emulated usdot fast", emulated<Byte, RequantizeFastLanes, 0>, usdot, fast});
  all.push_back({"emulated usdot integer_only", emulated<Byte, RequantizeFixedLanes, 0>, usdot, integer_only});
  all.push_back({"emulated sdot fast", emulated<Signed, RequantizeFastLanes, kSignedFlip>, sdot, fast});
  all.push_back({"emulated sdot integer_only", emulated<Signed, RequantizeFixedLanes, kSignedFlip>, sdot, integer_only});
  return all;
}

struct Case {
  std::ptrdiff_t height = 6, width = 7, kernel_height = 3, kernel_width = 3, stride = 1, dilation = 1, pad = 1;
  std::ptrdiff_t channels = 8, multiplier = 1, images = 1, gap = 0;
  bool is_unsigned = false, has_zero_points = false;
};

void check(const Case& c) {
  CAPTURE(c.width);
  CAPTURE(c.kernel_width);
  CAPTURE(c.stride);
  CAPTURE(c.dilation);
  CAPTURE(c.pad);
  CAPTURE(c.channels);
  CAPTURE(c.multiplier);
  const auto extent = [&](std::ptrdiff_t input, std::ptrdiff_t taps) {
    return (input + 2 * c.pad - (taps - 1) * c.dilation - 1) / c.stride + 1;
  };
  const ConvGeometry g{.input = {1, c.height, c.width},
                       .output = {1, extent(c.height, c.kernel_height), extent(c.width, c.kernel_width)},
                       .kernel = {1, c.kernel_height, c.kernel_width},
                       .stride = {1, c.stride, c.stride},
                       .dilation = {1, c.dilation, c.dilation},
                       .pad_begin = {0, c.pad, c.pad}};
  const std::ptrdiff_t taps = g.n_taps(), columns = c.channels * c.multiplier;
  const std::ptrdiff_t pixel = c.channels + c.gap, y_pixel = columns + c.gap, pixels = c.images * g.n_outputs();
  const std::vector<std::uint8_t> x = random_activations(c.images * g.n_inputs() * pixel, 1);
  const auto w = random_codes<std::int8_t>(static_cast<std::size_t>(columns * taps), 2, -128, 127);
  const auto bias = random_codes<std::int32_t>(static_cast<std::size_t>(columns), 3, -40000, 40000);
  const auto zero_points =
      random_codes<std::int32_t>(static_cast<std::size_t>(columns), 4, c.is_unsigned ? 0 : -128, c.is_unsigned ? 255 : 127);
  const DepthwiseWeightsU8I8 weights{.w = w.data(),
                                     .is_unsigned = c.is_unsigned,
                                     .taps = taps,
                                     .kernel_width = c.kernel_width,
                                     .out_channels = columns,
                                     .channel_stride = taps,
                                     .tap_stride = 1,
                                     .bias = bias.data(),
                                     .zero_points = c.has_zero_points ? zero_points.data() : nullptr,
                                     .x_zero_point = 101};
  std::vector<std::byte> packed(packed_depthwise_u8_i8_bytes(weights));
  REQUIRE(pack_depthwise_u8_i8(weights, packed.data()) == -1);

  std::vector<float> multipliers(static_cast<std::size_t>(columns + 16), 0.0f);
  std::vector<double> scales(static_cast<std::size_t>(columns));
  for (std::size_t n = 0; n < scales.size(); ++n) scales[n] = multipliers[n] = 0.002f + 0.001f * static_cast<float>(n % 7);
  FixedPoint fixed = fixed_point(scales).value();
  fixed.multipliers.resize(multipliers.size());

  for (const DepthwiseU8I8Variant& variant : variants()) {
    CAPTURE(variant.name);
    std::vector<std::uint8_t> y(static_cast<std::size_t>(pixels * y_pixel + 1), 99);
    const DepthwiseU8I8 d{.geometry = g,
                          .images = c.images,
                          .channels = c.channels,
                          .multiplier = c.multiplier,
                          .x = x.data(),
                          .x_pixel_stride = pixel,
                          .x_zero_point = 101,
                          .packed = packed.data(),
                          .y = y.data(),
                          .y_pixel_stride = y_pixel,
                          .requantize = {multipliers.data(), fixed.multipliers.data(), fixed.left_shift, 120, 2, 251}};
    depthwise_u8_i8_blocked(d, variant.run);
    std::int64_t n_wrong = 0;
    for (std::ptrdiff_t p = 0; p < pixels; ++p)
      for (std::ptrdiff_t n = 0; n < y_pixel; ++n) {
        const std::uint8_t code = y[static_cast<std::size_t>(p * y_pixel + n)];
        if (n >= columns) {
          n_wrong += code != 99;
          continue;
        }
        std::int32_t acc = bias[static_cast<std::size_t>(n)];
        for (std::ptrdiff_t t = 0; t < taps; ++t) {
          const std::ptrdiff_t from = g.input_of(p % g.n_outputs(), t);
          if (from == ConvGeometry::kPadding) continue;
          const std::int8_t file = w[static_cast<std::size_t>(n * taps + t)];
          acc += (x[static_cast<std::size_t>((p / g.n_outputs() * g.n_inputs() + from) * pixel + n / c.multiplier)] - 101) *
                 ((c.is_unsigned ? static_cast<std::uint8_t>(file) : file) -
                  (c.has_zero_points ? zero_points[static_cast<std::size_t>(n)] : 0));
        }
        const auto channel = static_cast<std::size_t>(n);
        n_wrong += code != (variant.arithmetic == Arithmetic::fast
                                ? expected_fast(acc, multipliers[channel], d.requantize)
                                : expected_integer_only(acc, fixed.multipliers[channel], d.requantize));
      }
    CHECK(n_wrong == 0);
    CHECK(y.back() == 99);
  }
}

}  // namespace

TEST_CASE("depthwise_u8_i8: widths, strides, dilations and paddings") {
  for (const std::ptrdiff_t width : {1, 2, 3, 4, 5, 8, 17})
    for (const std::ptrdiff_t stride : {1, 2, 3})
      for (const std::ptrdiff_t dilation : {1, 2})
        for (const std::ptrdiff_t pad : {0, 1, 2}) {
          if (width + 2 * pad < 2 * dilation + 1) continue;
          check({.width = width, .stride = stride, .dilation = dilation, .pad = pad, .channels = 9});
        }
}

TEST_CASE("depthwise_u8_i8: channels around the vector, kernels of other sizes, multipliers, gaps") {
  for (const std::ptrdiff_t channels : {1, 4, 7, 8, 15, 16, 17, 33}) check({.channels = channels, .images = 2, .gap = 3});
  for (const std::ptrdiff_t kernel : {1, 2, 4, 5, 7})
    for (const std::ptrdiff_t stride : {1, 2})
      check({.height = 9,
             .width = 11,
             .kernel_height = kernel,
             .kernel_width = kernel,
             .stride = stride,
             .pad = kernel / 2,
             .channels = 16});
  check({.height = 1, .width = 30, .kernel_height = 1, .kernel_width = 5, .pad = 0, .channels = 10});
  for (const std::ptrdiff_t multiplier : {2, 3, 8}) check({.channels = 5, .multiplier = multiplier});
  check({.channels = 1, .multiplier = 8});
}

TEST_CASE("depthwise_u8_i8: weights that are unsigned or have zero points") {
  check({.channels = 17, .is_unsigned = true});
  check({.channels = 17, .has_zero_points = true});
  check({.kernel_height = 5, .kernel_width = 5, .pad = 2, .channels = 17, .is_unsigned = true, .has_zero_points = true});
}
