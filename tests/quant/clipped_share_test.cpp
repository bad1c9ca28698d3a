#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "quant/quantize.h"

namespace bitwright {

TEST_CASE("clipped_share: values more than half a step beyond the last code") {
  const std::vector<float> values = {-0.6f, -0.4f, 0.0f, 255.4f, 255.6f, 300.0f, std::nanf(""), 10.0f};
  const QuantParams params{DType::u8, {0, 255}, PerTensor{}, {1.0f}, {0}};
  CHECK(clipped_share(values, {8}, params) == doctest::Approx(3.0 / 8.0));
  CHECK(clipped_share({}, {0}, params) == 0.0);
  CHECK(clipped_share(values, {8}, {DType::u8, {0, 255}, PerTensor{}, {}, {}}) == 0.0);
}

TEST_CASE("clipped_share: each channel and each block by its own scale and zero point") {
  // Codes -8 to 7: with scale 1 up to 7.5, with scale 2 and zero point 3 from -23 to 9.
  const std::vector<float> values = {7.4f, 7.6f, -8.6f, 9.1f, 8.9f, -23.1f};
  CHECK(clipped_share(values, {2, 3}, {DType::i4, {-8, 7}, PerChannel{0}, {1.0f, 2.0f}, {0, 3}}) == doctest::Approx(4.0 / 6.0));
  CHECK(clipped_share(values, {1, 6}, {DType::i4, {-8, 7}, PerBlock{1, 3}, {1.0f, 2.0f}, {0, 3}}) == doctest::Approx(4.0 / 6.0));
}

TEST_CASE("clipped_share: levels in any order, those that are no numbers aside") {
  const std::vector<float> levels = {4.0f, std::nanf(""), 0.0f, -1.0f, 2.0f, std::numeric_limits<float>::infinity()};
  const std::vector<float> values = {-2.9f, -3.1f, 9.9f, 10.1f};  // by scale 2: from -1.5 to 5
  CHECK(clipped_share(values, {4}, {DType::u4, {0, 15}, PerTensor{}, {2.0f}, {}}, levels) == doctest::Approx(0.5));
}

}  // namespace bitwright
