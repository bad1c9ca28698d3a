#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/gemm_i8_nbits/dot_i7.h"
#include "kernels/random.h"

using namespace bitwright;
using bitwright::tests::random_floats;

namespace {

constexpr float kUntouched = -77.0f;

/// What wasm's relaxed dot computes for codes of at most 7 bits, whatever the engine.
struct Emulated {
  static i16x8 pairs(u8x16 a, u8x16 w) {
    i16x8 sums{};
    for (int i = 0; i < 8; ++i)
      sums[i] = static_cast<std::int16_t>(static_cast<std::int8_t>(a[2 * i]) * w[2 * i] +
                                          static_cast<std::int8_t>(a[2 * i + 1]) * w[2 * i + 1]);
    return sums;
  }
  static i32x4 fours(i32x4 acc, u8x16 a, u8x16 w) {
    for (int i = 0; i < 16; ++i) acc[i / 4] += static_cast<std::int8_t>(a[i]) * w[i];
    return acc;
  }
};

template <typename Dot>
void emulated(const GemmI8NBits& g, std::ptrdiff_t first, std::ptrdiff_t last) {
  NBitsTiles<Dot>::run(g, first, last);
}

template <typename Dot>
void arrange_emulated(const std::int8_t* codes, std::ptrdiff_t m, std::ptrdiff_t padded_k, void* arranged) {
  arrange_rows<Dot>(codes, m, padded_k, arranged, [](const std::int8_t* from, std::uint8_t* to) { std::memcpy(to, from, 4); });
}

std::vector<GemmI8NBitsVariant> all_variants() {
  const auto known = gemm_i8_nbits_variants();
  std::vector<GemmI8NBitsVariant> all(known.begin(), known.end());
  using Dot = DotI7<Emulated>;
  using DotAdd = DotAddI7<Emulated>;
  all.push_back({"emulated relaxed dot", emulated<Dot>, arrange_emulated<Dot>, 1 << 2 | 1 << 4});
  all.push_back({"emulated relaxed dot with addition", emulated<DotAdd>, arrange_emulated<DotAdd>, 1 << 4});
  return all;
}

GemmI8NBitsVariant reference(int bits) {
  return {"reference", gemm_i8_nbits__reference, arrange_i8__reference, 1 << bits, bits < 4};
}

struct Problem {
  NBitsLayout layout;
  std::ptrdiff_t m = 0;
  bool has_zeros = false, has_bias = false;
  std::vector<std::uint8_t> codes;  // [n][k]
  std::vector<float> scales, zeros, bias;
  std::vector<std::int8_t> a;  // [m][padded_k]
  std::vector<float> a_scales;
  std::vector<std::int32_t> a_sums;

  Problem(NBitsLayout l, std::ptrdiff_t rows, bool with_zeros, bool with_bias, const std::vector<float>& x,
          const std::vector<std::uint8_t>& w)
      : layout(l), m(rows), has_zeros(with_zeros), has_bias(with_bias), codes(w) {
    scales = random_floats(static_cast<std::size_t>(l.n_scales()), 11);
    zeros.resize(scales.size());
    for (std::size_t i = 0; i < zeros.size(); ++i) zeros[i] = static_cast<float>(i * 7 % (std::size_t{1} << l.bits));
    bias = random_floats(static_cast<std::size_t>(l.n) + 8, 12);
    a.resize(static_cast<std::size_t>(m * l.padded_k()) + 16);
    a_scales.resize(static_cast<std::size_t>(m * l.n_blocks()));
    a_sums.resize(a_scales.size());
    quantize_blocks_i8(x.data(), m, l, a.data(), a_scales.data(), has_zeros ? 1 : -(1 << (l.bits - 1)), a_sums.data());
  }

  std::vector<float> run(const GemmI8NBitsVariant& variant) const {
    NBitsLayout own = layout;
    own.is_by_table = variant.is_by_table;
    std::vector<std::uint8_t> packed(static_cast<std::size_t>(own.packed_bytes()) + 16);
    pack_nbits(own, {.bytes = codes.data(), .stored_bits = 8, .column_stride = own.k}, 0, own.n_panels(), packed.data());
    std::vector<std::uint8_t> arranged(static_cast<std::size_t>(arranged_bytes(m, own)) + 16);
    variant.arrange(a.data(), m, layout.padded_k(), arranged.data());
    std::vector<float> y(static_cast<std::size_t>(m * (layout.n + 3)) + 1, kUntouched);
    variant.run({.layout = own,
                 .m = m,
                 .a = arranged.data(),
                 .a_scales = a_scales.data(),
                 .a_sums = a_sums.data(),
                 .weights = packed.data(),
                 .scales = scales.data(),
                 .zeros = has_zeros ? zeros.data() : nullptr,
                 .bias = has_bias ? bias.data() : nullptr,
                 .y = y.data(),
                 .y_row_stride = layout.n + 3},
                0, own.n_panels());
    return y;
  }
};

std::vector<std::uint8_t> random_codes(const NBitsLayout& l, std::uint32_t seed) {
  std::vector<std::uint8_t> codes;
  for (const float x : random_floats(static_cast<std::size_t>(l.n * l.k), seed))
    codes.push_back(static_cast<std::uint8_t>(static_cast<int>((x + 1.0f) * 128.0f) & ((1 << l.bits) - 1)));
  return codes;
}

}  // namespace

