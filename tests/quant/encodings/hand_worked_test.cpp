#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <tuple>

#include "base/error.h"
#include "base/float16.h"
#include "quant/encodings/encoding.h"
#include "quant/encodings/levels.h"
#include "quant/observers/range_search.h"
#include "quant/packing.h"
#include "quant/quantize.h"

using namespace bitwright;
using Grain = TensorScheme::Grain;
using Codes = std::vector<std::int32_t>;

namespace {

struct Coded {
  EncodedTensor encoded;
  Codes codes;
  std::vector<float> reals;
};

Coded code(const std::vector<float>& x, const TensorScheme& scheme, Shape shape = {}, std::int64_t axis = 0,
           const EncodeOptions& options = {}) {
  if (shape.empty()) shape = {static_cast<std::int64_t>(x.size())};
  Coded result{encode_tensor(x, shape, scheme, axis, options), {}, std::vector<float>(x.size())};
  result.codes = unpack_codes(result.encoded);
  decode_tensor(result.encoded, result.reals);
  return result;
}

const TensorScheme& named(const char* name) { return find_scheme(name)->scheme; }

/// i4 whose codes are the values themselves, where 7 is the largest.
TensorScheme unit_steps(Rounding rounding) {
  return {.dtype = DType::i4, .is_symmetric = true, .narrow_range = true, .rounding = rounding};
}

}  // namespace

TEST_CASE("nf4: the nearest normal quantile of x / max|x|") {
  const Coded c = code({1.0f, 0.5f, -0.25f, 0.0f}, named("nf4"));
  // 0.5 lies below 0.50166, the middle of levels 12 and 13; -0.25 below -0.23461, that of 4 and 5.
  CHECK(c.codes == Codes{15, 12, 4, 7});
  CHECK(c.encoded.range == CodeRange{0, 15});
  CHECK(c.reals == std::vector<float>{1.0f, 0.44070982933044434f, -0.28444138169288635f, 0.0f});
}

TEST_CASE("fp4: codes are sign, two exponent bits and a mantissa bit as bitsandbytes numbers them") {
  const Coded c = code({1.0f, -0.5f, 0.3f, 0.0f, 0.29f, 0.002f, 0.003f}, named("fp4"));
  CHECK(c.codes == Codes{3, 13, 4, 0, 7, 0, 1});  // middles: 0.2917 of 1/4 and 1/3, 0.0026 of 0 and 1/192
}

TEST_CASE("mxfp4: the scale is 2^(floor(log2 max|x|) - 2), halves go to the even code, the largest saturate") {
  std::vector<float> x(32, 0.0f);
  x[0] = 10.0f;
  x[1] = 1.0f;
  x[2] = -3.0f;
  const Coded c = code(x, named("mxfp4"));
  CHECK(c.encoded.scales == std::vector<float>{2.0f});
  CHECK(c.encoded.scale_codes == std::vector<std::uint8_t>{128});
  CHECK(c.codes[0] == 6);   // 10 / 2 = 5, between 4 (code 6) and 6 (code 7)
  CHECK(c.codes[1] == 1);   // 0.5
  CHECK(c.codes[2] == 11);  // -1.5
  x[0] = 13.0f;
  CHECK(code(x, named("mxfp4")).reals[0] == 12.0f);
  x[0] = std::nextafter(8.0f, 0.0f);  // an ulp below the next power of two
  CHECK(code(x, named("mxfp4")).encoded.scales[0] == 1.0f);
  x[0] = 8.0f;
  CHECK(code(x, named("mxfp4")).encoded.scales[0] == 2.0f);
}

TEST_CASE("mxfp6: steps of 1/8 below 2, then twice as long for each power of two, up to 7.5") {
  // max 7.5: the scale is 2^(2 - 2). Codes: sign, 2 exponent bits (bias 1), 3 mantissa bits.
  const std::vector<float> x = {7.5f, -7.5f, 0.375f, 1.0625f, 1.1875f, 0.0625f, 0.1875f, -7.25f, 5.0f, 0.0f};
  const Coded c = code(x, named("mxfp6"));
  CHECK(c.encoded.scales == std::vector<float>{1.0f});
  // 0.375 is a subnormal, three steps. Halves: 1.0625 to 1 (8, even), 1.1875 to 1.25 (10), 1/16 to 0, 3/16 to 1/4, 7.25 to 7.
  CHECK(c.codes == Codes{31, 63, 3, 8, 10, 0, 2, 32 + 30, 26, 0});
  CHECK(c.reals == std::vector<float>{7.5f, -7.5f, 0.375f, 1.0f, 1.25f, 0.0f, 0.25f, -7.0f, 5.0f, 0.0f});
  CHECK(code({7.9f, 1.0f}, named("mxfp6")).reals == std::vector<float>{7.5f, 1.0f});  // saturates
}

TEST_CASE("mxfp6_e3m2: steps of 1/16 below 1/2, then twice as long for each power of two, up to 28") {
  // max 28: the scale is 2^(4 - 4). Codes: sign, 3 exponent bits (bias 3), 2 mantissa bits.
  const std::vector<float> x = {28.0f, -28.0f, 0.125f, 0.1875f, 26.0f, 22.0f, 1.125f, 0.03125f, -0.09375f, 1.0f};
  const Coded c = code(x, named("mxfp6_e3m2"));
  CHECK(c.encoded.scales == std::vector<float>{1.0f});
  // 1/8 and 3/16 are subnormals. Halves: 26 to 24 (30, even), 22 to 24, 1.125 to 1 (12), 1/32 to 0, 3/32 to 1/8.
  CHECK(c.codes == Codes{31, 63, 2, 3, 30, 30, 12, 0, 32 + 2, 12});
  CHECK(c.reals == std::vector<float>{28.0f, -28.0f, 0.125f, 0.1875f, 24.0f, 24.0f, 1.0f, 0.0f, -0.125f, 1.0f});
  CHECK(code({31.0f, 1.0f}, named("mxfp6_e3m2")).reals == std::vector<float>{28.0f, 1.0f});
}

TEST_CASE("mxint8: steps of 2^(floor(log2 max|x|) - 6)") {
  const Coded c = code({1.9f, -0.5f}, named("mxint8"));
  CHECK(c.encoded.scales == std::vector<float>{0x1p-6f});
  CHECK(c.codes == Codes{122, -32});
}

