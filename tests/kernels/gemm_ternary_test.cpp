#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/gemm_ternary/gemm_ternary.h"
#include "kernels/random.h"

using namespace bitwright;
using bitwright::tests::random_floats;

namespace {

constexpr float kUntouched = -77.0f;

/// Rows of the kernel's layout from [n][k] numbers, with counts of those that are not 0.
struct Rows {
  std::vector<std::uint32_t> words;
  std::vector<std::int32_t> counts;

  Rows(const std::vector<float>& x, std::ptrdiff_t n, std::ptrdiff_t k) {
    const std::ptrdiff_t pairs = (k + 31) / 32, row_words = TernaryLayout{n, k, false}.row_words();
    std::vector<std::uint32_t> signs(static_cast<std::size_t>(n * pairs * 2));
    pack_signs(x.data(), n, k, k, 1, signs.data());
    words.resize(static_cast<std::size_t>(n * row_words));
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      counts.push_back(0);
      for (std::ptrdiff_t p = 0; p < pairs; ++p)
        for (std::ptrdiff_t plane = 0; plane < 2; ++plane)
          words[static_cast<std::size_t>(i * row_words + p / 4 * 8 + plane * 4 + p % 4)] =
              signs[static_cast<std::size_t>((i * pairs + p) * 2 + plane)];
      for (std::ptrdiff_t p = 0; p < k; ++p) counts.back() += x[static_cast<std::size_t>(i * k + p)] != 0.0f ? 1 : 0;
    }
  }
};

struct Problem {
  TernaryLayout layout;
  std::ptrdiff_t m;
  bool has_bias, is_transposed;
  std::vector<float> a, w, scales, bias;

  std::vector<float> run(GemmTernaryKernel kernel) const {
    const Rows left(a, m, layout.k), right(w, layout.n, layout.k);
    std::vector<std::uint32_t> packed(static_cast<std::size_t>(layout.n * layout.weight_words()));
    for (std::ptrdiff_t j = 0; j < layout.n; ++j)
      pack_column(layout, right.words.data() + j * layout.row_words(), packed.data() + j * layout.weight_words());
    std::vector<float> y(static_cast<std::size_t>((m + 3) * (layout.n + 3)), kUntouched);
    kernel({.layout = layout,
            .m = m,
            .a = left.words.data(),
            .a_counts = left.counts.data(),
            .weights = packed.data(),
            .scales = scales.data(),
            .bias = has_bias ? bias.data() : nullptr,
            .y = y.data(),
            .y_row_stride = is_transposed ? 1 : layout.n + 3,
            .y_column_stride = is_transposed ? m + 3 : 1},
           0, layout.n);
    return y;
  }
  float expected(std::ptrdiff_t i, std::ptrdiff_t j) const {
    int sum = 0;
    for (std::ptrdiff_t p = 0; p < layout.k; ++p)
      sum += static_cast<int>(a[static_cast<std::size_t>(i * layout.k + p)] * w[static_cast<std::size_t>(j * layout.k + p)]);
    const float y = static_cast<float>(sum) * scales[static_cast<std::size_t>(j)];
    return has_bias ? y + bias[static_cast<std::size_t>(j)] : y;
  }
};

/// 1 and -1, and as many zeros as `share` says.
std::vector<float> random_signs(std::ptrdiff_t n, float share, std::uint32_t seed) {
  std::vector<float> signs = random_floats(static_cast<std::size_t>(n), seed);
  for (float& x : signs) x = std::fabs(x) < share ? 0.0f : x < 0.0f ? -1.0f : 1.0f;
  return signs;
}

}  // namespace

TEST_CASE("gemm_ternary: a product worked by hand") {
  // a = 1 -1 0 -1 1. Binary weights -1 -1 1 1 1: -1 + 1 + 0 - 1 + 1 = 0, and all 1: 1 - 1 - 1 + 1 = 0, and a itself with 1 for the
  // zero: 4. Ternary 0 -1 1 -1 0: 1 + 1 = 2.
  const std::vector<float> a{1, -1, 0, -1, 1};
  Problem binary{{3, 5, true}, 1, true, false, a, {-1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, 1, -1, 1}, {2, 3, 0.5f}, {1, 2, 3}};
  Problem ternary{{1, 5, false}, 1, false, false, a, {0, -1, 1, -1, 0}, {0.25f}, {}};
  for (const GemmTernaryVariant& variant : gemm_ternary_variants()) {
    CAPTURE(variant.name);
    const std::vector<float> y = binary.run(variant.run);
    CHECK(std::vector<float>(y.begin(), y.begin() + 3) == std::vector<float>{1, 2, 5});
    CHECK(ternary.run(variant.run)[0] == 0.5f);
  }
}