TEST_CASE("gemm_i8_nbits: a product worked by hand") {
  // Two blocks of 16 along k: x is 1, -0.5, 0 ... in the first and 2 in the last place of the second. Weights of 4 bits: 9, 6 and 15
  // there, so 1, -2 and 7 less the middle of the range. 1 * 1 + 64/127 * 2 of the first block (-0.5 becomes -64 of 127 steps).
  const NBitsLayout l{.bits = 4, .n = 1, .k = 32, .block_size = 16};
  std::vector<float> x(32, 0.0f);
  x[0] = 1.0f;
  x[1] = -0.5f;
  x[31] = 2.0f;
  std::vector<std::uint8_t> w(32, 8);
  w[0] = 9;
  w[1] = 6;
  w[31] = 15;
  Problem problem(l, 1, false, false, x, w);
  CHECK(problem.a_sums == std::vector<std::int32_t>{-8 * (127 - 64), -8 * 127});
  std::fill(problem.scales.begin(), problem.scales.end(), 0.5f);
  const double expected = 0.5 * (127 * 1 + 64 * 2) / 127.0 + 0.5 * 2.0 * 7.0;
  for (const GemmI8NBitsVariant& variant : all_variants()) {
    if (!variant.takes(l.bits)) continue;
    CAPTURE(variant.name);
    CHECK(problem.run(variant)[0] == doctest::Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("gemm_i8_nbits: every variant gives the bits of the reference and writes nothing else") {
  for (const int bits : {1, 2, 3, 4, 8})
    for (const std::ptrdiff_t block_size : {16, 32, 64, 128, 512})
      for (const std::ptrdiff_t m : {1, 2, 4, 5, 7, 13})
        for (const std::ptrdiff_t k : {1, 33, 130, 2600})
          for (const std::ptrdiff_t n : {1, 8, 19}) {
            if (k == 2600 && (m > 7 || n == 8 || block_size == 16)) continue;
            const NBitsLayout l{.bits = bits, .n = n, .k = k, .block_size = block_size};
            const bool has_zeros = (m + n + k) % 2 != 0;
            const Problem problem(l, m, has_zeros, n == 19, random_floats(static_cast<std::size_t>(m * k), 3),
                                  random_codes(l, 4));
            const std::vector<float> expected = problem.run(reference(bits));
            for (const GemmI8NBitsVariant& variant : all_variants()) {
              if (!variant.takes(bits)) continue;
              CAPTURE(variant.name);
              CAPTURE(bits);
              CAPTURE(block_size);
              CAPTURE(m);
              CAPTURE(k);
              CAPTURE(n);
              CHECK(problem.run(variant) == expected);
            }
          }
}

TEST_CASE("gemm_i8_nbits: the largest codes leave no lane of 16 bits") {
  for (const int bits : {1, 2, 3, 4, 8}) {
    const NBitsLayout l{.bits = bits, .n = 9, .k = 96, .block_size = 32};
    std::vector<float> x(96 * 5, 1.0f);
    for (std::size_t i = 96; i < 192; ++i) x[i] = -1.0f;
    const Problem problem(l, 5, true, false, x, std::vector<std::uint8_t>(9 * 96, static_cast<std::uint8_t>((1 << bits) - 1)));
    const std::vector<float> expected = problem.run(reference(bits));
    for (const GemmI8NBitsVariant& variant : all_variants())
      if (variant.takes(bits)) CHECK_MESSAGE(problem.run(variant) == expected, variant.name);
  }
}

TEST_CASE("gemm_i8_nbits: near the product in double of what the codes stand for") {
  constexpr double kStep = 1.0 / 127.0;  // of |x| <= 1: half a step per term of the activations' rounding
  const NBitsLayout l{.bits = 4, .n = 10, .k = 200, .block_size = 64};
  const auto x = random_floats(3 * 200, 5);
  const Problem problem(l, 3, true, true, x, random_codes(l, 6));
  for (const GemmI8NBitsVariant& variant : all_variants()) {
    if (!variant.takes(l.bits)) continue;
    const std::vector<float> y = problem.run(variant);
    for (std::ptrdiff_t i = 0; i < 3; ++i)
      for (std::ptrdiff_t j = 0; j < 10; ++j) {
        double sum = problem.bias[static_cast<std::size_t>(j)], bound = 1e-4;
        for (std::ptrdiff_t p = 0; p < 200; ++p) {
          const auto at = static_cast<std::size_t>((j / 8 * 4 + p / 64) * 8 + j % 8);
          const double w =
              (problem.codes[static_cast<std::size_t>(j * 200 + p)] - problem.zeros[at]) * double{problem.scales[at]};
          sum += w * double{x[static_cast<std::size_t>(i * 200 + p)]};
          bound += std::abs(w) * kStep / 2;
        }
        CHECK(std::abs(double{y[static_cast<std::size_t>(i * 13 + j)]} - sum) <= bound);
      }
  }
}

TEST_CASE("pack_nbits: codes of any storage lie where the reference reads them") {
  // 3 columns of 40 codes of 4 bits, signed, stored row by row of k: column j at k is element k * 3 + j.
  const NBitsLayout l{.bits = 4, .n = 3, .k = 40, .block_size = 32};
  std::vector<std::uint8_t> stored(60), rows(120);
  for (std::size_t i = 0; i < 120; ++i) {
    const std::size_t code = i * 7 % 16;
    stored[i / 2] = static_cast<std::uint8_t>(stored[i / 2] | code << i % 2 * 4);
    rows[i % 3 * 40 + i / 3] = static_cast<std::uint8_t>(code ^ 8);
  }
  std::vector<std::uint8_t> packed(static_cast<std::size_t>(l.packed_bytes())), expected(packed.size());
  pack_nbits(l, {.bytes = stored.data(), .stored_bits = 4, .column_stride = 1, .k_stride = 3, .flip = 8}, 0, 1, packed.data());
  pack_nbits(l, {.bytes = rows.data(), .stored_bits = 8, .column_stride = 40}, 0, 1, expected.data());
  CHECK(packed == expected);
}

TEST_CASE("quantize_blocks_i8: rounds half to even by the largest of a block, and an empty range is zero") {
  const NBitsLayout l{.bits = 4, .n = 1, .k = 18, .block_size = 16};
  std::vector<float> x(36, 0.0f);
  x[0] = 127.0f;
  x[1] = 0.5f;
  x[2] = 1.5f;
  x[3] = -2.5f;
  x[16] = -254.0f;
  x[17] = 3.0f;
  std::vector<std::int8_t> codes(2 * 64, 55);
  std::vector<float> scales(4);
  std::vector<std::int32_t> sums(4);
  quantize_blocks_i8(x.data(), 2, l, codes.data(), scales.data(), 1, sums.data());
  CHECK(std::vector<std::int8_t>(codes.begin(), codes.begin() + 5) == std::vector<std::int8_t>{127, 0, 2, -2, 0});
  CHECK(codes[32] == -127);
  CHECK(codes[33] == 2);  // 1.5 steps
  CHECK(codes[34] == 0);
  CHECK(codes[63] == 0);
  CHECK(scales == std::vector<float>{1.0f, 2.0f, 0.0f, 0.0f});
  CHECK(sums == std::vector<std::int32_t>{127, -125, 0, 0});
}

TEST_CASE("pack_nbits: bits of neighbours lie side by side for tables") {
  // One column of 2 bits: group 0 has the codes 1, 2, 3, 0: low bits 1, 0, 1, 0, high ones 0, 1, 1, 0. Group 5 has 3, 0, 0, 1: low 1, 0, 0,
  // 1, high 1, 0, 0, 0, in the high half of the bytes of j = 1.
  const NBitsLayout l{.bits = 2, .n = 1, .k = 32, .block_size = 32, .is_by_table = true};
  std::vector<std::uint8_t> codes(32, 0), packed(static_cast<std::size_t>(l.packed_bytes())), expected(packed.size(), 0);
  const std::uint8_t first[] = {1, 2, 3, 0}, sixth[] = {3, 0, 0, 1};
  std::copy(std::begin(first), std::end(first), codes.begin());
  std::copy(std::begin(sixth), std::end(sixth), codes.begin() + 20);
  pack_nbits(l, {.bytes = codes.data(), .stored_bits = 8, .column_stride = 32}, 0, l.n_panels(), packed.data());
  expected[0] = 0b0101;
  expected[32] = 0b0110;
  expected[8] = 0b1001'0000;
  expected[40] = 0b0001'0000;
  CHECK(packed == expected);
}

TEST_CASE("gemm_i8_nbits: a table worked by hand") {
  const std::int8_t codes[] = {1, -2, 4, -100};
  std::uint8_t table[32];
  arrange_i8__table_1x16(codes, 1, 4, table);
  const int sums[] = {0, 1, -2, -1, 4, 5, 2, 3};
  for (int i = 0; i < 16; ++i) {
    CAPTURE(i);
    CHECK(static_cast<std::int16_t>(table[i] | table[16 + i] << 8) == sums[i % 8] - (i < 8 ? 0 : 100));
  }
}

TEST_CASE("gemm_i8_nbits: there is a variant for every number of bits that files have") {
  for (const int bits : {2, 4, 8}) CHECK(choose_gemm_i8_nbits(bits).takes(bits));
}
