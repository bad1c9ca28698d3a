#include <doctest/doctest.h>

#include <vector>

#include "kernels/conv_f32/conv_f32.h"
#include "kernels/random.h"

using namespace bitwright;
using bitwright::tests::random_floats;

namespace {

std::vector<float> convolved(ConvF32 conv, bool is_blocked) {
  std::vector<float> y(static_cast<std::size_t>(conv.out_channels * conv.geometry.n_outputs()), -77.0f);
  conv.y = y.data();
  std::vector<float> scratch(static_cast<std::size_t>(conv_f32_scratch_floats(conv)));
  if (is_blocked) {
    conv_f32_blocked(conv, scratch.data(), choose_gemm_f32());
  } else {
    conv_f32__reference(conv);
  }
  return y;
}

}  // namespace

TEST_CASE("conv_f32: a 3 x 3 box of ones over a row of four, padded") {
  const float x[] = {1, 2, 3, 4};
  const float w[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  const float bias[] = {10};
  const ConvGeometry g{.input = {1, 1, 4}, .output = {1, 1, 4}, .kernel = {1, 3, 3}, .pad_begin = {0, 1, 1}};
  const ConvF32 conv{.geometry = g, .channels = 1, .out_channels = 1, .x = x, .w = w, .bias = bias};
  const std::vector<float> expected{13, 16, 19, 17};
  CHECK(convolved(conv, true) == expected);
  CHECK(convolved(conv, false) == expected);
}

TEST_CASE("conv_f32: the blocked form gives the bits of the reference") {
  for (const std::ptrdiff_t width : {1, 5, 7, 8, 9, 17})
    for (const std::ptrdiff_t kernel : {1, 2, 3})
      for (const std::ptrdiff_t stride : {1, 2, 3})
        for (const std::ptrdiff_t dilation : {1, 2})
          for (const std::ptrdiff_t pad : {0, 1, 3}) {
            const auto extent = [&](std::ptrdiff_t input) {
              return (input + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
            };
            if (width + 2 * pad < (kernel - 1) * dilation + 1) continue;
            const std::ptrdiff_t height = width + 1;
            const ConvGeometry g{.input = {1, height, width},
                                 .output = {1, extent(height), extent(width)},
                                 .kernel = {1, kernel, kernel},
                                 .stride = {1, stride, stride},
                                 .dilation = {1, dilation, dilation},
                                 .pad_begin = {0, pad, pad}};
            const std::ptrdiff_t channels = 3, outputs = 6;
            const auto x = random_floats(static_cast<std::size_t>(channels * g.n_inputs()), 1);
            const auto w = random_floats(static_cast<std::size_t>(outputs * channels * g.n_taps()), 2);
            const auto bias = random_floats(static_cast<std::size_t>(outputs), 3);
            const ConvF32 conv{
                .geometry = g, .channels = channels, .out_channels = outputs, .x = x.data(), .w = w.data(), .bias = bias.data()};
            CAPTURE(width);
            CAPTURE(kernel);
            CAPTURE(stride);
            CAPTURE(dilation);
            CAPTURE(pad);
            CHECK(convolved(conv, true) == convolved(conv, false));
          }
}

TEST_CASE("conv_f32: three spatial axes, and more pixels than one block of panels") {
  const ConvGeometry g{.input = {4, 3, 5}, .output = {3, 2, 5}, .kernel = {2, 2, 3}, .pad_begin = {0, 0, 1}};
  const auto x = random_floats(static_cast<std::size_t>(2 * g.n_inputs()), 1);
  const auto w = random_floats(static_cast<std::size_t>(7 * 2 * g.n_taps()), 2);
  const ConvF32 deep{.geometry = g, .channels = 2, .out_channels = 7, .x = x.data(), .w = w.data()};
  CHECK(convolved(deep, true) == convolved(deep, false));

  const ConvGeometry wide{.input = {1, 3, 301}, .output = {1, 3, 301}};
  const auto many = random_floats(static_cast<std::size_t>(400 * wide.n_inputs()), 4);
  const auto mix = random_floats(2 * 400, 5);
  const ConvF32 pointwise{.geometry = wide, .channels = 400, .out_channels = 2, .x = many.data(), .w = mix.data()};
  REQUIRE(conv_f32_scratch_floats(pointwise) < 400 * wide.n_inputs());
  CHECK(convolved(pointwise, true) == convolved(pointwise, false));
}