TEST_CASE("nvfp4: block scales are f8e4m3fn codes of a tensor's scale") {
  std::vector<float> x(32, 0.0f);
  x[0] = 2688.0f;  // 6 * 448: the tensor's scale is 1
  x[16] = 12.0f;
  x[17] = 3.0f;
  const Coded c = code(x, named("nvfp4"));
  CHECK(c.encoded.super_scales == std::vector<float>{1.0f});
  CHECK(c.encoded.scales == std::vector<float>{448.0f, 2.0f});
  CHECK(c.encoded.scale_codes == std::vector<std::uint8_t>{0x7e, 0x40});
  CHECK(c.reals[0] == 2688.0f);
  CHECK(c.reals[17] == 3.0f);
}

TEST_CASE("two-level scales: 6-bit codes of an f16 scale for each 8 blocks") {
  TensorScheme scheme{.dtype = DType::i4,
                      .is_symmetric = true,
                      .narrow_range = true,
                      .grain = Grain::per_block,
                      .block_size = 2,
                      .scale_form = ScaleForm::u6};
  std::vector<float> x(18, 0.0f);
  x[0] = 63.0f * 7.0f;   // block 0: scale 63, code 63 of 1
  x[2] = 7.0f * 10.4f;   // block 1: 10.4, code 10
  x[4] = 7.0f * 0.2f;    // block 2: the least code is 1
  x[16] = 7.0f * 31.5f;  // block 8: a super-block of its own, of scale 31.5 / 63 = 0.5
  const EncodedTensor e = code(x, scheme).encoded;
  CHECK(e.super_scales == std::vector<float>{1.0f, 0.5f});
  CHECK(e.scale_codes[0] == 63);
  CHECK(e.scale_codes[1] == 10);
  CHECK(e.scale_codes[2] == 1);
  CHECK(e.scale_codes[8] == 63);
  CHECK(e.scales[1] == 10.0f);
  CHECK(e.scales[8] == 31.5f);
  // Blocks along the first axis: the two columns have super-blocks of their own.
  std::vector<float> columns(36, 0.0f);
  columns[0] = 63.0f * 7.0f;
  columns[1] = 63.0f * 14.0f;
  columns[33] = 63.0f * 21.0f;  // row 16, column 1: block 8
  const EncodedTensor two = code(columns, scheme, {18, 2}, 0).encoded;
  REQUIRE(two.super_scales.size() == 4);
  CHECK(two.super_scales[0] == 1.0f);  // blocks of zeros do not count
  CHECK(two.super_scales[1] == 2.0f);
  CHECK(two.super_scales[2] == 0x1p-24f);  // nothing but zeros
  CHECK(two.super_scales[3] == 3.0f);
  // Eight blocks are one super-block, not more: that of the next row follows.
  std::vector<float> rows(32, 0.0f);
  rows[0] = 63.0f * 7.0f;
  rows[16] = 63.0f * 14.0f;
  CHECK(code(rows, scheme, {2, 16}, 1).encoded.super_scales == std::vector<float>{1.0f, 2.0f});
}

TEST_CASE("power_of_two: 3 bits are 0 and +-1, 1/2, 1/4") {
  const Coded c = code({4.0f, 1.4f, -0.4f, -2.9f}, {.encoding = Encoding::power_of_two, .bits = 3});
  CHECK(c.encoded.levels == std::vector<float>{-1.0f, -0.5f, -0.25f, 0.0f, 0.25f, 0.5f, 1.0f});
  CHECK(c.reals == std::vector<float>{4.0f, 1.0f, 0.0f, -2.0f});
}

TEST_CASE("additive_power_of_two: 3 magnitude bits are sums of {0, 1/2, 1/4, 1/16} and {0, 1/8}, 4 are of two such terms") {
  const Coded c = code({5.0f, 3.0f, 1.2f}, {.encoding = Encoding::additive_power_of_two, .bits = 4});
  CHECK(c.reals[0] == 5.0f);
  CHECK(c.reals[1] == doctest::Approx(3.0f));
  CHECK(c.reals[2] == doctest::Approx(1.0f));
  const float expected[] = {0.0f, 0.1f, 0.2f, 0.3f, 0.4f, 0.6f, 0.8f, 1.0f};
  REQUIRE(c.encoded.levels.size() == 15);
  for (std::size_t i = 0; i < 8; ++i) CHECK(c.encoded.levels[7 + i] == doctest::Approx(expected[i]));
  // 5 bits: {0, 1/2, 1/8, 1/32} + {0, 1/4, 1/16, 1/64}, divided by 3/4.
  const LevelTable five = level_table(Encoding::additive_power_of_two, 5);
  REQUIRE(five.levels.size() == 31);
  CHECK(five.levels[16] == doctest::Approx(1.0 / 64.0 / 0.75));
  CHECK(five.levels[17] == doctest::Approx(1.0 / 32.0 / 0.75));
  CHECK(five.levels[18] == doctest::Approx(3.0 / 64.0 / 0.75));
  CHECK(five.levels[29] == doctest::Approx(0.5625 / 0.75));
  // 2 bits: 0 and +-1; 6 bits: an odd bit of 1/32, and last choices one lower (1/64, 1/128).
  CHECK(level_table(Encoding::additive_power_of_two, 2).levels == std::vector<float>{-1.0f, 0.0f, 1.0f});
  const LevelTable six = level_table(Encoding::additive_power_of_two, 6);
  REQUIRE(six.levels.size() == 63);
  CHECK(six.levels[32] * (0.5f + 0.25f + 0.03125f) == doctest::Approx(1.0 / 128.0));
}

