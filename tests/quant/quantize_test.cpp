#include "quant/quantize.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base/error.h"
#include "quant/reference.h"

using namespace bitwright;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_values(std::size_t n, std::uint32_t seed, bool with_specials) {
  std::mt19937 bits(seed);
  std::vector<float> values(n);
  const float specials[] = {0.0f,  -0.0f,  kInfinity, -kInfinity, std::nanf(""), 1e-42f, -1e-42f,
                            3e38f, -3e38f, 0.5f,      -0.5f,      1.5f,          2.5f};
  for (float& value : values) {
    value = (static_cast<float>(bits() >> 8) * 0x1p-24f - 0.4f) * 10.0f;
    if (with_specials && bits() % 7 == 0) value = specials[bits() % std::size(specials)];
  }
  return values;
}

QuantParams random_params(DType dtype, Granularity granularity, const Shape& shape, std::uint32_t seed) {
  std::mt19937 bits(seed);
  QuantParams params{dtype, code_range(dtype), granularity, {}, {}};
  const auto n_scales = n_elements(scale_shape(granularity, shape));
  const auto n_codes = static_cast<std::uint32_t>(params.range.qmax - params.range.qmin + 1);
  for (std::int64_t i = 0; i < n_scales; ++i) {
    params.scales.push_back(static_cast<float>(bits() % 1000 + 1) * 1e-3f);
    params.zero_points.push_back(params.range.qmin + static_cast<std::int32_t>(bits() % n_codes));
  }
  return params;
}

std::vector<MinMax> scan_each(std::span<const float> values, const Shape& shape, const Granularity& granularity) {
  std::vector<MinMax> found;
  scan_min_max(values, scale_layout(granularity, shape), static_cast<std::size_t>(n_elements(scale_shape(granularity, shape))),
               [&](std::size_t first, std::span<const MinMax> ends) {
                 REQUIRE(first == found.size());
                 found.insert(found.end(), ends.begin(), ends.end());
               });
  return found;
}

struct Case {
  Shape shape;
  Granularity granularity;
};

std::vector<Case> layouts() {
  std::vector<Case> cases;
  for (const std::int64_t n : {0, 1, 3, 4, 5, 15, 16, 17, 31, 33, 64, 1025, 2100}) cases.push_back({{n}, PerTensor{}});
  for (const std::int64_t axis : {0, 1, 2}) {
    cases.push_back({{3, 17, 5}, PerChannel{axis}});
    cases.push_back({{3, 17, 5}, PerChannelGroup{axis, 2}});
    cases.push_back({{3, 17, 5}, PerBlock{axis, 4}});
    cases.push_back({{2, 33, 1}, PerBlock{axis, 32}});
    cases.push_back({{1, 2, 1500}, PerChannel{axis}});
  }
  cases.push_back({{2, 5, 1100}, PerBlock{1, 2}});
  cases.push_back({{1100, 5}, PerBlock{1, 2}});
  cases.push_back({{2, 1100, 3}, PerChannelGroup{1, 1}});
  cases.push_back({{4, 70}, PerBlock{1, 32}});
  cases.push_back({{70, 4}, PerBlock{0, 100}});
  cases.push_back({{6, 19}, PerToken{}});
  cases.push_back({{}, PerTensor{}});
  cases.push_back({{0, 3}, PerChannel{0}});
  cases.push_back({{3, 0}, PerChannel{0}});
  return cases;
}

constexpr DType kCodeTypes[] = {DType::u8, DType::i8, DType::u16, DType::i16, DType::u4, DType::i4, DType::u2, DType::i2};

}  // namespace

TEST_CASE("quantize: halves go to the even code, ends saturate, NaN is the zero point") {
  const std::vector<float> x = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1000.0f, -1000.0f, kInfinity, -kInfinity, std::nanf(""), -0.0f};
  const QuantParams params{DType::u8, {0, 255}, PerTensor{}, {1.0f}, {10}};
  std::vector<std::uint8_t> codes(x.size());
  quantize(x, {11}, params, codes);
  CHECK(codes == std::vector<std::uint8_t>{10, 12, 12, 10, 8, 255, 0, 255, 0, 10, 10});
}

