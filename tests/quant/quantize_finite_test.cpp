#include "quant/quantize_finite.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

using namespace bitwright;

namespace {

/// What the vectors are tested against: one value at a time.
int slow_code(float x, float scale, std::int32_t zero_point, CodeRange range) {
  const double code = std::nearbyint(static_cast<double>(x / scale)) + zero_point;
  return static_cast<int>(std::min(std::max(code, static_cast<double>(range.qmin)), static_cast<double>(range.qmax)));
}

struct Groups {
  std::int64_t length;
  std::vector<float> x;
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points;
};

/// Values in steps of a quarter scale, so that there are ties, up to beyond the range.
Groups groups_of(std::int64_t length, std::int64_t n_groups, CodeRange range, std::mt19937& random) {
  Groups groups{length, {}, {}, {}};
  const int reach = 6 * (range.qmax - range.qmin);
  for (std::int64_t g = 0; g < n_groups; ++g) {
    groups.scales.push_back(std::ldexp(1.0f, static_cast<int>(random() % 20) - 10) * (random() % 2 == 0 ? 1.0f : 1.1f));
    groups.zero_points.push_back(range.qmin + static_cast<std::int32_t>(random() % 4));
    for (std::int64_t i = 0; i < length; ++i)
      groups.x.push_back(groups.scales.back() * 0.25f * static_cast<float>(static_cast<int>(random() % (2 * reach)) - reach));
  }
  return groups;
}

constexpr CodeRange kRanges[] = {{-8, 7}, {-7, 7}, {0, 15}};

}  // namespace

TEST_CASE("quantize_finite_to_nibbles: two codes a byte, each that of its scalar twin") {
  std::mt19937 random(5);
  for (const CodeRange range : kRanges)
    for (const std::int64_t length : {32, 64, 96})
      for (const std::int64_t n_groups : {1, 2, 5}) {
        const Groups g = groups_of(length, n_groups, range, random);
        std::vector<std::uint8_t> nibbles(g.x.size() / 2 + 1, 0xa5);
        quantize_finite_to_nibbles(g.x.data(), length, n_groups, g.scales.data(), g.zero_points.data(), range, nibbles.data());
        std::size_t n_wrong = 0;
        for (std::size_t i = 0; i < g.x.size(); ++i) {
          const auto group = i / static_cast<std::size_t>(length);
          const int wanted = slow_code(g.x[i], g.scales[group], g.zero_points[group], range) & 15;
          n_wrong += (nibbles[i / 2] >> (i % 2 * 4) & 15) != wanted ? 1 : 0;
        }
        CHECK(n_wrong == 0);
        CHECK(nibbles.back() == 0xa5);  // not touched
      }
}

TEST_CASE("quantize_finite: each code is that of its scalar twin, at every length") {
  std::mt19937 random(6);
  for (const CodeRange range : {CodeRange{-128, 127}, CodeRange{-127, 127}, CodeRange{0, 255}, CodeRange{0, 7}})
    for (const std::int64_t length : {1, 3, 15, 16, 17, 32, 33, 64})
      for (const std::int64_t n_groups : {1, 4}) {
        const Groups g = groups_of(length, n_groups, range, random);
        std::vector<std::uint8_t> codes(g.x.size() + 1, 0xa5);
        quantize_finite(g.x.data(), length, n_groups, g.scales.data(), g.zero_points.data(), range, codes.data());
        std::size_t n_wrong = 0;
        for (std::size_t i = 0; i < g.x.size(); ++i) {
          const auto group = i / static_cast<std::size_t>(length);
          n_wrong +=
              codes[i] != static_cast<std::uint8_t>(slow_code(g.x[i], g.scales[group], g.zero_points[group], range)) ? 1 : 0;
        }
        CHECK(n_wrong == 0);
        CHECK(codes.back() == 0xa5);
      }
}

TEST_CASE("largest_magnitudes: of each group and of all, as the bits of a float; what is not finite is larger than all") {
  std::mt19937 random(7);
  for (const std::int64_t length : {1, 3, 15, 16, 17, 33, 64})
    for (const float special : {0.0f, std::nanf(""), -INFINITY}) {
      std::vector<float> x(static_cast<std::size_t>(3 * length));
      for (float& value : x) value = static_cast<float>(static_cast<int>(random() % 2001) - 1000) * 0.01f;
      if (special != 0.0f) x[static_cast<std::size_t>(2 * length - 1)] = special;
      std::int32_t bits[3];
      const std::int32_t most = largest_magnitudes(x.data(), length, 3, bits);
      std::int32_t wanted[3] = {0, 0, 0};
      for (std::size_t i = 0; i < x.size(); ++i) {
        std::int32_t& own = wanted[i / static_cast<std::size_t>(length)];
        own = std::max(own, std::bit_cast<std::int32_t>(std::abs(x[i])));
      }
      for (int g = 0; g < 3; ++g)
        if (special == 0.0f || g != 1) CHECK(bits[g] == wanted[g]);
      if (special != 0.0f) {
        CHECK(bits[1] >= kNotFinite);
        CHECK(most >= kNotFinite);
      } else {
        CHECK(most == std::max({wanted[0], wanted[1], wanted[2]}));
      }
    }
}

TEST_CASE("scales_of: four at a time are what one by one gives, and choose_scale_zero_point") {
  std::mt19937 random(8);
  for (const CodeRange range :
       {CodeRange{-128, 127}, CodeRange{-127, 127}, CodeRange{-8, 7}, CodeRange{0, 255}, CodeRange{-1, 1}}) {
    const SymmetricScale scale(range);
    std::vector<std::int32_t> bits = {0, 1, 0x00800000, 0x0d800000, 0x7f7fffff, 0x7f000000, 0x71800000, 0x71800001, 0x3f800000};
    while (bits.size() < 2003) bits.push_back(static_cast<std::int32_t>(random() % 0x7f800000));
    std::vector<float> scales(bits.size());
    scales_of(scale, bits.data(), static_cast<std::int64_t>(bits.size()), 1.0f, scales.data());
    std::size_t n_wrong = 0;
    for (std::size_t i = 0; i < bits.size(); ++i) {
      const auto largest = std::bit_cast<float>(bits[i]);
      n_wrong += scales[i] != choose_scale_zero_point({-largest, largest}, range, true).scale ? 1 : 0;
    }
    CHECK(n_wrong == 0);
  }
}