TEST_CASE("ternary: threshold 0.7 mean|x|, scale the mean above it; mse takes the best threshold") {
  const Coded c = code({0.1f, -1.0f, 0.5f, -0.2f}, named("ternary"));
  CHECK(c.codes == Codes{2, 0, 2, 0});
  CHECK(c.encoded.scales == std::vector<float>{0.1f, 1.0f, 0.5f, 0.2f});  // per_channel: each value is a channel
  const Coded whole = code({0.1f, -1.0f, 0.5f, -0.2f}, {.encoding = Encoding::ternary});
  CHECK(whole.codes == Codes{1, 0, 2, 1});
  CHECK(whole.encoded.scales[0] == 0.75f);
  // Threshold 1.03 keeps 2.9 alone; keeping all four at 1.475 has the smaller error (34.81 / 4 > 8.41).
  const std::vector<float> spread = {2.9f, 1.0f, -1.0f, 1.0f};
  CHECK(code(spread, {.encoding = Encoding::ternary}).codes == Codes{2, 1, 1, 1});
  const Coded best = code(spread, {.encoding = Encoding::ternary, .clipping = CalibrationMethod::mse});
  CHECK(best.codes == Codes{2, 2, 0, 2});
  CHECK(best.encoded.scales[0] == doctest::Approx(1.475f));
  // And 3 alone is better than all four at 0.825: 9 > 10.89 / 4.
  const Coded alone = code({0.1f, 3.0f, -0.1f, 0.1f}, {.encoding = Encoding::ternary, .clipping = CalibrationMethod::mse});
  CHECK(alone.codes == Codes{1, 2, 1, 1});
}

TEST_CASE("ternary, mse: no other number of kept magnitudes has a smaller error") {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> x(1 + random() % 6);
    for (float& value : x) value = static_cast<float>(static_cast<int>(random() % 41) - 20);
    std::vector<double> magnitudes(x.begin(), x.end());
    double whole = 0.0;
    for (double& magnitude : magnitudes) whole += magnitude * magnitude, magnitude = std::abs(magnitude);
    std::sort(magnitudes.rbegin(), magnitudes.rend());
    double least = whole, sum = 0.0;
    for (std::size_t k = 0; k < magnitudes.size(); ++k) {
      sum += magnitudes[k];
      least = std::min(least, whole - sum * sum / static_cast<double>(k + 1));
    }
    TensorScheme scheme = named("ternary");
    scheme.clipping = CalibrationMethod::mse;
    scheme.grain = Grain::per_tensor;
    const Coded c = code(x, scheme);
    double error = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i)
      error += std::pow(static_cast<double>(x[i]) - static_cast<double>(c.reals[i]), 2.0);
    CAPTURE(x);
    REQUIRE(error <= least + 1e-4);
  }
}

TEST_CASE("ternary, mse: thresholds of many values, equal ones among them, are those that sorting all of them finds") {
  std::mt19937 random(8);
  for (const unsigned n_kinds : {1u, 3u, 50u, 1u << 20}) {
    CAPTURE(n_kinds);
    std::vector<float> x(60000);
    for (float& v : x) v = static_cast<float>(random() % n_kinds + 1) * (random() % 2 == 0 ? 0.25f : -0.25f);
    if (n_kinds > 3) std::fill_n(x.begin(), 20000, 0.0f);
    std::vector<double> sorted(x.size());
    std::transform(x.begin(), x.end(), sorted.begin(), [](float v) { return std::abs(static_cast<double>(v)); });
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = 0.0, most = 0.0, mean = 0.0;
    for (std::size_t k = 0; k < sorted.size(); ++k) {
      sum += sorted[k];
      if (k + 1 < sorted.size() && sorted[k + 1] == sorted[k]) continue;
      const double gain = sum * sum / static_cast<double>(k + 1);
      if (gain <= most) continue;
      most = gain;
      mean = sum / static_cast<double>(k + 1);
    }
    TensorScheme scheme{.encoding = Encoding::ternary, .clipping = CalibrationMethod::mse};
    CHECK(static_cast<double>(code(x, scheme).encoded.scales[0]) == doctest::Approx(mean).epsilon(1e-6));
  }
}

TEST_CASE("binary: the sign times the mean magnitude, 0 counts as positive") {
  const Coded c = code({1.0f, -2.0f, 3.0f, 0.0f, -0.0f, std::nanf("")}, {.encoding = Encoding::binary});
  CHECK(c.codes == Codes{1, 0, 1, 1, 1, 1});
  CHECK(c.encoded.scales[0] == doctest::Approx(6.0 / 5.0));  // NaN is left out
  CHECK(c.encoded.codes == UnsetBytes{0b111101});
}

TEST_CASE("kmeans: two clear clusters become their means; importance shifts them") {
  const std::vector<float> x = {0.0f, 0.0f, 1.0f, 10.0f, 11.0f, 12.0f};
  const Coded c = code(x, {.encoding = Encoding::kmeans, .n_entries = 2});
  CHECK(c.encoded.scheme.bits == 1);
  CHECK(c.encoded.levels[0] == doctest::Approx(1.0 / 3.0));
  CHECK(c.encoded.levels[1] == doctest::Approx(11.0));
  CHECK(c.codes == Codes{0, 0, 0, 1, 1, 1});
  const std::vector<float> importance = {1.0f, 1.0f, 2.0f, 1.0f, 1.0f, 6.0f};
  const Coded w = code(x, {.encoding = Encoding::kmeans, .n_entries = 2}, {6}, 0, {.importance = importance});
  CHECK(w.encoded.levels[0] == doctest::Approx(0.5));
  CHECK(w.encoded.levels[1] == doctest::Approx((10.0 + 11.0 + 72.0) / 8.0));
  // As many entries as values: no error.
  CHECK(code(x, {.encoding = Encoding::kmeans, .n_entries = 5}).reals == x);
}

TEST_CASE("kmeans: channels of an inner axis have codebooks of their own, wherever their values stand") {
  // [2, 2, 3]: channel 0 is 1 or 2, channel 1 is 10 or 20, in two stretches each.
  const std::vector<float> x = {1, 2, 2, 20, 10, 10, 2, 1, 2, 10, 20, 20};
  TensorScheme scheme{.encoding = Encoding::kmeans, .n_entries = 2};
  scheme.grain = Grain::per_channel;
  const Coded c = code(x, scheme, {2, 2, 3}, 1);
  CHECK(c.encoded.levels == std::vector<float>{1, 2, 10, 20});
  CHECK(c.codes == Codes{0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1});
  CHECK(c.reals == x);
}

