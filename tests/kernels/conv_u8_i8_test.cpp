#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "base/parallel_for.h"
#include "kernels/codes.h"
#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "kernels/conv_u8_i8/relaxed_dot.h"
#include "kernels/conv_u8_i8/tiles.h"
#include "kernels/probe.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

/// What x86 with VNNI (unsigned x signed) and ARM (signed x signed) make of the relaxed dot.
template <typename Activation>
std::int32_t product(std::int8_t weight, std::uint8_t activation) {
  return weight * static_cast<Activation>(activation);
}
template <typename Activation>
struct Emulated {
  static i32x4 dot(i8x16 weights, u8x16 activations, i32x4 acc) {
    for (int i = 0; i < 16; ++i) acc[i / 4] += product<Activation>(weights[i], activations[i]);
    return acc;
  }
};
using Usdot = RelaxedDot<Emulated<std::uint8_t>>;
using Sdot = RelaxedDot<Emulated<std::int8_t>>;

template <typename Dot, typename Output, std::uint8_t flip, bool... is_real>
void emulated(const ConvU8I8& conv, const ConvBlock& block) {
  conv_u8_i8_tiles<Dot>(conv, block, flip, Output(conv, is_real...));
}

/// The variants of this build that this engine computes right, and the relaxed ones by emulation.
std::vector<ConvU8I8Variant> variants() {
  std::vector<ConvU8I8Variant> all;
  for (const ConvU8I8Variant& v : conv_u8_i8_variants())
    if (v.family == KernelFamily::reference || v.family == KernelFamily::simd128 || v.family == probe_kernel_family())
      all.push_back(v);
  using enum AccResult;
  using enum KernelFamily;
  all.push_back({"emulated usdot fast", emulated<Usdot, CodeOutput<RequantizeFastLanes>, 0>, usdot, fast});
  all.push_back({"emulated usdot integer_only", emulated<Usdot, CodeOutput<RequantizeFixedLanes>, 0>, usdot, integer_only});
  all.push_back({"emulated usdot i32", emulated<Usdot, WideOutput, 0, false>, usdot, i32});
  all.push_back({"emulated usdot f32", emulated<Usdot, WideOutput, 0, true>, usdot, f32});
  all.push_back({"emulated sdot fast", emulated<Sdot, CodeOutput<RequantizeFastLanes>, kSignedFlip>, sdot, fast});
  all.push_back(
      {"emulated sdot integer_only", emulated<Sdot, CodeOutput<RequantizeFixedLanes>, kSignedFlip>, sdot, integer_only});
  all.push_back({"emulated sdot i32", emulated<Sdot, WideOutput, kSignedFlip, false>, sdot, i32});
  all.push_back({"emulated sdot f32", emulated<Sdot, WideOutput, kSignedFlip, true>, sdot, f32});
  return all;
}

struct Case {
  ConvGeometry geometry;
  std::ptrdiff_t images = 1, groups = 1, channels = 1, out_channels = 1;
  bool is_unsigned = false, has_zero_points = false, has_bias = true;
  std::int32_t x_zero_point = 0;
  std::ptrdiff_t gap = 0;  // bytes between pixels of x and of y
};

Case matrix_product(std::ptrdiff_t m, std::ptrdiff_t k, std::ptrdiff_t n) {
  return {.geometry = {.input = {1, 1, m}, .output = {1, 1, m}}, .channels = k, .out_channels = n, .x_zero_point = 131};
}

Case image(std::ptrdiff_t height, std::ptrdiff_t width, Extents3f kernel, std::ptrdiff_t stride, std::ptrdiff_t dilation,
           std::ptrdiff_t pad, std::ptrdiff_t channels, std::ptrdiff_t out_channels) {
  const auto extent = [&](std::ptrdiff_t input, std::ptrdiff_t taps) {
    return (input + 2 * pad - (taps - 1) * dilation - 1) / stride + 1;
  };
  return {.geometry = {.input = {1, height, width},
                       .output = {1, extent(height, kernel[1]), extent(width, kernel[2])},
                       .kernel = kernel,
                       .stride = {1, stride, stride},
                       .dilation = {1, dilation, dilation},
                       .pad_begin = {0, pad, pad}},
          .channels = channels,
          .out_channels = out_channels,
          .x_zero_point = 77};
}

