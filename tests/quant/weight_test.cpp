#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "quant/quantize.h"

using namespace bitwright;

TEST_CASE("quantize_weight_tensor: symmetric int8 per channel, worked by hand") {
  const Tensor w = Tensor::of<float>({2, 3}, {1.27f, -0.5f, 0.0f, -12.7f, 6.33f, 0.1f});
  const QuantizedTensor q = quantize_weight_tensor(w, {DType::i8, true, true, TensorScheme::Grain::per_channel, 32}, 0);
  CHECK(q.params.granularity == Granularity{PerChannel{0}});
  CHECK(q.params.scales[0] == doctest::Approx(0.01));
  CHECK(q.params.scales[1] == doctest::Approx(0.1));
  const auto codes = q.codes.data<std::int8_t>();
  CHECK(std::vector<int>(codes.begin(), codes.end()) == std::vector<int>{127, -50, 0, -127, 63, 1});
  CHECK(q.params.is_symmetric());
}

TEST_CASE("quantize_weight_tensor: a channel of zeros takes the scale of the whole tensor") {
  const Tensor w = Tensor::of<float>({2, 2}, {0.0f, 0.0f, 1.27f, -1.0f});
  const QuantizedTensor q = quantize_weight_tensor(w, {DType::i8, true, true, TensorScheme::Grain::per_channel, 32}, 0);
  CHECK(q.params.scales[0] == q.params.scales[1]);
  const Tensor zeros = Tensor::of<float>({2, 2}, {0.0f, 0.0f, 0.0f, 0.0f});
  CHECK(quantize_weight_tensor(zeros, {}, 0).params.scales[0] == 1.0f);
}

TEST_CASE("quantize_weight_tensor: asymmetric, too, a channel of zeros takes the scale of the whole tensor") {
  const Tensor w = Tensor::of<float>({2, 2}, {1.0f, 3.0f, 0.0f, 0.0f});
  const QuantizedTensor q = quantize_weight_tensor(w, {DType::u8, false, false, TensorScheme::Grain::per_channel, 32}, 0);
  CHECK(q.params.scales == std::vector<float>{3.0f / 255.0f, 3.0f / 255.0f});
}

TEST_CASE("quantize_weight_tensor: blocks along the reduction axis, with a tail") {
  Tensor w(DType::f32, {5, 2});
  for (int i = 0; i < 10; ++i) w.data<float>()[static_cast<std::size_t>(i)] = static_cast<float>(i + 1);
  const QuantizedTensor q = quantize_weight_tensor(w, {DType::i4, true, false, TensorScheme::Grain::per_block, 4}, 0);
  CHECK(q.params.scales.size() == 4);
  CHECK(q.params.scales[0] == doctest::Approx(2.0 * 7.0 / 15.0));
  CHECK(q.params.scales[3] == doctest::Approx(2.0 * 10.0 / 15.0));
  CHECK(q.codes.size_bytes() == 5);
}

TEST_CASE("quantize_weight_tensor: counts what is not finite and keeps the scale finite") {
  const Tensor w = Tensor::of<float>({3}, {1.0f, std::nanf(""), std::numeric_limits<float>::infinity()});
  const QuantizedTensor q = quantize_weight_tensor(w, {DType::i8, true, true, TensorScheme::Grain::per_tensor, 32}, 0);
  CHECK(q.n_not_finite == 2);
  CHECK(q.params.scales[0] == 1.0f / 127.0f);
  CHECK(q.codes.data<std::int8_t>()[1] == 0);
  CHECK(q.codes.data<std::int8_t>()[2] == 127);
}

TEST_CASE("quantize_bias: int32 codes of input scale times weight scale") {
  const std::vector<float> bias = {1.0f, -0.5f};
  const std::vector<float> scales = {0.5f, 0.25f};
  const QuantizedBias q = quantize_bias(bias, 0.5f, scales);
  CHECK(q.codes == std::vector<std::int32_t>{4, -4});
  CHECK(q.scales == std::vector<float>{0.25f, 0.125f});
  CHECK(q.weight_scales == scales);
  CHECK(q.n_raised == 0);
}

TEST_CASE("quantize_bias: the weight scale of a channel whose bias would overflow is raised, the others stay") {
  const std::vector<float> bias = {1000.0f, 1.0f};
  const std::vector<float> scales = {1e-9f, 0.01f};
  const QuantizedBias q = quantize_bias(bias, 0.001f, scales);
  CHECK(q.n_raised == 1);
  CHECK(q.weight_scales[0] > scales[0]);
  CHECK(q.weight_scales[1] == scales[1]);
  CHECK(std::abs(static_cast<double>(q.codes[0])) <= 2147483647.0);
  CHECK(static_cast<double>(q.codes[0]) * static_cast<double>(q.scales[0]) == doctest::Approx(1000.0));
}