TEST_CASE("f16, bf16: no scales, so that of a channel is none either") {
  for (const char* name : {"f16", "bf16"}) {
    TensorScheme scheme = named(name);
    scheme.grain = Grain::per_channel;
    const Coded c = code({1.0f, -2.0f, 0.5f, 1024.0f}, scheme, {2, 2}, 0);
    CHECK(std::holds_alternative<PerTensor>(c.encoded.granularity));
    CHECK(c.encoded.bits_per_weight() == 16.0);
    CHECK(c.reals == std::vector<float>{1.0f, -2.0f, 0.5f, 1024.0f});
  }
}

TEST_CASE("kmeans: every level ends as the mean of its values, wherever they lie") {
  TensorScheme scheme = named("kmeans16");
  scheme.n_entries = 2;
  scheme.bits = 1;
  scheme.grain = Grain::per_tensor;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<float> x(400);
    for (float& value : x) value = 30000.0f + static_cast<float>(random() % 1000) * 0.002f;
    const Coded c = code(x, scheme);
    for (std::int32_t level = 0; level < 2; ++level) {
      double sum = 0.0, n = 0.0;
      for (std::size_t i = 0; i < x.size(); ++i)
        if (c.codes[i] == level) sum += static_cast<double>(x[i]), n += 1.0;
      REQUIRE(n > 0.0);
      CHECK(std::abs(sum / n - static_cast<double>(c.encoded.levels[static_cast<std::size_t>(level)])) < 4e-3);
    }
  }
}

TEST_CASE("importance: one for each element, or for each index of an axis; any other number is refused") {
  // Only the first row counts: two levels hold it without error.
  const std::vector<float> x = {1.0f, 1.0f, 5.0f, 5.0f, 100.0f, 200.0f, 300.0f, 400.0f};
  TensorScheme scheme = named("kmeans16");
  scheme.n_entries = 2;
  scheme.bits = 1;
  scheme.grain = Grain::per_tensor;
  const auto levels = [&](const std::vector<float>& importance, std::int64_t axis) {
    EncodeOptions options;
    options.importance = importance;
    options.importance_axis = axis;
    std::vector<float> found = code(x, scheme, {2, 4}, 0, options).encoded.levels;
    std::sort(found.begin(), found.end());
    return found;
  };
  CHECK(levels({1.0f, 0.0f}, 0) == std::vector<float>{1.0f, 5.0f});
  CHECK(levels({1.0f, 1.0f, 1.0f, 1.0f, 0.0f, 0.0f, 0.0f, 0.0f}, 0) == std::vector<float>{1.0f, 5.0f});
  CHECK(levels({1.0f, 0.0f, 0.0f, 0.0f}, 1) == std::vector<float>{1.0f, 100.0f});
  CHECK_THROWS_AS(levels({1.0f, 0.0f, 0.0f}, 0), Error);
  CHECK_THROWS_AS(levels({1.0f, 0.0f}, 1), Error);
}

TEST_CASE("kmeans: one dimension's best codebook is found within a few per cent, and repeats with its seed") {
  std::mt19937 bits(3);
  std::vector<float> x(3000);
  for (float& v : x) v = static_cast<float>(bits() >> 8) * 0x1p-24f;
  const TensorScheme scheme{.encoding = Encoding::kmeans, .bits = 3};
  const Coded c = code(x, scheme);
  double error = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) error += std::pow(static_cast<double>(x[i]) - static_cast<double>(c.reals[i]), 2.0);
  // Uniform in [0, 1) with 8 levels: step^2 / 12 = 1 / 768.
  CHECK(error / 3000.0 < 1.05 / 768.0);
  CHECK(code(x, scheme).encoded.codes == c.encoded.codes);
}

TEST_CASE("binary_code: planes of alphas 3 and 1 say 4, 2, -2, -4 without error") {
  const std::vector<float> x = {4.0f, 2.0f, -2.0f, -4.0f, 4.0f};
  const Coded c = code(x, {.encoding = Encoding::binary_code, .bits = 2});
  CHECK(c.reals == x);
  CHECK(c.encoded.alphas[0] == doctest::Approx(3.0));
  CHECK(c.encoded.alphas[1] == doctest::Approx(1.0));
  CHECK(c.codes == Codes{3, 1, 2, 0, 3});  // bit p is the sign of plane p
  // One plane is the binary scheme.
  CHECK(code({1.0f, -2.0f, 3.0f}, {.encoding = Encoding::binary_code, .bits = 1}).encoded.alphas[0] == 2.0f);
}

TEST_CASE("binary_code: alternating least squares is not worse than the greedy planes it starts from") {
  std::mt19937 bits(9);
  std::vector<float> x(512);
  for (float& v : x) v = (static_cast<float>(bits() >> 8) + static_cast<float>(bits() >> 8)) * 0x1p-24f - 1.0f;
  for (int planes = 2; planes <= 4; ++planes) {
    std::vector<double> rest(x.begin(), x.end());
    for (int p = 0; p < planes; ++p) {
      double mean = 0.0;
      for (const double r : rest) mean += std::abs(r) / 512.0;
      for (double& r : rest) r -= r < 0.0 ? -mean : mean;
    }
    double greedy = 0.0;
    for (const double r : rest) greedy += r * r;
    const Coded c = code(x, {.encoding = Encoding::binary_code, .bits = planes});
    double found = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i)
      found += std::pow(static_cast<double>(x[i]) - static_cast<double>(c.reals[i]), 2.0);
    CHECK(found < greedy);
  }
}