/// Runs every variant against the sum as the contract says it, from weights as a file has them.
void check(const Case& c) {
  const ConvGeometry& g = c.geometry;
  CAPTURE(g.n_outputs());
  CAPTURE(c.channels);
  CAPTURE(c.out_channels);
  CAPTURE(g.n_taps());
  const std::ptrdiff_t taps = g.n_taps(), k = c.channels * taps, columns = c.groups * c.out_channels;
  const std::ptrdiff_t pixel = c.groups * c.channels + c.gap, y_pixel = columns + c.gap, pixels = c.images * g.n_outputs();
  const std::vector<std::uint8_t> x = random_activations(c.images * g.n_inputs() * pixel, 1);
  const auto w = random_codes<std::int8_t>(static_cast<std::size_t>(columns * k), 2, -128, 127);
  const auto bias = random_codes<std::int32_t>(static_cast<std::size_t>(columns), 3, -40000, 40000);
  const auto zero_points = c.is_unsigned ? random_codes<std::int32_t>(static_cast<std::size_t>(columns), 4, 0, 255)
                                         : random_codes<std::int32_t>(static_cast<std::size_t>(columns), 4, -128, 127);
  const ConvWeightsU8I8 weights{.w = w.data(),
                                .is_unsigned = c.is_unsigned,
                                .groups = c.groups,
                                .channels = c.channels,
                                .taps = taps,
                                .out_channels = c.out_channels,
                                .column_stride = k,
                                .channel_stride = taps,
                                .tap_stride = 1,
                                .bias = c.has_bias ? bias.data() : nullptr,
                                .zero_points = c.has_zero_points ? zero_points.data() : nullptr,
                                .x_zero_point = c.x_zero_point};

  std::vector<std::int32_t> acc(static_cast<std::size_t>(pixels * columns));
  for (std::ptrdiff_t p = 0; p < pixels; ++p)
    for (std::ptrdiff_t n = 0; n < columns; ++n) {
      std::int32_t sum = c.has_bias ? bias[static_cast<std::size_t>(n)] : 0;
      for (std::ptrdiff_t t = 0; t < taps; ++t)
        for (std::ptrdiff_t i = 0; i < c.channels; ++i) {
          const std::ptrdiff_t from = g.input_of(p % g.n_outputs(), t);
          if (from == ConvGeometry::kPadding) continue;
          const std::ptrdiff_t at = (p / g.n_outputs() * g.n_inputs() + from) * pixel + n / c.out_channels * c.channels + i;
          const std::int8_t code = w[static_cast<std::size_t>(n * k + i * taps + t)];
          const std::int32_t real = (c.is_unsigned ? static_cast<std::uint8_t>(code) : code) -
                                    (c.has_zero_points ? zero_points[static_cast<std::size_t>(n)] : 0);
          sum += (x[static_cast<std::size_t>(at)] - c.x_zero_point) * real;
        }
      acc[static_cast<std::size_t>(p * columns + n)] = sum;
    }

  std::vector<float> multipliers(static_cast<std::size_t>(columns + 16), 0.0f);
  std::vector<double> scales(static_cast<std::size_t>(columns));
  for (std::size_t n = 0; n < scales.size(); ++n) {
    multipliers[n] = 0.5f / static_cast<float>(k) * (0.01f + 0.003f * static_cast<float>(n % 7));
    scales[n] = multipliers[n];
  }
  FixedPoint fixed = fixed_point(scales).value();
  fixed.multipliers.resize(multipliers.size());

  for (const ConvU8I8Variant& variant : variants()) {
    CAPTURE(variant.name);
    std::vector<std::byte> packed(packed_conv_u8_i8_bytes(variant.family, weights));
    REQUIRE(pack_conv_u8_i8(variant.family, weights, packed.data()) == -1);
    const std::size_t element = variant.result == AccResult::i32 || variant.result == AccResult::f32 ? 4 : 1;
    std::vector<std::byte> y(static_cast<std::size_t>(pixels * y_pixel + 1) * element, std::byte{99});
    const ConvU8I8 conv{
        .geometry = g,
        .images = c.images,
        .groups = c.groups,
        .channels = c.channels,
        .out_channels = c.out_channels,
        .x = x.data(),
        .x_pixel_stride = pixel,
        .x_zero_point = c.x_zero_point,
        .packed = packed.data(),
        .y = y.data(),
        .y_image_stride = g.n_outputs() * y_pixel,
        .y_strides = {g.output[1] * g.output[2] * y_pixel, g.output[2] * y_pixel, y_pixel},
        .requantize = {multipliers.data(), fixed.multipliers.data(), fixed.left_shift, 140, 3, 250},
    };
    conv_u8_i8_blocked(conv, variant.run);
    std::int64_t n_wrong = 0, n_touched = 0;
    for (std::ptrdiff_t p = 0; p < pixels; ++p)
      for (std::ptrdiff_t n = 0; n < y_pixel; ++n) {
        const std::size_t at = static_cast<std::size_t>(p * y_pixel + n) * element;
        if (n >= columns) {
          for (std::size_t i = 0; i < element; ++i) n_touched += y[at + i] != std::byte{99};
          continue;
        }
        const std::int32_t sum = acc[static_cast<std::size_t>(p * columns + n)];
        const auto channel = static_cast<std::size_t>(n);
        std::int32_t code = std::to_integer<std::int32_t>(y[at]);
        float real = 0.0f;
        if (element == 4) std::memcpy(&code, &y[at], 4);
        std::memcpy(&real, &code, 4);
        if (variant.result == AccResult::fast) n_wrong += code != expected_fast(sum, multipliers[channel], conv.requantize);
        if (variant.result == AccResult::integer_only)
          n_wrong += code != expected_integer_only(sum, fixed.multipliers[channel], conv.requantize);
        if (variant.result == AccResult::i32) n_wrong += code != sum;
        if (variant.result == AccResult::f32) n_wrong += real != static_cast<float>(sum) * multipliers[channel];
      }
    CHECK(n_wrong == 0);
    CHECK(n_touched == 0);
    CHECK(y.back() == std::byte{99});
  }
}

}  // namespace

