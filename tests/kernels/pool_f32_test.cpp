#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "kernels/pool_f32/pool_f32.h"
#include "kernels/random.h"

using namespace bitwright;
using bitwright::tests::random_floats;

TEST_CASE("pool_f32: maxima and sums of a padded row, worked by hand") {
  const float x[] = {-1, -2, -3, -4, std::numeric_limits<float>::quiet_NaN()};
  for (const PoolF32Variant& variant : pool_f32_variants()) {
    CAPTURE(variant.name);
    float y[3] = {};
    const ConvGeometry pairs{
        .input = {1, 1, 5}, .output = {1, 1, 3}, .kernel = {1, 1, 2}, .stride = {1, 1, 2}, .pad_begin = {0, 0, 1}};
    variant.run({.kind = PoolF32::Kind::maximum, .geometry = pairs, .x = x, .y = y});
    CHECK(y[0] == -1.0f);
    CHECK(y[1] == -2.0f);
    CHECK(y[2] == -4.0f);  // the NaN is passed over
    variant.run({.kind = PoolF32::Kind::sum, .geometry = pairs, .x = x, .y = y});
    CHECK(y[0] == -1.0f);
    CHECK(y[1] == -5.0f);
    CHECK(y[2] != y[2]);
  }
}

TEST_CASE("pool_f32: every variant gives the bits of the reference") {
  for (const PoolF32Variant& variant : pool_f32_variants())
    for (const auto kind : {PoolF32::Kind::maximum, PoolF32::Kind::sum})
      for (const std::ptrdiff_t width : {1, 4, 7, 8, 9, 17, 33})
        for (const std::ptrdiff_t stride : {1, 2, 3})
          for (const std::ptrdiff_t dilation : {1, 2})
            for (const std::ptrdiff_t pad : {0, 1, 2}) {
              const std::ptrdiff_t kernel = 3, height = 5, reach = (kernel - 1) * dilation + 1;
              if (width + 2 * pad < reach || height + 2 * pad < reach) continue;
              // One more window at the end than fits, as with ceil_mode.
              const ConvGeometry g{.input = {1, height, width},
                                   .output = {1, (height + 2 * pad - reach) / stride + 1, (width + 2 * pad - reach) / stride + 2},
                                   .kernel = {1, kernel, kernel},
                                   .stride = {1, stride, stride},
                                   .dilation = {1, dilation, dilation},
                                   .pad_begin = {0, pad, pad}};
              const auto x = random_floats(static_cast<std::size_t>(g.n_inputs()), 9);
              std::vector<float> y(static_cast<std::size_t>(g.n_outputs())), expected(y.size());
              variant.run({.kind = kind, .geometry = g, .x = x.data(), .y = y.data()});
              pool_f32__reference({.kind = kind, .geometry = g, .x = x.data(), .y = expected.data()});
              CAPTURE(variant.name);
              CAPTURE(width);
              CAPTURE(stride);
              CHECK(y == expected);
            }
}