TEST_CASE("quantize: divides by the scale instead of multiplying with its inverse") {
  // 0.15f / 0.1f is 1.5 in float and goes to 2; 0.15f * (1 / 0.1f) is 1.5000001. 0.35f / 0.1f = 3.4999998 goes to 3.
  const std::vector<float> x = {0.15f, 0.35f};
  std::vector<std::uint8_t> codes(2);
  quantize(x, {2}, {DType::i8, {-128, 127}, PerTensor{}, {0.1f}, {0}}, codes);
  for (std::size_t i = 0; i < 2; ++i) CHECK(codes[i] == static_cast<std::uint8_t>(std::nearbyint(x[i] / 0.1f)));
}

TEST_CASE("quantize: codes of 4 and 2 bits are packed with the first element in the low bits") {
  const std::vector<float> x = {1.0f, -2.0f, 7.0f, -8.0f, 3.0f};
  std::vector<std::uint8_t> four(3, 0xff);
  quantize(x, {5}, {DType::i4, {-8, 7}, PerTensor{}, {1.0f}, {0}}, four);
  CHECK(four == std::vector<std::uint8_t>{0xe1, 0x87, 0x03});
  std::vector<std::uint8_t> two(2, 0xff);
  quantize(x, {5}, {DType::i2, {-2, 1}, PerTensor{}, {1.0f}, {0}}, two);
  CHECK(two == std::vector<std::uint8_t>{0b10'01'10'01, 0b01});
}

TEST_CASE("quantize, dequantize: equal to the reference in every bit, for each type and granularity") {
  std::uint32_t seed = 1;
  for (const auto& layout : layouts()) {
    const Shape& shape = layout.shape;  // clang 14 cannot capture structured bindings
    const Granularity& granularity = layout.granularity;
    for (const DType dtype : kCodeTypes) {
      CAPTURE(to_string(shape));
      CAPTURE(to_string(granularity));
      CAPTURE(dtype_name(dtype));
      const std::vector<float> x = random_values(static_cast<std::size_t>(n_elements(shape)), ++seed, true);
      const QuantParams params = random_params(dtype, granularity, shape, ++seed);
      const auto n_bytes = static_cast<std::size_t>(packed_bytes(dtype, x.size()));
      std::vector<std::uint8_t> fast(n_bytes, 0xaa);
      std::vector<std::uint8_t> slow(n_bytes, 0x55);
      quantize(x, shape, params, fast);
      reference::quantize(x, shape, params, slow);
      REQUIRE(fast == slow);
      std::vector<float> fast_reals(x.size());
      std::vector<float> slow_reals(x.size());
      dequantize(fast, shape, params, fast_reals);
      reference::dequantize(slow, shape, params, slow_reals);
      REQUIRE((x.empty() || std::memcmp(fast_reals.data(), slow_reals.data(), x.size() * sizeof(float)) == 0));
    }
  }
}

TEST_CASE("quantize: quantizing dequantized codes gives the codes back, and stays within half a step inside the range") {
  std::uint32_t seed = 100;
  for (int round = 0; round < 500; ++round) {
    const DType dtype = kCodeTypes[round % std::size(kCodeTypes)];
    const Shape shape = {3, 37};
    const std::vector<float> x = random_values(111, ++seed, false);
    const QuantParams params = random_params(dtype, PerChannel{0}, shape, ++seed);
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(packed_bytes(dtype, x.size())));
    quantize(x, shape, params, codes);
    std::vector<float> reals(x.size());
    dequantize(codes, shape, params, reals);
    std::vector<std::uint8_t> again(codes.size());
    quantize(reals, shape, params, again);
    REQUIRE(again == codes);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto channel = i / 37;
      const float scale = params.scales[channel];
      const float low = scale * static_cast<float>(params.range.qmin - params.zero_points[channel]);
      const float high = scale * static_cast<float>(params.range.qmax - params.zero_points[channel]);
      if (x[i] >= low && x[i] <= high) REQUIRE(std::abs(x[i] - reals[i]) <= scale * 0.5001f);
    }
  }
}

TEST_CASE("quantize: wrong sizes and other types are refused") {
  const std::vector<float> x(4);
  std::vector<std::uint8_t> codes(4);
  CHECK_THROWS_AS(quantize(x, {5}, {DType::u8, {0, 255}, PerTensor{}, {1.0f}, {0}}, codes), Error);
  CHECK_THROWS_AS(quantize(x, {4}, {DType::u8, {0, 255}, PerChannel{0}, {1.0f}, {0}}, codes), Error);
  CHECK_THROWS_AS(quantize(x, {4}, {DType::f16, {0, 255}, PerTensor{}, {1.0f}, {0}}, codes), Error);
}

