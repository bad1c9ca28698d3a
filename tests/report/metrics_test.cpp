#include "report/metrics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace bitwright;

TEST_CASE("ErrorSums: SQNR, cosine, MSE and largest error, worked by hand") {
  ErrorSums metrics;
  const std::vector<float> x = {3.0f, 4.0f};
  const std::vector<float> y = {3.0f, 3.5f};
  metrics.add(x, y);
  CHECK(metrics.sqnr_db() == doctest::Approx(20.0));  // 25 / 0.25 = 100
  CHECK(metrics.mean_squared_error() == doctest::Approx(0.125));
  CHECK(metrics.max_abs_error() == 0.5);
  CHECK(metrics.cosine() == doctest::Approx(23.0 / (5.0 * std::sqrt(21.25))));
}

TEST_CASE("ErrorSums: equal values have infinite SQNR and cosine 1") {
  ErrorSums metrics;
  const std::vector<float> x = {1.0f, 0.0f, -3.25f};
  metrics.add(x, x);
  CHECK(metrics.sqnr_db() == std::numeric_limits<double>::infinity());
  CHECK(metrics.cosine() == 1.0);
  CHECK(ErrorSums{}.cosine() == 1.0);
  CHECK(ErrorSums{}.mean_squared_error() == 0.0);
}

TEST_CASE("ErrorSums: an error against zeros, and values that are not finite") {
  ErrorSums metrics;
  const std::vector<float> x = {0.0f, std::nanf("")};
  const std::vector<float> y = {1.0f, 2.0f};
  metrics.add(x, y);
  CHECK(metrics.sqnr_db() == -std::numeric_limits<double>::infinity());
  CHECK(metrics.cosine() == 0.0);
  CHECK(metrics.n_not_finite() == 1);
  CHECK(metrics.mean_squared_error() == 1.0);
}

TEST_CASE("ErrorSums: where a finite value became NaN or infinite there is no SQNR, however good the rest") {
  for (const float y : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(1030, 1.0f), approximation = x;
    approximation[1027] = y;
    ErrorSums metrics;
    metrics.add(x, approximation);
    CHECK(std::isnan(metrics.sqnr_db()));
    CHECK(metrics.cosine() == 0.0);
    CHECK(metrics.n_not_finite() == 1);
  }
  ErrorSums masked;  // what is infinite in both, as masks are, says nothing
  const std::vector<float> x = {1.0f, -std::numeric_limits<float>::infinity()};
  masked.add(x, x);
  CHECK(masked.sqnr_db() == std::numeric_limits<double>::infinity());
}

TEST_CASE("clipped_share: bins whose centre lies more than half a step beyond the last code") {
  const std::vector<std::uint64_t> counts = {1, 2, 3, 4};
  CHECK(clipped_share(counts, 0.0, 400.0, {1.0f, 0}, {0, 255}) == doctest::Approx(0.4));
}

TEST_CASE("wilson_interval: published values") {
  // Brown, Cai and DasGupta's form for 0 of 10 and 81 of 263 (R: prop.test(81, 263, correct = FALSE)).
  CHECK(wilson_interval(0, 10).low == 0.0);
  CHECK(wilson_interval(0, 10).high == doctest::Approx(0.27753).epsilon(1e-4));
  CHECK(wilson_interval(81, 263).low == doctest::Approx(0.2553).epsilon(1e-3));
  CHECK(wilson_interval(81, 263).high == doctest::Approx(0.3662).epsilon(1e-3));
  CHECK(wilson_interval(10, 10).high == 1.0);
  CHECK(wilson_interval(0, 0).high == 1.0);
}

TEST_CASE("top1: first of equal ones, NaN passed over") {
  const std::vector<float> values = {std::nanf(""), 1.0f, 3.0f, 3.0f};
  CHECK(top1(values) == 2);
  CHECK(top1({}) == -1);
  CHECK(top1(std::span<const float>(values).first(1)) == -1);
}
