#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/random.h"

using namespace bitwright;
using bitwright::tests::random_floats;

namespace {

constexpr float kUntouched = -77.0f;

std::vector<float> product(GemmF32Kernel kernel, GemmF32 g) {
  std::vector<float> c(static_cast<std::size_t>(g.m * (g.n + 3)) + 1, kUntouched);
  g.c = c.data();
  g.c_row_stride = g.n + 3;
  kernel(g);
  return c;
}

}  // namespace

TEST_CASE("gemm_f32: a product worked by hand") {
  const float a[] = {1, 2, 3, 4};                                      // 2 x 2
  const float b[] = {5, 6, 0, 0, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0, 0, 0};  // one panel of 2 x 2
  const float row_bias[] = {100, 200};
  for (const GemmF32Variant& variant : gemm_f32_variants()) {
    CAPTURE(variant.name);
    float c[4] = {};
    variant.run({.m = 2,
                 .n = 2,
                 .k = 2,
                 .a = a,
                 .a_row_stride = 2,
                 .b = b,
                 .b_panel_stride = 16,
                 .b_k_stride = 8,
                 .c = c,
                 .c_row_stride = 2,
                 .row_bias = row_bias});
    CHECK(c[0] == 119.0f);
    CHECK(c[1] == 122.0f);
    CHECK(c[2] == 243.0f);
    CHECK(c[3] == 250.0f);
  }
}

TEST_CASE("gemm_f32: every deterministic variant gives the bits of the reference and writes nothing else") {
  for (const GemmF32Variant& variant : gemm_f32_variants()) {
    if (!variant.is_deterministic) continue;
    CAPTURE(variant.name);
    for (std::ptrdiff_t m : {0, 1, 2, 3, 4, 5, 6, 9, 10, 11})
      for (std::ptrdiff_t n : {0, 1, 3, 4, 7, 8, 9, 16, 31, 32, 33, 40, 65})
        for (std::ptrdiff_t k : {0, 1, 2, 17}) {
          const auto a = random_floats(static_cast<std::size_t>(m * k) + 1, 1);
          const auto b = random_floats(static_cast<std::size_t>(n * k) + 1, 2);
          const auto bias = random_floats(static_cast<std::size_t>(m + n) + 8, 3);
          std::vector<float> packed(static_cast<std::size_t>(packed_b_floats(k, n)) + 1);
          pack_b_f32(b.data(), n, 1, k, n, 0, (n + 7) / 8, packed.data());
          const GemmF32 plain{.m = m,
                              .n = n,
                              .k = k,
                              .a = a.data(),
                              .a_row_stride = k,
                              .b = packed.data(),
                              .b_panel_stride = 8 * k,
                              .b_k_stride = 8,
                              .column_bias = bias.data(),
                              .clamp = {.low = 0.0f}};
          const GemmF32 transposed{.m = m,
                                   .n = n,
                                   .k = k,
                                   .a = a.data(),
                                   .a_row_stride = 1,
                                   .a_k_stride = m,
                                   .b = packed.data(),
                                   .b_panel_stride = 8 * k,
                                   .b_k_stride = 8,
                                   .row_bias = bias.data()};
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(k);
          CHECK(product(variant.run, plain) == product(gemm_f32__reference, plain));
          CHECK(product(variant.run, transposed) == product(gemm_f32__reference, transposed));
        }
  }
}

TEST_CASE("pack_b_f32: unpacking gives the matrix back, with zeros beyond the last column") {
  const std::ptrdiff_t k = 3, n = 11;
  const auto b = random_floats(static_cast<std::size_t>(k * n), 5);
  for (const bool is_transposed : {false, true}) {
    std::vector<float> packed(static_cast<std::size_t>(packed_b_floats(k, n)), kUntouched);
    pack_b_f32(b.data(), is_transposed ? 1 : n, is_transposed ? k : 1, k, n, 0, 2, packed.data());
    for (std::ptrdiff_t p = 0; p < k; ++p)
      for (std::ptrdiff_t j = 0; j < 16; ++j) {
        const float expected = j >= n ? 0.0f : b[static_cast<std::size_t>(is_transposed ? j * k + p : p * n + j)];
        CHECK(packed[static_cast<std::size_t>(j / 8 * 8 * k + p * 8 + j % 8)] == expected);
      }
  }
}

TEST_CASE("gemm_f32: variants that contract stay near the reference") {
  constexpr float kTolerance = 1e-5f;  // 65 terms below 1: at most 65 roundings of 2^-24 each way
  const std::ptrdiff_t m = 13, n = 21, k = 65;
  const auto a = random_floats(static_cast<std::size_t>(m * k), 1), b = random_floats(static_cast<std::size_t>(n * k), 2);
  std::vector<float> packed(static_cast<std::size_t>(packed_b_floats(k, n)));
  pack_b_f32(b.data(), n, 1, k, n, 0, (n + 7) / 8, packed.data());
  const GemmF32 g{
      .m = m, .n = n, .k = k, .a = a.data(), .a_row_stride = k, .b = packed.data(), .b_panel_stride = 8 * k, .b_k_stride = 8};
  const std::vector<float> expected = product(gemm_f32__reference, g);
  for (const GemmF32Variant& variant : gemm_f32_variants()) {
    CAPTURE(variant.name);
    const std::vector<float> c = product(variant.run, g);
    for (std::size_t i = 0; i < c.size(); ++i) CHECK(std::abs(c[i] - expected[i]) <= kTolerance);
  }
}
