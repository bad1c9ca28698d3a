#include "samples/image.h"

#include <doctest/doctest.h>

#include "base/error.h"

namespace bitwright::tests {

TEST_CASE("limits: pixels of an image and of what it is resized to") {
  constexpr std::int64_t kSide = std::int64_t{1} << 13;
  static_assert(kSide * kSide == kMaxImagePixels);
  const std::vector<std::uint8_t> pixel = {1, 2, 3};
  const auto resized = [&](std::int64_t width, std::int64_t height, std::int64_t new_width, std::int64_t new_height) {
    return resize_rgb(pixel, width, height, new_width, new_height, Resampling::bilinear).n_elements();
  };
  // What is just small enough is looked at further: its bytes are missing.
  CHECK_THROWS_WITH_AS(resized(kSide, kSide, 1, 1), doctest::Contains("3 bytes, 201326592 were expected"), Error);
  CHECK_THROWS_WITH_AS(resized(kSide + 1, kSide, 1, 1), doctest::Contains("passes the limit"), Error);
  CHECK_THROWS_WITH_AS(resized(kMaxImagePixels, 2, 1, 1), doctest::Contains("passes the limit"), Error);
  CHECK(resized(1, 1, kSide, kSide) == 3 * kMaxImagePixels);
  CHECK_THROWS_WITH_AS(resized(1, 1, kSide, kSide + 1), doctest::Contains("cannot be resized"), Error);
}

}  // namespace bitwright::tests