TEST_CASE("product: two kinds of sub-vectors take two entries, with a shorter last one, along any axis") {
  const std::vector<float> x = {1.0f, 2.0f, 1.0f, 2.0f, 5.0f, 6.0f, 5.0f, 6.0f};
  const TensorScheme scheme{.encoding = Encoding::product, .n_entries = 2, .sub_vector = 2};
  const Coded c = code(x, scheme, {2, 4}, 1);
  CHECK(c.reals == x);
  CHECK(c.codes[0] == c.codes[1]);
  CHECK(c.codes[2] == c.codes[3]);
  CHECK(c.codes[0] != c.codes[2]);
  CHECK(c.encoded.stored_bits() == 4 * 1 + 4 * 32);
  const std::vector<float> transposed = {1.0f, 5.0f, 2.0f, 6.0f, 1.0f, 5.0f, 2.0f, 6.0f};
  CHECK(code(transposed, scheme, {4, 2}, 0).reals == transposed);
  const std::vector<float> tail = {1.0f, 2.0f, 3.0f, 1.0f, 2.0f, 3.0f};
  CHECK(code(tail, scheme, {2, 3}, 1).reals == tail);
  // A codebook of its own for each column: one entry a group would do.
  TensorScheme grouped = scheme;
  grouped.column_group = 1;
  const std::vector<float> four = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f};
  CHECK(code(four, grouped, {2, 4}, 1).reals == four);
  CHECK(code(four, grouped, {2, 4}, 1).encoded.levels.size() == 8);
  // The last group has fewer columns, and those of no other.
  grouped.column_group = 2;
  const std::vector<float> six = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 1.0f, 2.0f, 3.0f, 4.0f, 7.0f, 8.0f};
  CHECK(code(six, grouped, {2, 6}, 1).reals == six);
}

TEST_CASE("complete_scheme: codes of 8 bits are bytes, of 16 pairs of them") {
  CHECK(complete_scheme(named("f8e4m3fn")).dtype == DType::u8);
  CHECK(complete_scheme(named("bf16")).dtype == DType::u16);
}

TEST_CASE("complete_scheme: uniform codes are integers of at most 16 bits, whatever their bits") {
  CHECK_THROWS_WITH(complete_scheme({.dtype = DType::f8e4m3fn}), doctest::Contains("choose an integer type"));
  CHECK_THROWS_WITH(complete_scheme({.dtype = DType::i32, .bits = 8}), doctest::Contains("choose an integer type"));
  CHECK(complete_scheme({.dtype = DType::i16}).bits == 16);
}

TEST_CASE("complete_scheme: codes are held by the smallest type of their sign") {
  constexpr DType kSigned[] = {DType::i2, DType::i4, DType::i4, DType::i8, DType::i8, DType::i8, DType::i8};
  constexpr DType kUnsigned[] = {DType::u2, DType::u4, DType::u4, DType::u8, DType::u8, DType::u8, DType::u8};
  for (int bits = 2; bits <= 8; ++bits) {
    CHECK(complete_scheme({.dtype = DType::i8, .bits = bits}).dtype == kSigned[bits - 2]);
    CHECK(complete_scheme({.dtype = DType::u8, .bits = bits}).dtype == kUnsigned[bits - 2]);
    CHECK(complete_scheme({.encoding = Encoding::kmeans, .bits = bits}).dtype == kUnsigned[bits - 2]);
  }
  CHECK(complete_scheme({.dtype = DType::u8, .is_symmetric = false, .bits = 1}).dtype == DType::u2);
  CHECK(complete_scheme({.dtype = DType::i8, .bits = 16}).dtype == DType::i16);
  CHECK(complete_scheme({.dtype = DType::u8, .bits = 16}).dtype == DType::u16);
}

TEST_CASE("product: refinement lowers the error of the outputs and leaves the codes") {
  std::mt19937 bits(21);
  const auto next = [&] { return static_cast<float>(bits() >> 8) * 0x1p-23f - 1.0f; };
  std::vector<float> w(24 * 16);
  for (float& v : w) v = next();
  std::vector<float> samples(40 * 16);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = next() * (i % 16 < 4 ? 10.0f : 0.1f);
  const TensorScheme scheme{.encoding = Encoding::product, .n_entries = 8, .sub_vector = 4};
  const auto output_error = [&](const Coded& c) {
    double sum = 0.0;
    for (std::size_t row = 0; row < 24; ++row)
      for (std::size_t s = 0; s < 40; ++s) {
        double out = 0.0;
        for (std::size_t k = 0; k < 16; ++k)
          out += static_cast<double>(samples[s * 16 + k]) *
                 (static_cast<double>(w[row * 16 + k]) - static_cast<double>(c.reals[row * 16 + k]));
        sum += out * out;
      }
    return sum;
  };
  const Coded plain = code(w, scheme, {24, 16}, 1);
  const Coded refined = code(w, scheme, {24, 16}, 1, {.samples = samples});
  CHECK(refined.encoded.codes == plain.encoded.codes);
  CHECK(output_error(refined) < 0.8 * output_error(plain));
}

TEST_CASE("product: outputs of a convolution sum the errors of its whole kernel") {
  // [2, 2, 2]: at both places of the kernel output 0 has sub-vectors (1, 0), (3, 0), output 1 (101, 0), (103, 0). Means: 2 and 102.
  const TensorScheme scheme{.encoding = Encoding::product, .n_entries = 2, .sub_vector = 2};
  const std::vector<float> w = {1.0f, 3.0f, 0.0f, 0.0f, 101.0f, 103.0f, 0.0f, 0.0f};
  std::vector<float> samples(5 * 4, 0.0f);  // [sample, channel, place]; the last one decides
  samples[16] = 3.0f;
  samples[17] = 1.0f;
  const auto refined = code(w, scheme, {2, 2, 2}, 1, {.samples = samples, .sample_window = 2}).reals;
  // Least of (3 (1 - a) + 1 (3 - a))^2 + d (3^2 (1 - a)^2 + 1^2 (3 - a)^2) for a damping d of 0.01.
  const double a = (24.0 + 12.0 * 0.01) / (16.0 + 10.0 * 0.01);
  for (const std::size_t i : {0, 1}) {
    CHECK(static_cast<double>(refined[i]) == doctest::Approx(a).epsilon(1e-5));
    CHECK(static_cast<double>(refined[4 + i]) == doctest::Approx(100.0 + a).epsilon(1e-5));
  }
  // Each place for an output of its own: (1 - a)^2 and (3 - a)^2 weigh the same.
  const std::vector<float> of_places = {3.0f, 0.0f};
  CHECK(code(w, scheme, {2, 2, 2}, 1, {.samples = of_places}).reals[0] == doctest::Approx(2.0));
  CHECK_THROWS_WITH_AS(code(w, scheme, {2, 2, 2}, 1, {.samples = of_places, .sample_window = 2}), doctest::Contains("rows of 4"),
                       Error);
}

