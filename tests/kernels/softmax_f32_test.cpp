#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/random.h"
#include "kernels/reduce_f32/reduce_f32.h"
#include "kernels/softmax_f32/softmax_f32.h"

using namespace bitwright;
using bitwright::tests::random_floats;

TEST_CASE("reduce_f32: sums have the bits of the reference, and are near the exact sum") {
  for (const std::ptrdiff_t n : {0, 1, 3, 4, 15, 16, 17, 33, 1000}) {
    const auto x = random_floats(static_cast<std::size_t>(n) + 1, 4);
    CHECK(sum_f32(x.data(), n) == reference::sum_f32(x.data(), n));
    CHECK(sum_squares_f32(x.data(), n, 0.5f) == reference::sum_squares_f32(x.data(), n, 0.5f));
    double exact = 0.0, largest = -1e30;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      exact += static_cast<double>(x[static_cast<std::size_t>(i)]);
      largest = std::max(largest, static_cast<double>(x[static_cast<std::size_t>(i)]));
    }
    CHECK(std::abs(static_cast<double>(sum_f32(x.data(), n)) - exact) < 1e-4);
    if (n > 0) CHECK(static_cast<double>(max_f32(x.data(), n)) == largest);
  }
}

TEST_CASE("softmax_f32: bits of the reference, values of a float64 softmax") {
  constexpr double kTolerance = 1e-5;  // of log values up to about 5; exp and log are good to 1.5 ulp
  for (const bool is_log : {false, true})
    for (const std::ptrdiff_t columns : {1, 2, 4, 5, 9})
      for (const std::ptrdiff_t n : {1, 3, 4, 5, 17, 40}) {
        const auto x = random_floats(static_cast<std::size_t>(n * columns), 7);
        std::vector<float> y(x.size(), -77.0f), expected(x.size(), -77.0f);
        softmax_f32__simd128({.n = n, .stride = columns, .columns = columns, .is_log = is_log, .x = x.data(), .y = y.data()});
        softmax_f32__reference(
            {.n = n, .stride = columns, .columns = columns, .is_log = is_log, .x = x.data(), .y = expected.data()});
        CHECK(y == expected);
        double sum = 0.0;
        for (std::ptrdiff_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[static_cast<std::size_t>(i * columns)]));
        const double exact = is_log ? static_cast<double>(x[0]) - std::log(sum) : std::exp(static_cast<double>(x[0])) / sum;
        CHECK(std::abs(static_cast<double>(y[0]) - exact) < kTolerance);
      }
}
