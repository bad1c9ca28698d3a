#include "quant/quant_params.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "quant/recipe.h"

using namespace bitwright;

TEST_CASE("code_range: codes of every width, signed, unsigned and narrow") {
  CHECK(code_range(8, true, false) == CodeRange{-128, 127});
  CHECK(code_range(8, true, true) == CodeRange{-127, 127});
  CHECK(code_range(8, false, false) == CodeRange{0, 255});
  CHECK(code_range(8, false, true) == CodeRange{1, 255});
  CHECK(code_range(1, true, false) == CodeRange{-1, 0});
  CHECK(code_range(1, false, false) == CodeRange{0, 1});
  CHECK(code_range(2, true, true) == CodeRange{-1, 1});
  CHECK(code_range(16, false, false) == CodeRange{0, 65535});
  CHECK(code_range(DType::i4) == CodeRange{-8, 7});
  CHECK(code_range(DType::i32, true) == CodeRange{-2147483647, 2147483647});
  CHECK_THROWS_AS(code_range(0, true, false), Error);
  CHECK_THROWS_AS(code_range(17, true, false), Error);
  CHECK_THROWS_AS(code_range(1, true, true), Error);
  for (const DType dtype : {DType::f32, DType::f16, DType::u32, DType::i64}) CHECK_THROWS_AS(code_range(dtype), Error);
}

TEST_CASE("choose_scale_zero_point: an asymmetric range, worked by hand") {
  // scale = (3 - -1) / 255, zero point = round(0 - -1 / scale) = round(63.75) = 64
  const ScaleZeroPoint chosen = choose_scale_zero_point({-1.0f, 3.0f}, {0, 255}, false);
  CHECK(chosen.scale == 4.0f / 255.0f);
  CHECK(chosen.zero_point == 64);
  const ScaleZeroPoint relu = choose_scale_zero_point({0.0f, 25.5f}, {0, 255}, false);
  CHECK(relu.scale == doctest::Approx(0.1f));
  CHECK(relu.zero_point == 0);
  CHECK(choose_scale_zero_point({0.0f, 25.5f}, {-128, 127}, false).zero_point == -128);
}

TEST_CASE("choose_scale_zero_point: the symmetric full range spans 255 steps, the restricted one 254") {
  CHECK(choose_scale_zero_point({-2.0f, 1.0f}, {-128, 127}, true).scale == 4.0f / 255.0f);
  CHECK(choose_scale_zero_point({-2.0f, 1.0f}, {-127, 127}, true).scale == 2.0f / 127.0f);
  CHECK(choose_scale_zero_point({-2.0f, 1.0f}, {-127, 127}, true).zero_point == 0);
  CHECK(choose_scale_zero_point({-2.0f, 1.0f}, {0, 255}, true).zero_point == 128);
  CHECK(choose_scale_zero_point({-2.0f, 1.0f}, {0, 15}, true).zero_point == 8);
}

TEST_CASE("choose_scale_zero_point: a range without zero is widened to hold it") {
  CHECK(choose_scale_zero_point({2.0f, 4.0f}, {0, 255}, false).scale == 4.0f / 255.0f);
  CHECK(choose_scale_zero_point({2.0f, 4.0f}, {0, 255}, false).zero_point == 0);
  CHECK(choose_scale_zero_point({-4.0f, -2.0f}, {0, 255}, false).zero_point == 255);
}

TEST_CASE("choose_activation_scale: a zero point half way between two codes gives up a code") {
  // 127.5 steps either way: 128 below and 127 above, where a step is the 127th part of the upper end.
  const auto check = [](RealRange range, CodeRange codes, bool is_symmetric, float scale, std::int32_t zero_point) {
    const ScaleZeroPoint chosen = choose_activation_scale(range, codes, is_symmetric);
    CHECK(chosen.scale == scale);
    CHECK(chosen.zero_point == zero_point);
  };
  check({-1.0f, 1.0f}, {0, 255}, false, static_cast<float>(1.0 / 127.0), 128);
  check({-1.0f, 1.0f}, {-128, 127}, false, static_cast<float>(1.0 / 127.0), 0);
  check({-0.5f, 254.5f}, {0, 255}, false, static_cast<float>(254.5 / 254.0), 1);
  // A 200th of a step beside the middle is not near it, a 300th is.
  check({-127.505f, 127.495f}, {0, 255}, false, 1.0f, 128);
  CHECK(choose_activation_scale({-127.5f - 1.0f / 300.0f, 127.5f - 1.0f / 300.0f}, {0, 255}, false).scale > 1.003f);
  // Whole steps, one end at 0, symmetric codes and few codes stay as they are.
  check({-1.0f, 2.0f}, {0, 255}, false, static_cast<float>(3.0 / 255.0), 85);
  check({0.0f, 1.0f}, {0, 255}, false, static_cast<float>(1.0 / 255.0), 0);
  check({-1.0f, 0.0f}, {0, 255}, false, static_cast<float>(1.0 / 255.0), 255);
  check({-1.0f, 1.0f}, {-127, 127}, true, static_cast<float>(1.0 / 127.0), 0);
  check({-1.0f, 1.0f}, {0, 15}, false, static_cast<float>(2.0 / 15.0), 8);
  // Nothing would be left above.
  CHECK(choose_activation_scale({-254.5f, 0.5f}, {0, 255}, false).zero_point == 254);
}

