// What holds for every tensor, shown on thousands of seeded random ones.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "quant/quantize.h"
#include "quant/reference.h"

using namespace bitwright;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
constexpr DType kCodeTypes[] = {DType::u8, DType::i8, DType::u16, DType::i16, DType::u4, DType::i4, DType::u2, DType::i2};
constexpr TensorScheme::Grain kGrains[] = {TensorScheme::Grain::per_tensor, TensorScheme::Grain::per_channel,
                                           TensorScheme::Grain::per_block};

class Draw {
 public:
  explicit Draw(std::uint32_t seed) : bits_(seed) {}
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(bits_() % static_cast<std::uint32_t>(n)); }
  float uniform() { return static_cast<float>(bits_() >> 8) * 0x1p-23f - 1.0f; }  // [-1, 1)
  template <typename T, std::size_t kN>
  T of(const T (&choices)[kN]) {
    return choices[below(static_cast<std::int64_t>(kN))];
  }

  Shape shape() {
    Shape shape(static_cast<std::size_t>(1 + below(3)));
    for (std::int64_t& extent : shape) extent = 1 + below(shape.size() == 1 ? 200 : 13);
    return shape;
  }
  TensorScheme scheme() { return {of(kCodeTypes), below(2) == 0, below(2) == 0, of(kGrains), 1 + below(20)}; }
  /// Finite values of one of several kinds: usual, one-sided, far from zero, tiny, huge, denormal, constant, mostly zeros.
  void fill(std::span<float> values) {
    const auto kind = below(8);
    const float constant = uniform() * 3.0f;
    for (float& value : values) {
      const float u = uniform();
      const float kinds[] = {u * 4.0f,  std::fabs(u) * 6.0f, 100.0f + u, u * 1e-30f,
                             u * 1e38f, u * 1e-40f,          constant,   below(9) == 0 ? u : 0.0f};
      value = kinds[kind];
    }
  }

 private:
  std::mt19937 bits_;
};

Tensor random_tensor(Draw& draw) {
  Tensor tensor(DType::f32, draw.shape());
  draw.fill(tensor.data<float>());
  return tensor;
}

void check_scales(const QuantParams& params) {
  params.check("w");  // finite, above zero; zero points are codes
  for (const float scale : params.scales) REQUIRE((std::isfinite(scale) && std::isfinite(1.0f / scale) && scale > 0.0f));
}

/// A quotient, a product and a sum of floats round: this many steps in all.
double slack_of(CodeRange range) { return (static_cast<double>(range.qmax) - range.qmin + 1.0) * 0x1p-22; }

}  // namespace

TEST_CASE("properties: codes lie in their range, reals come back within half a step, and 0 comes back as 0") {
  Draw draw(1);
  for (int round = 0; round < 4000; ++round) {
    const Tensor x = random_tensor(draw);
    const TensorScheme scheme = draw.scheme();
    CAPTURE(round);
    CAPTURE(dtype_name(scheme.dtype));
    const QuantizedTensor q = quantize_weight_tensor(x, scheme, draw.below(static_cast<std::int64_t>(x.rank())));
    check_scales(q.params);
    const Tensor back = dequantize(q.codes, q.params);
    const double half = 0.5 + slack_of(q.params.range);
    for (std::int64_t i = 0; i < x.n_elements(); ++i) {
      const auto s = static_cast<std::size_t>(reference::scale_index(q.params.granularity, x.shape(), i));
      const std::int32_t code = reference::read_code(q.codes.bytes(), scheme.dtype, i);
      REQUIRE((code >= q.params.range.qmin && code <= q.params.range.qmax));
      const auto at = static_cast<std::size_t>(i);
      const double steps = (static_cast<double>(x.data<float>()[at]) - static_cast<double>(back.data<float>()[at])) /
                           static_cast<double>(q.params.scales[s]);
      REQUIRE(std::abs(steps) <= half);
      if (x.data<float>()[at] == 0.0f) REQUIRE(back.data<float>()[at] == 0.0f);
    }
    for (std::size_t s = 0; s < q.params.scales.size(); ++s) {
      const float scale = q.params.scales[s];
      const std::int32_t zero = q.params.zero_points[s];
      for (const float real : {0.0f, -0.0f}) REQUIRE(reference::quantize(real, scale, zero, q.params.range) == zero);
      REQUIRE(reference::dequantize(zero, scale, zero) == 0.0f);
    }
  }
}

