#include "samples/distribution.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"

using namespace bitwright;

namespace {

constexpr std::int64_t kCount = 200'000;
/// Five standard errors: a seeded draw that misses it is wrong, not unlucky.
constexpr double kStandardErrors = 5.0;

std::vector<float> drawn(const char* kind, std::uint64_t seed = 7, std::span<const double> density = {}) {
  const Tensor values = draw_values({.kind = kind, .n = kCount, .seed = seed, .density = density});
  const std::span<const float> data = values.data<float>();
  return {data.begin(), data.end()};
}

template <typename Claim>
double share(const std::vector<float>& values, Claim&& claim) {
  return static_cast<double>(std::count_if(values.begin(), values.end(), claim)) / static_cast<double>(values.size());
}

void check_share(double seen, double expected) {
  CHECK(std::abs(seen - expected) <= kStandardErrors * std::sqrt(expected * (1.0 - expected) / static_cast<double>(kCount)));
}

}  // namespace

TEST_CASE("draw_values: shares beyond known quantiles are those of the distribution") {
  check_share(share(drawn("normal"), [](float x) { return x > 1.959964f; }), 0.025);
  check_share(share(drawn("normal"), [](float x) { return std::abs(x) < 0.6744898f; }), 0.5);
  check_share(share(drawn("laplace"), [](float x) { return x < -std::log(2.0f); }), 0.25);
  check_share(share(drawn("uniform"), [](float x) { return x > 0.5f; }), 0.25);
  check_share(share(drawn("bimodal"), [](float x) { return std::abs(x - 1.0f) < 0.25f * 0.6744898f; }), 0.25);
  check_share(share(drawn("heavy_tail"), [](float x) { return std::abs(x) > 2.776445f; }), 0.05);  // Student's t, 4 degrees
  check_share(share(drawn("relu"), [](float x) { return x == 0.0f; }), 0.5);
}

TEST_CASE("draw_values: a drawn density fills its bins in proportion, and no others") {
  const double density[] = {0.0, 1.0, 0.0, 3.0};
  const std::vector<float> values = drawn("drawn", 7, density);
  check_share(share(values, [](float x) { return x >= -0.5f && x < 0.0f; }), 0.25);
  check_share(share(values, [](float x) { return x >= 0.5f && x <= 1.0f; }), 0.75);
}

TEST_CASE("draw_values: the seed decides the values") {
  CHECK(drawn("laplace", 1) == drawn("laplace", 1));
  CHECK(drawn("laplace", 1) != drawn("laplace", 2));
}

TEST_CASE("draw_values: what cannot be drawn is refused by name") {
  const double negative[] = {1.0, -1.0};
  const double nothing[] = {0.0, 0.0};
  CHECK_THROWS_WITH_AS(draw_values({.kind = "cauchy", .n = 1}), doctest::Contains("'cauchy'"), Error);
  CHECK_THROWS_WITH_AS(draw_values({.kind = "normal", .n = 0}), doctest::Contains("count is 0"), Error);
  CHECK_THROWS_WITH_AS(draw_values({.kind = "drawn", .n = kMaxDrawn + 1}), doctest::Contains("count is"), Error);
  CHECK_THROWS_WITH_AS(draw_values({.kind = "drawn", .n = kMaxDrawn}), doctest::Contains("density has 0 bins"), Error);
  const std::vector<double> most(kMaxDensityBins, 1.0);
  const std::vector<double> too_many(kMaxDensityBins + 1, 1.0);
  CHECK(draw_values({.kind = "drawn", .n = 3, .density = most}).n_elements() == 3);
  CHECK_THROWS_WITH_AS(draw_values({.kind = "drawn", .n = 3, .density = too_many}), doctest::Contains("4097 bins"), Error);
  CHECK_THROWS_WITH_AS(draw_values({.kind = "drawn", .n = 1, .density = negative}), doctest::Contains("at least 0"), Error);
  CHECK_THROWS_WITH_AS(draw_values({.kind = "drawn", .n = 1, .density = nothing}), doctest::Contains("above 0"), Error);
}
