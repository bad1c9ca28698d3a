#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/conv_f32/conv_f32.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/random.h"

using namespace bitwright;
using bitwright::tests::random_floats;

TEST_CASE("depthwise_f32: every deterministic variant gives the bits of the plain convolution") {
  for (const DepthwiseF32Variant& variant : depthwise_f32_variants())
    for (const std::ptrdiff_t width : {1, 3, 4, 5, 12, 13, 16, 17, 33})
      for (const std::ptrdiff_t stride : {1, 2, 3})
        for (const std::ptrdiff_t dilation : {1, 2}) {
          CAPTURE(variant.name);
          CAPTURE(width);
          CAPTURE(stride);
          CAPTURE(dilation);
          const std::ptrdiff_t height = 4, kernel = 3, pad = 2;
          const auto extent = [&](std::ptrdiff_t input) { return (input + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1; };
          const ConvGeometry g{.input = {1, height, width},
                               .output = {1, extent(height), extent(width)},
                               .kernel = {1, kernel, kernel},
                               .stride = {1, stride, stride},
                               .dilation = {1, dilation, dilation},
                               .pad_begin = {0, pad, pad}};
          const auto x = random_floats(static_cast<std::size_t>(g.n_inputs()), 1), w = random_floats(9, 2),
                     bias = random_floats(1, 3);
          std::vector<float> expected(static_cast<std::size_t>(g.n_outputs())), y(expected.size() + 1, -77.0f);
          conv_f32__reference({.geometry = g,
                               .channels = 1,
                               .out_channels = 1,
                               .x = x.data(),
                               .w = w.data(),
                               .bias = bias.data(),
                               .y = expected.data(),
                               .clamp = {-0.5f, 0.75f}});

          DepthwiseF32 d{.out_height = g.output[1],
                         .out_width = g.output[2],
                         .kernel_height = kernel,
                         .kernel_width = kernel,
                         .stride_y = stride,
                         .stride_x = stride,
                         .dilation_y = dilation,
                         .dilation_x = dilation,
                         .w = w.data(),
                         .bias = bias[0],
                         .y = y.data(),
                         .clamp = {-0.5f, 0.75f}};
          d.x_row_stride = depthwise_f32_row_floats(d);
          std::vector<float> padded(static_cast<std::size_t>(d.x_row_stride * depthwise_f32_rows(d)));
          pad_plane_f32(x.data(), height, width, pad, pad, depthwise_f32_rows(d), d.x_row_stride, padded.data());
          d.x = padded.data();
          variant.run(d);
          CHECK(y.back() == -77.0f);
          y.pop_back();
          constexpr float kContracted = 1e-6f;  // nine terms below 1, each rounded once or twice
          if (variant.is_deterministic)
            CHECK(y == expected);
          else
            for (std::size_t i = 0; i < y.size(); ++i) CHECK(std::abs(y[i] - expected[i]) <= kContracted);
        }
}