TEST_CASE("gemm_ternary: signs as they are packed") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const float denormal = std::numeric_limits<float>::denorm_min();
  const float x[] = {0.0f, -0.0f, nan, -nan, inf, -inf, denormal, -denormal, 3.0f};
  std::uint32_t words[2];
  pack_signs(x, 1, 9, 9, 1, words);
  CHECK(words[0] == 0b111110000);
  CHECK(words[1] == 0b010100000);
  // Pixels side by side, as convolutions have them, and 33 channels: two pairs of words.
  for (const std::ptrdiff_t pixels : {1, 3, 4, 7}) {
    const std::vector<float> planes = random_signs(pixels * 33, 0.3f, 3);
    std::vector<std::uint32_t> packed(static_cast<std::size_t>(pixels) * 4 + 1, 7);
    pack_signs(planes.data(), pixels, 1, 33, pixels, packed.data());
    for (std::ptrdiff_t p = 0; p < pixels; ++p)
      for (std::ptrdiff_t c = 0; c < 33; ++c) {
        const float v = planes[static_cast<std::size_t>(c * pixels + p)];
        const std::uint32_t* pair = packed.data() + p * 4 + c / 32 * 2;
        CHECK((pair[0] >> c % 32 & 1) == (v != 0.0f ? 1u : 0u));
        CHECK((pair[1] >> c % 32 & 1) == (v < 0.0f ? 1u : 0u));
      }
    CHECK(packed.back() == 7);
  }
}

TEST_CASE("gemm_ternary: every variant gives the exact sums and writes nothing else") {
  std::uint32_t seed = 1;
  for (const std::ptrdiff_t k : {1, 31, 32, 33, 127, 128, 129, 256, 1919, 1920, 1921, 4000})
    for (const std::ptrdiff_t n : {1, 3, 4, 5, 9})
      for (const std::ptrdiff_t m : {1, 2, 5}) {
        ++seed;
        const bool is_binary = seed % 2 == 0, has_bias = seed % 3 == 0, is_transposed = seed % 5 == 0;
        const Problem problem{{n, k, is_binary},
                              m,
                              has_bias,
                              is_transposed,
                              random_signs(m * k, seed % 7 == 0 ? 0.0f : 0.4f, seed),
                              random_signs(n * k, is_binary ? 0.0f : 0.3f, seed + 1000),
                              random_floats(static_cast<std::size_t>(n), 5),
                              random_floats(static_cast<std::size_t>(n), 6)};
        for (const GemmTernaryVariant& variant : gemm_ternary_variants()) {
          CAPTURE(variant.name);
          CAPTURE(k);
          CAPTURE(n);
          CAPTURE(m);
          const std::vector<float> y = problem.run(variant.run);
          std::vector<float> wanted(y.size(), kUntouched);
          for (std::ptrdiff_t i = 0; i < m; ++i)
            for (std::ptrdiff_t j = 0; j < n; ++j)
              wanted[static_cast<std::size_t>(is_transposed ? j * (m + 3) + i : i * (n + 3) + j)] = problem.expected(i, j);
          CHECK(std::memcmp(y.data(), wanted.data(), y.size() * sizeof(float)) == 0);
        }
      }
}

TEST_CASE("gemm_ternary: all equal, all opposite, many rows and some of the columns") {
  constexpr std::ptrdiff_t k = 128 * 31, n = 8, m = 70;
  for (const float sign : {1.0f, -1.0f})
    for (const bool is_binary : {true, false}) {
      Problem problem{
          {n, k, is_binary},           m, false, false, std::vector<float>(m * k, sign), std::vector<float>(n * k, -1.0f),
          std::vector<float>(n, 1.0f), {}};
      for (const GemmTernaryVariant& variant : gemm_ternary_variants()) CHECK(problem.run(variant.run)[0] == -sign * float(k));
      const std::vector<float> whole = problem.run(gemm_ternary_variants()[0].run);
      for (std::ptrdiff_t i = 0; i < m * (n + 3); ++i)
        CHECK(whole[static_cast<std::size_t>(i)] == (i % (n + 3) < n ? -sign * float(k) : kUntouched));
      const auto last_columns = [](const GemmTernary& g, std::ptrdiff_t, std::ptrdiff_t last) {
        gemm_ternary_variants()[0].run(g, 4, last);
      };
      const std::vector<float> part = problem.run(last_columns);
      CHECK(part[3] == kUntouched);
      CHECK(part[4] == whole[4]);
    }
}