TEST_CASE("properties: quantizing what was dequantized changes nothing") {
  Draw draw(2);
  for (int round = 0; round < 2000; ++round) {
    const Tensor x = random_tensor(draw);
    const QuantizedTensor q = quantize_weight_tensor(x, draw.scheme(), draw.below(static_cast<std::int64_t>(x.rank())));
    const Tensor once = dequantize(q.codes, q.params);
    const Tensor again = quantize(once, q.params);
    CAPTURE(round);
    REQUIRE(std::equal(again.bytes().begin(), again.bytes().end(), q.codes.bytes().begin(), q.codes.bytes().end()));
  }
}

TEST_CASE("properties: weights coded as they are read are those of choose_params, then quantize") {
  Draw draw(5);
  for (int round = 0; round < 600; ++round) {
    CAPTURE(round);
    Tensor x(DType::f32, {draw.below(5) + 1, draw.below(70) + 1});
    for (float& value : x.data<float>()) value = static_cast<float>(draw.below(20001) - 10000) * 0.37f;
    const auto at = [&](std::int64_t i) -> float& { return x.data<float>()[static_cast<std::size_t>(i)]; };
    if (round % 5 == 0) std::fill_n(x.data<float>().begin(), x.extent(1), -0.0f);  // a channel of zeros
    if (round % 7 == 0) at(draw.below(x.n_elements())) = std::numeric_limits<float>::quiet_NaN();
    if (round % 11 == 0) at(draw.below(x.n_elements())) = -std::numeric_limits<float>::infinity();
    if (round % 3 == 0) at(draw.below(x.n_elements())) = 0x1p-140f;
    const auto grain = round % 2 == 0 ? TensorScheme::Grain::per_channel : TensorScheme::Grain::per_tensor;
    for (const DType dtype : {DType::i8, DType::u8})
      for (const bool is_narrow : {false, true}) {
        const TensorScheme scheme{dtype, true, is_narrow, grain, 32};
        const QuantizedTensor q = quantize_weight_tensor(x, scheme, 0);
        std::uint64_t n_not_finite = 0;
        const QuantParams params = choose_params(x, scheme, 0, &n_not_finite);
        const Tensor codes = quantize(x, params);
        REQUIRE(q.n_not_finite == n_not_finite);
        REQUIRE(q.params.scales == params.scales);
        REQUIRE(q.params.zero_points == params.zero_points);
        REQUIRE(std::equal(codes.bytes().begin(), codes.bytes().end(), q.codes.bytes().begin(), q.codes.bytes().end()));
      }
  }
}

TEST_CASE("properties: a larger real never has a smaller code") {
  Draw draw(3);
  for (int round = 0; round < 2000; ++round) {
    const DType dtype = draw.of(kCodeTypes);
    const CodeRange range = code_range(dtype);
    std::vector<float> x(static_cast<std::size_t>(1 + draw.below(99)));
    draw.fill(x);
    x.insert(x.end(), {-kInfinity, kInfinity, -kLargest, kLargest, -kDenormal, kDenormal, -0.0f, 0.0f});
    std::sort(x.begin(), x.end());
    const Shape shape{static_cast<std::int64_t>(x.size())};
    const QuantParams params{dtype,
                             range,
                             PerTensor{},
                             {std::ldexp(1.0f + std::fabs(draw.uniform()), static_cast<int>(draw.below(200)) - 100)},
                             {range.qmin + static_cast<std::int32_t>(draw.below(range.qmax - range.qmin + 1))}};
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(packed_bytes(dtype, x.size())));
    quantize(x, shape, params, codes);
    std::int32_t before = range.qmin;
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      const std::int32_t code = reference::read_code(codes, dtype, i);
      REQUIRE(code >= before);
      before = code;
    }
    CHECK(reference::read_code(codes, dtype, 0) == range.qmin);
    CHECK(before == range.qmax);
  }
}

TEST_CASE("properties: codes packed, unpacked and packed again are the same, at every length") {
  Draw draw(4);
  for (const DType dtype : kCodeTypes)
    for (std::int64_t n = 0; n < 150; ++n) {
      const CodeRange range = code_range(dtype);
      std::vector<std::uint8_t> codes(static_cast<std::size_t>(packed_bytes(dtype, static_cast<std::uint64_t>(n))), 0);
      std::vector<std::int32_t> drawn;
      for (std::int64_t i = 0; i < n; ++i) {
        drawn.push_back(range.qmin + static_cast<std::int32_t>(draw.below(range.qmax - range.qmin + 1)));
        reference::write_code(codes, dtype, i, drawn.back());
      }
      const QuantParams params{dtype, range, PerTensor{}, {1.0f}, {0}};
      std::vector<float> reals(static_cast<std::size_t>(n));
      dequantize(codes, {n}, params, reals);
      for (std::size_t i = 0; i < drawn.size(); ++i) REQUIRE(reals[i] == static_cast<float>(drawn[i]));
      std::vector<std::uint8_t> again(codes.size(), 0xff);
      quantize(reals, {n}, params, again);
      REQUIRE(again == codes);
    }
}