TEST_CASE("conv_u8_i8: matrix products of sizes around the tile equal the sum of products") {
  for (const std::ptrdiff_t m : {1, 2, 4, 5, 6, 11})
    for (const std::ptrdiff_t n : {1, 7, 8, 9, 16, 17})
      for (const std::ptrdiff_t k : {1, 2, 3, 4, 15, 16, 17, 33}) check(matrix_product(m, k, n));
  check(matrix_product(7, 2500, 19));
  check(matrix_product(3, 9000, 9));  // more than a tile of rows may take
  check(matrix_product(23, 96, 65));
}

TEST_CASE("conv_u8_i8: images, strides, dilation, padding and gaps between pixels") {
  for (const std::ptrdiff_t channels : {1, 3, 8, 17})
    for (const std::ptrdiff_t stride : {1, 2, 3})
      for (const std::ptrdiff_t dilation : {1, 2}) {
        Case c = image(7, 9, {1, 3, 3}, stride, dilation, 1, channels, 11);
        c.images = 2;
        c.gap = channels == 8 ? 3 : 0;
        check(c);
      }
  check(image(1, 20, {1, 1, 5}, 2, 1, 2, 6, 10));
  check(image(5, 5, {1, 5, 5}, 1, 1, 4, 3, 4));
  check(image(9, 9, {1, 1, 1}, 2, 1, 0, 24, 9));
}

TEST_CASE("conv_u8_i8: volumes") {
  Case c = image(4, 5, {2, 3, 3}, 1, 1, 1, 3, 9);
  c.geometry.input[0] = 3;
  c.geometry.output[0] = 3;
  c.geometry.pad_begin[0] = 1;
  check(c);
}

TEST_CASE("conv_u8_i8: groups, unsigned weights, weights with zero points, no bias") {
  Case c = image(6, 6, {1, 3, 3}, 1, 1, 1, 5, 9);
  c.groups = 3;
  check(c);
  c.has_zero_points = true;
  check(c);
  c.is_unsigned = true;
  check(c);
  c.has_bias = false;
  c.has_zero_points = false;
  check(c);
}