TEST_CASE("product: importance makes entries weighted means and leaves the codes") {
  // Two far clusters of sub-vectors: the entries are their means, (2, 4) and (102, 104).
  const TensorScheme scheme{.encoding = Encoding::product, .n_entries = 2, .sub_vector = 2};
  const std::vector<float> w = {1.0f, 2.0f, 3.0f, 6.0f, 101.0f, 102.0f, 103.0f, 106.0f};
  const Coded plain = code(w, scheme, {4, 2}, 1);
  CHECK(plain.reals == std::vector<float>{2.0f, 4.0f, 2.0f, 4.0f, 102.0f, 104.0f, 102.0f, 104.0f});
  const std::vector<float> of_elements = {1.0f, 1.0f, 3.0f, 0.0f, 0.0f, 2.0f, 0.0f, 6.0f};
  const Coded weighed = code(w, scheme, {4, 2}, 1, {.importance = of_elements});
  CHECK(weighed.codes == plain.codes);
  // (1 * 1 + 3 * 3) / 4, 2 / 1; nobody weighs the third place; (2 * 102 + 6 * 106) / 8
  CHECK(weighed.reals == std::vector<float>{2.5f, 2.0f, 2.5f, 2.0f, 102.0f, 105.0f, 102.0f, 105.0f});
  // One for each column weighs all rows alike; one for each row weighs rows.
  const std::vector<float> of_columns = {5.0f, 0.0f};
  CHECK(code(w, scheme, {4, 2}, 1, {.importance = of_columns, .importance_axis = 1}).reals == plain.reals);
  const std::vector<float> of_rows = {1.0f, 3.0f, 1.0f, 0.0f};
  CHECK(code(w, scheme, {4, 2}, 1, {.importance = of_rows, .importance_axis = 0}).reals ==
        std::vector<float>{2.5f, 5.0f, 2.5f, 5.0f, 101.0f, 102.0f, 101.0f, 102.0f});
}

TEST_CASE("rounding: floor, and floor plus a mask") {
  const std::vector<float> x = {7.0f, 0.9f, -0.1f, 1.0f, 2.5f, std::nanf("")};
  CHECK(code(x, unit_steps(Rounding::nearest_even)).codes == Codes{7, 1, 0, 1, 2, 0});
  CHECK(code(x, unit_steps(Rounding::floor)).codes == Codes{7, 0, -1, 1, 2, 0});
  const std::vector<std::uint8_t> mask = {1, 0, 1, 0, 1, 0};
  CHECK(code(x, unit_steps(Rounding::mask), {6}, 0, {.rounding_mask = mask}).codes == Codes{7, 0, 0, 1, 3, 0});
  const std::vector<std::uint8_t> bits = {0b010101};
  CHECK(code(x, unit_steps(Rounding::mask), {6}, 0, {.rounding_mask = bits}).codes == Codes{7, 0, 0, 1, 3, 0});
  TensorScheme wide{.dtype = DType::i16, .is_symmetric = true, .narrow_range = true, .rounding = Rounding::floor};
  CHECK(code({32767.0f, -1.5f}, wide).codes == Codes{32767, -2});
}

TEST_CASE("scale forms: f16 rounds the scale, and codes follow the rounded one") {
  const Coded c =
      code({0.7f, -0.05f}, {.dtype = DType::i4, .is_symmetric = true, .narrow_range = true, .scale_form = ScaleForm::f16});
  CHECK(c.encoded.scales[0] == f16_to_f32(f32_to_f16(0.1f)));
  CHECK(c.codes == Codes{7, -1});  // -0.05 / 0.09998 = -0.50010
  // Asymmetric with powers of two: the zero point is that of the stored scale. [-1, 2] is 3 wide: 2^(1 - 3) = 1/4.
  const Coded u = code({-1.0f, 2.0f}, {.dtype = DType::u4, .scale_form = ScaleForm::e8m0});
  CHECK(u.encoded.scales[0] == 0.25f);
  CHECK(u.encoded.zero_points[0] == 4);
  CHECK(u.codes == Codes{0, 12});
}

TEST_CASE("channel groups: neighbouring channels share a scale, the last group may be smaller") {
  TensorScheme scheme{
      .dtype = DType::i8, .is_symmetric = true, .narrow_range = true, .grain = Grain::per_channel, .channel_group = 2};
  CHECK(code({127.0f, -254.0f, 12.7f}, scheme).encoded.scales == std::vector<float>{2.0f, 0.1f});
  CHECK(code({127.0f, 1.0f, 1.0f, 254.0f, 0.5f, 12.7f}, scheme, {2, 3}, 1).encoded.scales == std::vector<float>{2.0f, 0.1f});
}

TEST_CASE("per_token: a scale for each row") {
  TensorScheme scheme{.dtype = DType::i8, .is_symmetric = true, .narrow_range = true, .grain = Grain::per_token};
  CHECK(code({127.0f, 1.0f, 1.0f, 254.0f}, scheme, {2, 2}, 0).encoded.scales == std::vector<float>{1.0f, 2.0f});
}

TEST_CASE("clipping percentile: at least that share of the magnitudes is kept") {
  TensorScheme scheme{.dtype = DType::i8,
                      .is_symmetric = true,
                      .narrow_range = true,
                      .clipping = CalibrationMethod::percentile,
                      .percentile = 80.0};
  const std::vector<float> x = {1, -2, 3, -4, 5, -6, 7, -8, 9, 127};
  CHECK(code(x, scheme).encoded.scales[0] == doctest::Approx(8.0 / 127.0));
  scheme.percentile = 100.0;
  CHECK(code(x, scheme).encoded.scales[0] == 1.0f);
}

TEST_CASE("clip_ratio: both ends of the range are shortened") {
  TensorScheme scheme{.dtype = DType::u8, .is_symmetric = false};
  scheme.grain = Grain::per_tensor;
  scheme.clip_ratio = 0.5;
  const Coded c = code({-1.0f, 3.0f, 0.25f, -0.5f}, scheme);
  CHECK(c.encoded.scales[0] == 2.0f / 255.0f);
  CHECK(c.encoded.zero_points[0] == 64);
  CHECK(c.codes == Codes{0, 255, 96, 0});
}

