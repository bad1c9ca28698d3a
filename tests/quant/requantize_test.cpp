#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>

#include "kernels/codes.h"
#include "quant/fixed_point.h"
#include "quant/requantize_f32.h"

using namespace bitwright;
using namespace bitwright::tests;

TEST_CASE("requantize_f32: halves go to the even step, then the zero point is added and the code saturates") {
  CHECK(requantize_f32(5, 0.5f, 0, 0, 255) == 2);
  CHECK(requantize_f32(7, 0.5f, 0, 0, 255) == 4);
  CHECK(requantize_f32(-5, 0.5f, 3, 0, 255) == 1);
  CHECK(requantize_f32(-9, 0.5f, 3, 0, 255) == 0);
  CHECK(requantize_f32(1000, 1.0f, 3, 0, 255) == 255);
  CHECK(requantize_f32(1000, 1.0f, 3, 0, 40) == 40);
  CHECK(requantize_f32(std::numeric_limits<std::int32_t>::max(), 1000.0f, 3, 0, 255) == 255);
  CHECK(requantize_f32(std::numeric_limits<std::int32_t>::min(), 1000.0f, 3, 7, 255) == 7);
}

TEST_CASE("fixed_point: one shift serves the layer, and every multiplier fits 31 bits") {
  const FixedPoint small = fixed_point(std::array{0.1249, 0.001}).value();
  CHECK(small.left_shift == 0);
  CHECK(small.multipliers[0] == std::lround(0.1249 * 0x1p34));
  CHECK(small.multipliers[1] == std::lround(0.001 * 0x1p34));
  const FixedPoint large = fixed_point(std::array{0.125, 0.001}).value();
  CHECK(large.left_shift == 1);
  CHECK(large.multipliers[0] == 1 << 30);  // 0.125 * 2^33
}

TEST_CASE("fixed_point: multipliers are the nearest whole numbers") {
  for (const double largest : {0.1, 0.124, 0.3, 0.77, 5.0}) {
    const std::array scales = {largest, largest / 3.0, largest / 7.1, largest / 100.3, largest / 255.7};
    const FixedPoint fixed = fixed_point(scales).value();
    for (std::size_t i = 0; i < scales.size(); ++i) {
      const double exact = std::ldexp(scales[i], 32 + kFixedPointRightShift - fixed.left_shift);
      CHECK(std::abs(static_cast<double>(fixed.multipliers[i]) - exact) <= 0.5);
    }
  }
}

TEST_CASE("fixed_point: scales that are not positive, not finite or too large are refused") {
  for (const double scale : {0.0, -1.0, std::nan(""), static_cast<double>(INFINITY), 0x1.1p20})
    CHECK_FALSE(fixed_point(std::array{0.5, scale}));
  CHECK_FALSE(fixed_point(std::array{1024.0, 1e-4}));  // saturating for the first would cut codes of the second
  CHECK(fixed_point(std::array{1024.0, 1.0}));
}

TEST_CASE("fixed_point: multipliers of 2^16 and more keep all codes from saturating") {
  CHECK(fixed_point(std::array{0.125, 0x1p-14}));  // shifted left by 1: 2^-14 * 2^30 = 2^16
  CHECK_FALSE(fixed_point(std::array{0.125, 0x1.ffp-15}));
  CHECK(fixed_point(std::array{0.1249, 0x1p-30}));  // nothing is shifted, so nothing saturates
}

TEST_CASE("requantize_fixed: halves go up, and the rounding is that of the exact product") {
  for (const double scale : {1e-7, 3e-6, 0.0123, 0.2499, 0.25, 0.7, 1.0, 3.0, 250.0, 0x1p20}) {
    CAPTURE(scale);
    const FixedPoint fixed = fixed_point(std::array{scale}).value();
    Requantize r{.left_shift = fixed.left_shift, .zero_point = 17, .qmin = 0, .qmax = 255};
    for (const std::int32_t acc : random_codes<std::int32_t>(2000, 5, -1000000, 1000000))
      CHECK(requantize_fixed(acc, fixed.multipliers[0], r.left_shift, 17, 0, 255) ==
            expected_integer_only(acc, fixed.multipliers[0], r));
  }
  const FixedPoint half = fixed_point(std::array{0.5}).value();
  CHECK(requantize_fixed(5, half.multipliers[0], half.left_shift, 0, 0, 255) == 3);
  CHECK(requantize_fixed(-5, half.multipliers[0], half.left_shift, 10, 0, 255) == 8);
  CHECK(requantize_fixed(std::numeric_limits<std::int32_t>::min(), half.multipliers[0], half.left_shift, 10, 2, 255) == 2);
  CHECK(requantize_fixed(std::numeric_limits<std::int32_t>::max(), half.multipliers[0], half.left_shift, 10, 2, 255) == 255);
}