TEST_CASE("conv_u8_i8: shared out over threads") {
  ThreadPool pool(3);
  const ThreadPoolScope scope(&pool);
  Case c = image(40, 40, {1, 3, 3}, 1, 1, 1, 16, 24);
  c.images = 2;
  check(c);
  check(matrix_product(300, 64, 700));
}

TEST_CASE("conv_u8_i8: the ends of both ranges do not saturate on the way") {
  const std::vector<std::uint8_t> x(64 + kOverReadBytes, 255);
  const std::vector<std::int8_t> w(64 * 8, -128);
  for (const ConvU8I8Variant& variant : variants()) {
    if (variant.result != AccResult::i32) continue;
    CAPTURE(variant.name);
    const ConvWeightsU8I8 weights{.w = w.data(), .channels = 64, .out_channels = 8, .column_stride = 64, .channel_stride = 1};
    std::vector<std::byte> packed(packed_conv_u8_i8_bytes(variant.family, weights));
    CHECK(pack_conv_u8_i8(variant.family, weights, packed.data()) == -1);
    std::array<std::int32_t, 8> y{};
    conv_u8_i8_blocked({.channels = 64,
                        .out_channels = 8,
                        .x = x.data(),
                        .x_pixel_stride = 64,
                        .packed = packed.data(),
                        .y = y.data(),
                        .y_strides = {8, 8, 8}},
                       variant.run);
    for (const std::int32_t acc : y) CHECK(acc == -128 * 255 * 64);
  }
}

TEST_CASE("pack_conv_u8_i8: a channel whose accumulator could leave int32 is named") {
  const std::vector<std::int8_t> w{1, 1, 1};
  const std::vector<std::int32_t> bias{0, 0x7fffff00, 0};
  const ConvWeightsU8I8 weights{.w = w.data(), .channels = 1, .out_channels = 3, .column_stride = 1, .bias = bias.data()};
  std::vector<std::byte> packed(packed_conv_u8_i8_bytes(KernelFamily::simd128, weights));
  CHECK(pack_conv_u8_i8(KernelFamily::simd128, weights, packed.data()) == -1);  // 255 more is still inside
  const std::vector<std::int8_t> heavier{1, 2, 1};
  ConvWeightsU8I8 heavy = weights;
  heavy.w = heavier.data();
  CHECK(pack_conv_u8_i8(KernelFamily::simd128, heavy, packed.data()) == 1);
  const std::vector<std::int8_t> long_w(kMaxConvU8I8K + 1, 0);
  const ConvWeightsU8I8 too_long{.w = long_w.data(), .channels = kMaxConvU8I8K + 1, .out_channels = 1, .channel_stride = 1};
  packed.resize(packed_conv_u8_i8_bytes(KernelFamily::simd128, too_long));
  CHECK(pack_conv_u8_i8(KernelFamily::simd128, too_long, packed.data()) == 0);
}

TEST_CASE("kernel_family_of: a dot of full 8 bits is told from one that saturates or is wrong") {
  const auto by = [](auto multiply) {
    return [multiply](std::int32_t weight, std::int32_t activation) {
      return multiply(static_cast<std::int8_t>(weight), static_cast<std::uint8_t>(activation));
    };
  };
  const auto vnni = by([](std::int8_t w, std::uint8_t a) { return 4 * product<std::uint8_t>(w, a); });
  const auto arm = by([](std::int8_t w, std::uint8_t a) { return 4 * product<std::int8_t>(w, a); });
  const auto saturating = by([](std::int8_t w, std::uint8_t a) {
    return 2 * static_cast<std::int32_t>(clamped(2 * product<std::uint8_t>(w, a), -32768, 32767));
  });
  const auto doubled = by([](std::int8_t w, std::uint8_t a) { return 8 * product<std::uint8_t>(w, a); });
  CHECK(kernel_family_of(vnni) == KernelFamily::usdot);
  CHECK(kernel_family_of(arm) == KernelFamily::sdot);
  CHECK(kernel_family_of(saturating) == KernelFamily::simd128);
  CHECK(kernel_family_of(doubled) == KernelFamily::simd128);
}