TEST_CASE("clip_ratio: in blocks too, whatever their codes and however scales are stored") {
  const std::vector<float> x = {-7.0f, 1.0f, 3.5f, 0.0f, 14.0f, -2.0f, 7.0f, 0.5f};
  TensorScheme scheme{.dtype = DType::i4, .is_symmetric = true, .narrow_range = true, .clip_ratio = 0.5};
  scheme.grain = Grain::per_block;
  scheme.block_size = 4;
  for (const ScaleForm form : {ScaleForm::f32, ScaleForm::f16}) {
    scheme.scale_form = form;
    const Coded c = code(x, scheme, {1, 8}, 1);
    CHECK(c.encoded.scales == std::vector<float>{0.5f, 1.0f});
    CHECK(c.reals == std::vector<float>{-3.5f, 1.0f, 3.5f, 0.0f, 7.0f, -2.0f, 7.0f, 0.0f});
  }
  TensorScheme levels = named("nf4");
  levels.block_size = 4;
  levels.clip_ratio = 0.5;
  CHECK(code(x, levels, {1, 8}, 1).encoded.scales == std::vector<float>{3.5f, 7.0f});
}

TEST_CASE("scales: the reals of the largest floats stay finite") {
  const float most = std::numeric_limits<float>::max();
  for (const NamedScheme& scheme : named_schemes()) {
    CAPTURE(scheme.name);
    float x = most;
    for (int i = 0; i < 40; ++i, x = std::nextafter(x, 0.0f)) {
      const std::vector<float> values(64, x);
      const Coded c = code(values, scheme.scheme);
      if (c.encoded.scales.empty()) break;  // float16 has infinities, codebooks are fitted to what there is
      REQUIRE(std::all_of(c.reals.begin(), c.reals.end(), [](float real) { return std::isfinite(real); }));
    }
  }
}

TEST_CASE("scales: of the largest floats, as far as they may go") {
  const float most = std::numeric_limits<float>::max();
  const std::vector<float> values(32, most);
  // 2^-20 of the largest float is left for rounding.
  CHECK(code(values, named("nf4")).encoded.scales[0] == static_cast<float>(static_cast<double>(most) * (1.0 - 0x1p-20)));
  // 6 * 2^124 is finite, 6 * 2^125 is not; of smaller values the exponent is their own.
  CHECK(code(values, named("mxfp4")).encoded.scales[0] == 0x1p124f);
  CHECK(code(std::vector<float>(32, 0x1p126f), named("mxfp4")).encoded.scales[0] == 0x1p124f);
  CHECK(code(std::vector<float>(32, 0x1p125f), named("mxfp4")).encoded.scales[0] == 0x1p123f);
}

TEST_CASE("scales as powers of two: by what the codes of a type reach") {
  const auto scale_of = [](std::vector<float> x, DType dtype, bool is_symmetric) {
    TensorScheme scheme{.dtype = dtype, .is_symmetric = is_symmetric, .narrow_range = false, .scale_form = ScaleForm::e8m0};
    scheme.grain = Grain::per_block;
    scheme.block_size = 4;
    return code(std::move(x), scheme, {1, 4}, 1).encoded.scales[0];
  };
  // 2^(exponent of the largest - exponent of the largest code from the zero point): 15 of 4 bits, 127 of 8 on either side of 128.
  CHECK(scale_of({0.0f, 15.0f, 1.0f, 2.0f}, DType::i4, false) == 1.0f);
  CHECK(scale_of({0.0f, 15.0f, 1.0f, 2.0f}, DType::u4, false) == 1.0f);
  CHECK(scale_of({-100.0f, 15.0f, 127.0f, 2.0f}, DType::u8, true) == 1.0f);
  CHECK(scale_of({-100.0f, 15.0f, 127.0f, 2.0f}, DType::i8, true) == 1.0f);
  CHECK(scale_of({-100.0f, 15.0f, 128.0f, 2.0f}, DType::u8, true) == 2.0f);
}

TEST_CASE("binary_code: every scale has planes of its own") {
  TensorScheme scheme{.encoding = Encoding::binary_code, .bits = 2};
  scheme.grain = Grain::per_channel;
  const Coded c = code({4, 2, -2, -4, 40, 20, -20, -40, 0.4f, 0.2f, -0.2f, -0.4f}, scheme, {3, 4}, 0);
  REQUIRE(c.encoded.alphas.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    const double sizes[] = {1.0, 10.0, 0.1};
    CHECK(static_cast<double>(c.encoded.alphas[i]) == doctest::Approx((i % 2 == 0 ? 3.0 : 1.0) * sizes[i / 2]));
  }
}

TEST_CASE("clipping aciq: the published multiples of spread and deviation") {
  const double laplace[] = {2.83, 3.89, 5.03, 6.20, 7.41, 8.64, 9.89};
  const double gaussian[] = {1.71, 2.15, 2.55, 2.93, 3.28, 3.61, 3.92};
  for (int bits = 2; bits <= 8; ++bits) {
    CHECK(aciq_range({0.0, 1.0, 5.0}, bits, true).rmax == doctest::Approx(laplace[bits - 2]).epsilon(0.003));
    CHECK(aciq_range({0.0, 5.0, 1.0}, bits, false).rmax == doctest::Approx(gaussian[bits - 2]).epsilon(0.005));
  }
  CHECK(aciq_range({1.0, 1.0, 1.0}, 4, true).rmax == doctest::Approx(6.03).epsilon(0.003));
  CHECK(aciq_range({1.0, 1.0, 1.0}, 4, true).rmin == doctest::Approx(-4.03).epsilon(0.003));
  const std::vector<float> x = {1.0f, 3.0f, 5.0f, 7.0f};
  const Moments m = moments_of([&](auto&& take) { take(x); });
  CHECK(m.mean == 4.0);
  CHECK(m.mean_distance == 2.0);
  CHECK(m.deviation == doctest::Approx(std::sqrt(5.0)));
}

TEST_CASE("moments_of: values of a histogram lie in the middle of their bins") {
  const std::vector<std::uint64_t> counts = {1, 0, 2, 1};
  const Moments m = moments_of({.counts = counts, .width = 4.0, .zero = 1, .total = 4});  // -2, 6, 6 and 10
  CHECK(m.mean == 5.0);
  CHECK(m.mean_distance == 3.5);
  CHECK(m.deviation == doctest::Approx(std::sqrt(19.0)));
}