TEST_CASE("quantize_bias: products below the normal floats raise the weight scale, one scale serves all channels") {
  const std::vector<float> bias = {0.0f, 0.0f, 0.0f};
  const std::vector<float> one = {0x1p-100f};
  const QuantizedBias q = quantize_bias(bias, 0x1p-100f, one);
  CHECK(q.weight_scales.size() == 1);
  CHECK(q.scales[0] >= 0x1p-120f);
}

TEST_CASE("quantize_bias: wrong counts, scales and values are refused") {
  const std::vector<float> bias = {1.0f, 2.0f};
  const std::vector<float> three = {1.0f, 1.0f, 1.0f};
  const std::vector<float> zero = {0.0f};
  const std::vector<float> one = {1.0f};
  const std::vector<float> bad = {std::nanf("")};
  CHECK_THROWS_AS(quantize_bias(bias, 1.0f, three), Error);
  CHECK_THROWS_AS(quantize_bias(bias, 1.0f, zero), Error);
  CHECK_THROWS_AS(quantize_bias(bad, 1.0f, one), Error);
}

TEST_CASE("dequantize: codes of a type that is no integer of up to 16 bits are refused") {
  QuantParams params;
  params.scales = {1.0f};
  params.zero_points = {0};
  for (const DType dtype : {DType::f16, DType::f8e4m3fn, DType::i64}) {
    params.dtype = dtype;
    try {
      static_cast<void>(dequantize(Tensor(dtype, {4}), params));
      FAIL("they were read as integers: " << dtype_name(dtype));
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::unsupported);
    }
  }
}

TEST_CASE("choose_params: clipping narrows ranges, but never the scale that a channel of zeros takes") {
  TensorScheme scheme{DType::i8, true, true, TensorScheme::Grain::per_channel, 32};
  scheme.clip_ratio = 0.5;
  const Tensor w = Tensor::of<float>({2, 2}, {1.27f, -2.54f, 0.0f, 0.0f});
  const QuantParams params = choose_params(w, scheme, 0);
  CHECK(params.scales[0] == doctest::Approx(0.01));
  CHECK(params.scales[1] == doctest::Approx(0.02));
  // Steps of 1/7 cost 64 values 64 / (7^2 * 12) = 0.109; those of 0.95/7 cost 0.098, and the outlier 0.05^2 = 0.003.
  Tensor x(DType::f32, {1, 64});
  for (std::size_t i = 0; i < 64; ++i) x.data<float>()[i] = 0.5f * static_cast<float>(i) / 64.0f;
  x.data<float>()[0] = 1.0f;
  TensorScheme four{DType::i4, true, true, TensorScheme::Grain::per_channel, 32};
  const double whole = choose_params(x, four, 0).scales[0];
  four.clipping = CalibrationMethod::mse;
  CHECK(choose_params(x, four, 0).scales[0] < whole);
}

TEST_CASE("quantize_weight_tensor: rounding as the scheme says, with codes of fewer bits in the range of those") {
  const Tensor w = Tensor::of<float>({4}, {1.27f, 0.018f, -0.018f, 0.0f});
  TensorScheme scheme{DType::i8, true, true, TensorScheme::Grain::per_tensor, 32};
  const auto codes_of = [&] {
    const QuantizedTensor q = quantize_weight_tensor(w, scheme, 0);
    const auto codes = q.codes.data<std::int8_t>();
    return std::vector<int>(codes.begin(), codes.end());
  };
  CHECK(codes_of() == std::vector<int>{127, 2, -2, 0});
  scheme.rounding = Rounding::floor;
  CHECK(codes_of()[1] == 1);
  CHECK(codes_of()[2] == -2);
  scheme.rounding = Rounding::stochastic;
  double sum = 0.0;
  for (scheme.seed = 0; scheme.seed < 1000; ++scheme.seed) {
    const int code = codes_of()[1];
    CHECK((code == 1 || code == 2));
    sum += code;
  }
  CHECK(sum / 1000.0 == doctest::Approx(1.8).epsilon(0.03));  // 3 standard errors of 0.4 / sqrt(1000) are 0.038
  scheme.rounding = Rounding::nearest_even;
  scheme.bits = 6;
  CHECK(codes_of() == std::vector<int>{31, 0, 0, 0});
}
