#include "kernels/clamp_f32.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/elementwise_f32/elementwise_f32.h"

using namespace bitwright;

TEST_CASE("ClampF32: has the bits of Relu and Clip, in vectors and alone, for NaN and zeros too") {
  const float x[8] = {-1.0f, -0.0f, 0.0f, 0.5f, 7.0f, std::nanf(""), -INFINITY, INFINITY};
  float relu[8], clip[8];
  map_f32__relu(x, relu, 8, {});
  map_f32__clip(x, clip, 8, {-0.25f, 6.0f});
  const ClampF32 as_relu{.low = 0.0f}, as_clip{-0.25f, 6.0f};
  const auto bits = [](float value) { return std::bit_cast<std::uint32_t>(value); };
  for (int i = 0; i < 8; ++i) {
    CAPTURE(x[i]);
    CHECK(bits(as_relu(x[i])) == bits(relu[i]));
    CHECK(bits(as_clip(x[i])) == bits(clip[i]));
    CHECK(bits(as_relu(load_f32x4(x + i / 4 * 4))[i % 4]) == bits(relu[i]));
    CHECK(bits(as_clip(load_f32x4(x + i / 4 * 4))[i % 4]) == bits(clip[i]));
    CHECK(bits(ClampF32{}(x[i])) == bits(x[i]));
  }
}