TEST_CASE("clipping: each method narrows the range of 4-bit Laplace weights, and mse has the least error") {
  std::mt19937 bits(5);
  std::vector<float> x(4096);
  for (float& v : x) {
    const double u = (static_cast<double>(bits()) + 0.5) * 0x1p-32 - 0.5;
    v = static_cast<float>((u < 0 ? 1.0 : -1.0) * std::log(1.0 - 2.0 * std::abs(u)));
  }
  TensorScheme scheme{.dtype = DType::i4, .is_symmetric = true};
  const auto error = [&](CalibrationMethod method) {
    scheme.clipping = method;
    const Coded c = code(x, scheme);
    double sum = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(static_cast<double>(x[i]) - static_cast<double>(c.reals[i]), 2.0);
    return sum;
  };
  const double whole = error(CalibrationMethod::min_max);
  const double least = error(CalibrationMethod::mse);
  for (const auto method : {CalibrationMethod::percentile, CalibrationMethod::entropy, CalibrationMethod::aciq_laplace,
                            CalibrationMethod::aciq_gaussian}) {
    scheme.percentile = 99.5;
    CAPTURE(static_cast<int>(method));
    const double found = error(method);
    CHECK(found < whole);
    CHECK(found >= 0.999 * least);
  }
}

TEST_CASE("bits_per_weight: scales, zero points, super-blocks and codebooks count") {
  const std::vector<float> x(512, 1.0f);
  const auto of = [&](const char* name) { return encode_tensor(x, {512}, named(name), 0).bits_per_weight(); };
  CHECK(of("i4_b32") == 5.0);
  CHECK(of("u4_b32") == 5.0 + 4.0 / 32.0);
  CHECK(of("nf4") == 4.5);
  CHECK(of("mxfp4") == 4.25);
  CHECK(of("mxfp6") == 6.25);
  CHECK(of("nvfp4") == 4.5 + 32.0 / 512.0);
  CHECK(of("k4") == 4.0 + 6.0 / 32.0 + 16.0 / 256.0 + 4.0 / 32.0);
  CHECK(of("f16") == 16.0);
  CHECK(of("kmeans256") == 8.0 + 256.0 * 32.0 / 512.0);
  CHECK(of("bcq2") == 3.0);
  CHECK(of("pq8") == 1.0 + 256.0 * 8.0 * 32.0 / 512.0);
  CHECK(encode_tensor({}, {0}, named("nf4"), 0).bits_per_weight() == 0.0);
}

TEST_CASE("packing: what goes in comes out, at every width and offset, without touching bytes beyond") {
  std::mt19937 random(1);
  for (int bits = 1; bits <= 8; ++bits)
    for (const std::size_t n : {0u, 1u, 2u, 7u, 8u, 9u, 33u}) {
      Codes codes(n);
      for (auto& c : codes) c = static_cast<std::int32_t>(random() & ((1u << bits) - 1));
      UnsetBytes packed = pack_codes(codes, bits);
      REQUIRE(packed.size() == (n * static_cast<std::size_t>(bits) + 7) / 8);
      for (std::size_t first = 0; first <= n; ++first) {
        UnsetBytes out(n - first + 1, 0xee);
        unpack(packed.data(), bits, first, n - first, out.data());
        for (std::size_t i = first; i < n; ++i) REQUIRE(out[i - first] == codes[i]);
        REQUIRE(out.back() == 0xee);
        // Into bytes that others have filled: they keep their bits.
        UnsetBytes filled = pack_codes(Codes(n + 1, (1 << bits) - 1), bits);
        const UnsetBytes before = filled;
        set_codes(filled.data(), bits, first, n - first, out.data());
        for (std::size_t i = 0; i < n + 1; ++i)
          REQUIRE(code_in(filled.data(), bits, i) == (i < first || i == n ? (1 << bits) - 1 : codes[i]));
        UnsetBytes ones(n - first + 1, 0xff);
        set_codes(filled.data(), bits, first, n - first, ones.data());
        REQUIRE(filled == before);
      }
    }
  CHECK(pack_codes(Codes{1, 2, 3}, 3) == UnsetBytes{0b11'010'001, 0b0});
  CHECK(pack_codes(Codes{-2, 300}, 16) == UnsetBytes{0xfe, 0xff, 0x2c, 0x01});
  CHECK_THROWS_AS(pack_codes(Codes{1}, 9), Error);
}

TEST_CASE("small floats: four lanes round every pattern as the scalar twin does") {
  for (const Encoding encoding : {Encoding::f8e4m3fn, Encoding::f8e5m2, Encoding::f6e2m3, Encoding::f6e3m2, Encoding::f4e2m1}) {
    const LevelTable table = level_table(encoding, encoding_info(encoding).usual_bits);
    for (std::uint64_t pattern = 0; pattern < (std::uint64_t{1} << 32); pattern += 40009) {
      const float x = std::bit_cast<float>(static_cast<std::uint32_t>(pattern));
      std::uint8_t fast = 0;
      codes_of(table, &x, 1, &fast);
      if (fast != code_of(table, x)) FAIL(encoding_info(encoding).name, " ", x);
    }
  }
}

TEST_CASE("clip_ratio: what lies far beyond a narrowed range takes its ends") {
  // -1 is -7 * 2^21 or -127 * 2^17 steps below 0, and so -1.75 or -1.98 times 2^23: where rounding by a sum with 1.5 * 2^23 breaks down.
  for (const auto& [name, ratio, top] : {std::tuple("i4_b32", 0x1p-21, 7), std::tuple("i8_b32", 0x1p-17, 127)}) {
    TensorScheme scheme = named(name);
    scheme.clip_ratio = ratio;
    std::vector<float> x(64, 0.0f);
    x[1] = 1.0f;
    x[2] = -1.0f;
    x[3] = 0.5f;
    x[41] = -1.0f;
    const Codes codes = code(x, scheme).codes;
    const std::int32_t bottom = codes[41];
    CHECK((bottom == -top || bottom == -top - 1));
    CHECK(Codes(codes.begin(), codes.begin() + 5) == Codes{0, top, bottom, top, 0});
  }
}
