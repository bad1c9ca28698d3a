#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "kernels/codes.h"
#include "kernels/normalize_u8/normalize_u8.h"

using namespace bitwright;
using namespace bitwright::tests;

TEST_CASE("square_root: the floor, at squares and beside them") {
  for (const std::uint64_t root : {1ull, 2ull, 3ull, 255ull, 65535ull, 65536ull, 1000003ull, 1ull << 30, (1ull << 31) - 1}) {
    CHECK(square_root(root * root) == root);
    CHECK(square_root(root * root - 1) == root - 1);
    CHECK(square_root(root * root + 1) == root);
  }
  CHECK(square_root(0) == 0);
}

TEST_CASE("softmax_u8: within one code of the softmax in float64, nearly always equal") {
  for (const float x_scale : {0.001f, 0.05f, 0.3f})
    for (const std::ptrdiff_t n : {1, 2, 10, 1000}) {
      const std::ptrdiff_t rows = 7;
      const auto x = random_activations(rows * n, static_cast<std::uint32_t>(n));
      std::vector<std::uint8_t> y(static_cast<std::size_t>(rows * n));
      std::array<std::uint32_t, 256> table{};
      const float y_scale = 1.0f / 256.0f;
      SoftmaxU8 softmax{.rows = rows, .n = n, .x = x.data(), .y = y.data(), .zero_point = 3};
      REQUIRE(set_softmax_u8(softmax, x_scale, y_scale, table));
      softmax_u8(softmax, 0, rows);
      std::int64_t n_unequal = 0;
      for (std::ptrdiff_t row = 0; row < rows; ++row) {
        double sum = 0.0;
        for (std::ptrdiff_t i = 0; i < n; ++i)
          sum += std::exp((x[static_cast<std::size_t>(row * n + i)] - 255.0) * static_cast<double>(x_scale));
        for (std::ptrdiff_t i = 0; i < n; ++i) {
          const auto at = static_cast<std::size_t>(row * n + i);
          const double exact = std::exp((x[at] - 255.0) * static_cast<double>(x_scale)) / sum * 256.0 + 3.0;
          const double expected = std::fmin(std::floor(exact + 0.5), 255.0);
          CHECK(std::fabs(y[at] - expected) <= 1.0);
          n_unequal += y[at] != expected;
        }
      }
      CHECK(n_unequal * 500 <= rows * n);
    }
  SoftmaxU8 softmax{.n = 4};
  std::array<std::uint32_t, 256> table{};
  CHECK_FALSE(set_softmax_u8(softmax, 0.1f, 1e-7f, table));
  CHECK_FALSE(set_softmax_u8(softmax, std::nanf(""), 0.1f, table));
}

TEST_CASE("layer_norm_u8: within one code of the normalization in float64, nearly always equal") {
  for (const std::ptrdiff_t n : {1, 7, 64, 768}) {
    const std::ptrdiff_t rows = 9;
    auto x = random_activations(rows * n, static_cast<std::uint32_t>(n));
    for (std::ptrdiff_t i = 0; i < n; ++i) x[static_cast<std::size_t>(i)] = 55;  // a row without variance
    const std::vector<float> gamma = random_floats(static_cast<std::size_t>(n), 3),
                             beta = random_floats(static_cast<std::size_t>(n), 4);
    std::vector<std::int32_t> fixed_gamma(gamma.size());
    std::vector<std::int64_t> fixed_beta(beta.size());
    std::vector<std::uint8_t> y(static_cast<std::size_t>(rows * n));
    const double x_scale = 0.031, y_scale = 0.02, epsilon = 1e-5;
    LayerNormU8 norm{.rows = rows, .n = n, .x = x.data(), .y = y.data(), .zero_point = 128};
    REQUIRE(set_layer_norm_u8(norm, 0.031f, 0.02f, 1e-5f, gamma, beta, fixed_gamma, fixed_beta));
    layer_norm_u8(norm, 0, rows);
    std::int64_t n_unequal = 0;
    for (std::ptrdiff_t row = 0; row < rows; ++row) {
      double mean = 0.0, variance = 0.0;
      for (std::ptrdiff_t i = 0; i < n; ++i) mean += x[static_cast<std::size_t>(row * n + i)] * x_scale / static_cast<double>(n);
      for (std::ptrdiff_t i = 0; i < n; ++i)
        variance += std::pow(x[static_cast<std::size_t>(row * n + i)] * x_scale - mean, 2.0) / static_cast<double>(n);
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(row * n + i);
        const double real =
            (x[at] * x_scale - mean) / std::sqrt(variance + epsilon) * static_cast<double>(gamma[static_cast<std::size_t>(i)]) +
            static_cast<double>(beta[static_cast<std::size_t>(i)]);
        const double expected = std::fmin(std::fmax(std::floor(real / y_scale + 0.5) + 128.0, 0.0), 255.0);
        CHECK(std::fabs(y[at] - expected) <= 1.0);
        n_unequal += y[at] != expected;
      }
    }
    CHECK(n_unequal * 100 <= rows * n);
  }
}