TEST_CASE("choose_scale_zero_point: empty, tiny and huge ranges give a finite positive scale") {
  CHECK(choose_scale_zero_point({0.0f, 0.0f}, {0, 255}, false).scale == 1.0f);
  CHECK(choose_scale_zero_point({0.0f, 0.0f}, {-128, 127}, false).zero_point == 0);
  CHECK(choose_scale_zero_point({0.0f, 1e-45f}, {0, 255}, false).scale == 0x1p-100f);
  const float most = std::numeric_limits<float>::max();
  CHECK(std::isfinite(choose_scale_zero_point({-most, most}, {0, 1}, false).scale));
  // The real that is furthest from 0 is as large as a float may be, not less.
  for (const bool is_symmetric : {false, true}) {
    const ScaleZeroPoint chosen = choose_scale_zero_point({-most, most}, {0, 255}, is_symmetric);
    CHECK(chosen.zero_point == 128);
    CHECK(chosen.scale * 128.0f == doctest::Approx(most).epsilon(1e-6));
  }
  CHECK(choose_scale_zero_point({0.0f, most}, {0, 255}, false).scale * 255.0f == doctest::Approx(most).epsilon(1e-6));
  CHECK(choose_scale_zero_point({-most, most}, {-127, 127}, true).scale * 127.0f == doctest::Approx(most).epsilon(1e-6));
  CHECK_THROWS_AS(choose_scale_zero_point({0.0f, std::numeric_limits<float>::infinity()}, {0, 255}, false), Error);
  CHECK_THROWS_AS(choose_scale_zero_point({std::nanf(""), 1.0f}, {0, 255}, false), Error);
}

TEST_CASE("scale_shape: one scale per tensor, channel, block with tail, token") {
  CHECK(scale_shape(PerTensor{}, {4, 5}) == Shape{});
  CHECK(scale_shape(PerChannel{1}, {4, 5}) == Shape{5});
  CHECK(scale_shape(PerChannel{-1}, {4, 5}) == Shape{5});
  CHECK(scale_shape(PerBlock{0, 32}, {65, 5}) == Shape{3, 5});
  CHECK(scale_shape(PerBlock{0, 32}, {64, 5}) == Shape{2, 5});
  CHECK(scale_shape(PerToken{}, {2, 3, 7}) == Shape{2, 3});
  CHECK(scale_shape(PerChannelGroup{1, 2}, {4, 5}) == Shape{3});
  CHECK_THROWS_AS(scale_shape(PerChannelGroup{1, 0}, {4, 5}), Error);
  CHECK_THROWS_AS(scale_shape(PerChannel{2}, {4, 5}), Error);
  CHECK_THROWS_AS(scale_shape(PerBlock{0, 0}, {4, 5}), Error);
  CHECK_THROWS_AS(scale_shape(PerToken{}, {}), Error);
}

TEST_CASE("Granularity: written as text") {
  CHECK(to_string(Granularity{PerTensor{}}) == "per_tensor");
  CHECK(to_string(Granularity{PerChannel{1}}) == "per_channel(axis=1)");
  CHECK(to_string(Granularity{PerBlock{0, 32}}) == "per_block(axis=0,block_size=32)");
  CHECK(to_string(Granularity{PerToken{}}) == "per_token");
  CHECK(to_string(Granularity{PerChannelGroup{1, 4}}) == "per_channel(axis=1,channel_group=4)");
}

TEST_CASE("QuantParams: check names the tensor") {
  QuantParams params{DType::u8, {0, 255}, PerTensor{}, {0.5f}, {3}};
  params.check("w");
  params.zero_points = {256};
  CHECK_THROWS_WITH_AS(params.check("w"), doctest::Contains("tensor 'w'"), Error);
  params.zero_points = {0};
  params.scales = {0.0f};
  CHECK_THROWS_AS(params.check("w"), Error);
  params.scales = {std::numeric_limits<float>::infinity()};
  CHECK_THROWS_AS(params.check("w"), Error);
  params.scales = {1.0f, 1.0f};
  CHECK_THROWS_AS(params.check("w"), Error);
}

TEST_CASE("QuantParams: symmetric means the zero point of the scheme, 128 for u8") {
  CHECK(QuantParams{DType::i8, {-127, 127}, PerTensor{}, {1.0f}, {0}}.is_symmetric());
  CHECK(QuantParams{DType::u8, {0, 255}, PerTensor{}, {1.0f}, {128}}.is_symmetric());
  CHECK_FALSE(QuantParams{DType::u8, {0, 255}, PerTensor{}, {1.0f}, {0}}.is_symmetric());
}

TEST_CASE("matches_glob: stars, question marks and plain names") {
  CHECK(matches_glob("conv*", "conv1/weights"));
  CHECK(matches_glob("*", ""));
  CHECK(matches_glob("a?c", "abc"));
  CHECK(matches_glob("*.weight", "layer.3.weight"));
  CHECK(matches_glob("a*b*c", "aXbYbZc"));
  CHECK_FALSE(matches_glob("a*b*c", "aXbYbZ"));
  CHECK_FALSE(matches_glob("conv", "conv1"));
  CHECK_FALSE(matches_glob("", "x"));
  CHECK_FALSE(matches_glob("a?", "a"));
}