TEST_CASE("properties: vectors give the reference's bits for any value, size, scale and granularity") {
  const float specials[] = {0.0f,      -0.0f,      kInfinity, -kInfinity, std::nanf(""), -std::nanf(""),
                            kDenormal, -kDenormal, 1e-39f,    kLargest,   -kLargest,     std::numeric_limits<float>::min(),
                            0.5f,      -0.5f,      1.5f,      2.5f};
  Draw draw(5);
  for (int round = 0; round < 4000; ++round) {
    Tensor x = random_tensor(draw);
    for (float& value : x.data<float>())
      if (draw.below(5) == 0) value = draw.of(specials);
    const TensorScheme scheme = draw.scheme();
    QuantParams params{scheme.dtype,
                       code_range(scheme.dtype, scheme.narrow_range),
                       granularity_of(scheme, draw.below(static_cast<std::int64_t>(x.rank())), x.rank()),
                       {},
                       {}};
    const bool is_one_zero_point = draw.below(2) == 0;
    for (std::int64_t s = n_elements(scale_shape(params.granularity, x.shape())); s > 0; --s) {
      params.scales.push_back(std::ldexp(1.0f + std::fabs(draw.uniform()), static_cast<int>(draw.below(40)) - 30));
      params.zero_points.push_back(is_one_zero_point && !params.zero_points.empty()
                                       ? params.zero_points[0]
                                       : params.range.qmin +
                                             static_cast<std::int32_t>(draw.below(params.range.qmax - params.range.qmin + 1)));
    }
    CAPTURE(round);
    CAPTURE(to_string(x.shape()));
    CAPTURE(to_string(params.granularity));
    CAPTURE(dtype_name(scheme.dtype));
    const Tensor codes = quantize(x, params);
    std::vector<std::uint8_t> slow(codes.size_bytes(), 0x55);
    reference::quantize(x.data<float>(), x.shape(), params, slow);
    REQUIRE(std::equal(slow.begin(), slow.end(), codes.bytes().begin()));
    const Tensor back = dequantize(codes, params);
    std::vector<float> slow_back(static_cast<std::size_t>(x.n_elements()));
    reference::dequantize(slow, x.shape(), params, slow_back);
    REQUIRE(std::memcmp(slow_back.data(), back.bytes().data(), back.size_bytes()) == 0);
  }
}

TEST_CASE("properties: no data makes a scale that is not a positive number") {
  std::vector<Tensor> hostile = {Tensor(DType::f32, {0}), Tensor(DType::f32, {0, 3}), Tensor(DType::f32, {3, 0}),
                                 Tensor::of<float>({2, 2}, {std::nanf(""), 1.0f, kInfinity, -kInfinity}),
                                 Tensor::of<float>({2, 2}, {kLargest, -kLargest, kDenormal, -0.0f})};
  const float alone[] = {0.0f,     -0.0f,     3.0f,          -3.0f,     kDenormal, -kDenormal,
                         kLargest, -kLargest, std::nanf(""), kInfinity, -kInfinity};
  for (const float value : alone) {
    hostile.push_back(Tensor::scalar<float>(value));
    for (const Shape& shape : {Shape{1}, Shape{3, 5}}) {
      hostile.push_back(Tensor(DType::f32, shape));
      std::fill(hostile.back().data<float>().begin(), hostile.back().data<float>().end(), value);
    }
  }
  for (const Tensor& x : hostile)
    for (const DType dtype : kCodeTypes)
      for (const TensorScheme::Grain grain : kGrains)
        for (const bool is_symmetric : {false, true})
          for (const bool is_narrow : {false, true}) {
            CAPTURE(to_string(x.shape()));
            const QuantizedTensor q = quantize_weight_tensor(x, {dtype, is_symmetric, is_narrow, grain, 2}, 0);
            check_scales(q.params);
            const std::vector<float> values = to_f32_vector(x);
            const auto n_bad = std::count_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
            REQUIRE(q.n_not_finite == static_cast<std::uint64_t>(n_bad));
            const std::vector<float> back = to_f32_vector(dequantize(q.codes, q.params));
            for (std::size_t i = 0; i < back.size(); ++i) {
              const std::int32_t code = reference::read_code(q.codes.bytes(), dtype, static_cast<std::int64_t>(i));
              REQUIRE((code >= q.params.range.qmin && code <= q.params.range.qmax));
              REQUIRE_FALSE(std::isnan(back[i]));
              if (std::fabs(values[i]) < kLargest) REQUIRE(std::isfinite(back[i]));
            }
          }
}