TEST_CASE("dequantize: int32 codes of a bias") {
  const std::int32_t codes[] = {5, -7, 2147483647};
  std::vector<std::uint8_t> bytes(12);
  std::memcpy(bytes.data(), codes, 12);
  std::vector<float> reals(3);
  dequantize(bytes, {3}, {DType::i32, code_range(DType::i32), PerChannel{0}, {0.5f, 2.0f, 1.0f}, {0, 0, 0}}, reals);
  CHECK(reals == std::vector<float>{2.5f, -14.0f, 2147483648.0f});
}

TEST_CASE("scan_min_max: equal to the reference for each granularity, with and without values that are not finite") {
  std::uint32_t seed = 1000;
  for (const auto& layout : layouts()) {
    const Shape& shape = layout.shape;  // clang 14 cannot capture structured bindings
    const Granularity& granularity = layout.granularity;
    for (const bool with_specials : {false, true}) {
      CAPTURE(to_string(shape));
      CAPTURE(to_string(granularity));
      const std::vector<float> x = random_values(static_cast<std::size_t>(n_elements(shape)), ++seed, with_specials);
      const auto fast = scan_each(x, shape, granularity);
      const auto slow = reference::scan_min_max(x, shape, granularity);
      REQUIRE(fast.size() == slow.size());
      for (std::size_t i = 0; i < fast.size(); ++i) {
        REQUIRE(fast[i].rmin == slow[i].rmin);
        REQUIRE(fast[i].rmax == slow[i].rmax);
        REQUIRE(fast[i].n_not_finite == slow[i].n_not_finite);
        REQUIRE_FALSE(std::signbit(fast[i].rmin + 0.0f) != std::signbit(slow[i].rmin));
      }
    }
  }
}

TEST_CASE("scan_min_max: ends are never -0") {
  const std::vector<float> x = {-0.0f, -0.0f, -0.0f, -0.0f};
  for (const Granularity& granularity : {Granularity(PerTensor{}), Granularity(PerChannel{0}), Granularity(PerChannel{1})})
    for (const MinMax& ends : scan_each(x, {2, 2}, granularity)) {
      CHECK(!std::signbit(ends.rmin));
      CHECK(!std::signbit(ends.rmax));
    }
  const MinMax whole = scan_min_max(x);
  CHECK_FALSE(std::signbit(whole.rmin));
  CHECK_FALSE(std::signbit(whole.rmax));
}

TEST_CASE("scan_min_max: NaN only, nothing, and one infinity") {
  const std::vector<float> nans(9, std::nanf(""));
  CHECK_FALSE(scan_min_max(nans).has_finite());
  CHECK(scan_min_max(nans).n_not_finite == 9);
  CHECK(scan_min_max(nans).range().rmax == 0.0f);
  CHECK_FALSE(scan_min_max({}).has_finite());
  std::vector<float> x(40, 2.0f);
  x[21] = -kInfinity;
  x[22] = 1.0f;
  CHECK(scan_min_max(x).rmin == 1.0f);
  CHECK(scan_min_max(x).n_not_finite == 1);
}

TEST_CASE("scan_min_max: channels side by side that hold nothing finite are counted") {
  std::vector<float> x(18, std::nanf(""));  // two rows of nine channels
  for (const MinMax& ends : scan_each(x, {2, 9}, PerChannel{1})) {
    CHECK_FALSE(ends.has_finite());
    CHECK(ends.n_not_finite == 2);
  }
  x[3] = kInfinity;
  x[14] = 5.0f;
  const auto found = scan_each(x, {2, 9}, PerChannel{1});
  CHECK(found[3].n_not_finite == 2);
  CHECK(found[5].n_not_finite == 1);
  CHECK(found[5].rmin == 5.0f);
}

TEST_CASE("quantize: codes of floats and of more than 16 bits are refused, though they would fit") {
  const std::vector<float> values = {1.0f, 2.0f};
  for (const DType dtype : {DType::f16, DType::f8e4m3fn, DType::i32, DType::f32}) {
    CAPTURE(dtype_name(dtype));
    std::vector<std::uint8_t> codes(packed_bytes(dtype, 2));
    try {
      quantize(values, {2}, {dtype, {0, 127}, PerTensor{}, {1.0f}, {0}}, codes);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::unsupported);
    }
  }
}
