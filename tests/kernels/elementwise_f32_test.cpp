#include "kernels/elementwise_f32/elementwise_f32.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace bitwright::tests {
namespace {

struct NamedMap {
  const char* name;
  MapF32 run;
};
const NamedMap kMaps[] = {
#define MAP_KERNEL(name) {#name, map_f32__##name},
#include "kernels/elementwise_f32/maps.inc"
#undef MAP_KERNEL
};

struct NamedZip {
  const char* name;
  ZipF32 run;
};
const NamedZip kZips[] = {
#define ZIP_KERNEL(name) {#name, zip_f32__##name},
#include "kernels/elementwise_f32/zips.inc"
#undef ZIP_KERNEL
};

std::vector<float> samples(std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) * 0.13f;
  return values;
}

bool has_same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

}  // namespace

TEST_CASE("elementwise_f32: an element's bits do not depend on its place in the array") {
  const std::vector<float> x = samples(33);
  for (const NamedMap& map : kMaps) {
    CAPTURE(map.name);
    for (const std::size_t n : {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33}) {
      std::vector<float> y(n + 1, 123.0f);
      map.run(x.data(), y.data(), static_cast<std::int64_t>(n), {0.5f, 1.5f});
      CHECK(y[n] == 123.0f);
      bool is_same = true;
      for (std::size_t i = 0; i < n; ++i) {
        float alone = 0.0f;
        map.run(&x[i], &alone, 1, {0.5f, 1.5f});
        is_same = is_same && has_same_bits(alone, y[i]);
      }
      CHECK(is_same);
    }
  }
}

TEST_CASE("elementwise_f32: zips agree with one another at every stride and length, also in place") {
  const std::vector<float> a = samples(33);
  std::vector<float> b = samples(40);
  b.erase(b.begin(), b.begin() + 7);
  for (const NamedZip& zip : kZips) {
    CAPTURE(zip.name);
    for (const std::int64_t a_stride : {0, 1})
      for (const std::int64_t b_stride : {0, 1})
        for (const std::int64_t n : {1, 3, 4, 5, 16, 33}) {
          std::vector<float> y(static_cast<std::size_t>(n) + 1, 123.0f);
          zip.run(a.data(), a_stride, b.data(), b_stride, y.data(), n);
          CHECK(y.back() == 123.0f);
          bool is_same = true;
          for (std::int64_t i = 0; i < n; ++i) {
            float alone = 0.0f;
            zip.run(&a[static_cast<std::size_t>(i * a_stride)], 1, &b[static_cast<std::size_t>(i * b_stride)], 1, &alone, 1);
            is_same = is_same && has_same_bits(alone, y[static_cast<std::size_t>(i)]);
          }
          CHECK(is_same);
          if (a_stride == 1) {
            std::vector<float> in_place = a;
            zip.run(in_place.data(), 1, b.data(), b_stride, in_place.data(), n);
            for (std::int64_t i = 0; i < n; ++i)
              CHECK(has_same_bits(in_place[static_cast<std::size_t>(i)], y[static_cast<std::size_t>(i)]));
          }
        }
  }
}

TEST_CASE("elementwise_f32: maps give the values of their formulas") {
  const std::vector<float> x = samples(101);
  const auto check = [&](MapF32 map, MapParams params, auto exact) {
    std::vector<float> y(x.size());
    map(x.data(), y.data(), static_cast<std::int64_t>(x.size()), params);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double wanted = exact(static_cast<double>(x[i]));
      CHECK(std::fabs(static_cast<double>(y[i]) - wanted) <= 1e-6 * std::max(1.0, std::fabs(wanted)));  // a few float roundings
    }
  };
  check(map_f32__gelu, {}, [](double v) { return 0.5 * v * (1.0 + std::erf(v / std::sqrt(2.0))); });
  check(map_f32__gelu_tanh, {},
        [](double v) { return 0.5 * v * (1.0 + std::tanh(std::sqrt(2.0 / 3.14159265358979) * (v + 0.044715 * v * v * v))); });
  check(map_f32__mish, {}, [](double v) { return v * std::tanh(std::log1p(std::exp(v))); });
  check(map_f32__swish, {1.702f, 0.0f}, [](double v) { return v / (1.0 + std::exp(-static_cast<double>(1.702f) * v)); });
  check(map_f32__elu, {1.0f, 0.0f}, [](double v) { return v < 0.0 ? std::expm1(v) : v; });
  check(map_f32__celu, {2.0f, 0.0f}, [](double v) { return v < 0.0 ? 2.0 * std::expm1(v / 2.0) : v; });
  check(map_f32__softplus, {}, [](double v) { return std::log1p(std::exp(v)); });
  check(map_f32__softsign, {}, [](double v) { return v / (1.0 + std::fabs(v)); });
}

}  // namespace bitwright::tests
