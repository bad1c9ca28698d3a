// The same bits on every host. The hashes below are not what correct answers are judged by (that is the business of the tests of
// each part): they say that g++, clang, SIMD128 wasm and relaxed wasm compute one and the same answer, each being the others'
// oracle. A change of a formula or of a summation order changes them for all alike; then print them anew with one build and
// see that the others agree.
#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "base/math.h"
#include "base/xxh64.h"
#include "calibrate/calibrator.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "quant/quantize.h"

namespace bitwright::tests {
namespace {

template <typename T>
void add(Xxh64& hash, std::span<const T> values) {
  hash.add({reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()});
}

/// Seeded values in [-1, 1), exact in float.
Tensor noise(Shape shape, std::uint32_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  for (float& value : tensor.data<float>()) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<std::int32_t>(seed) >> 8) * 0x1p-23f;
  }
  return tensor;
}

std::string hash_over(float low, float high, const std::function<float(float)>& f) {
  constexpr int kSteps = 100000;
  std::vector<float> values;
  for (int i = 0; i <= kSteps; ++i) values.push_back(f(low + (high - low) * (static_cast<float>(i) / kSteps)));
  Xxh64 hash;
  add<float>(hash, values);
  return hash.hex();
}

/// A first convolution, an inverted residual block and a classifier, as in mobile networks.
std::shared_ptr<const Model> mobile_block() {
  Graph graph;
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 3, 33, 33}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {1, 11}));
  const auto constant = [&](const char* name, Shape shape, std::uint32_t seed) {
    graph.initializers.push_back(TensorRecord::of(name, noise(std::move(shape), seed)));
  };
  constant("w1", {24, 3, 3, 3}, 1);
  constant("b1", {24}, 2);
  constant("w2", {40, 24, 1, 1}, 3);
  constant("w3", {40, 1, 3, 3}, 4);
  constant("w4", {24, 40, 1, 1}, 5);
  constant("w5", {24, 11}, 6);
  const auto pads = Attribute::of_ints("pads", {1, 1, 1, 1});
  graph.nodes.push_back(make_node("Conv", {"x", "w1", "b1"}, {"a"}, {Attribute::of_ints("strides", {2, 2}), pads}));
  graph.nodes.push_back(make_node("Relu", {"a"}, {"ar"}));
  graph.nodes.push_back(make_node("Conv", {"ar", "w2"}, {"b"}));
  graph.nodes.push_back(make_node("HardSwish", {"b"}, {"bh"}));
  graph.nodes.push_back(make_node("Conv", {"bh", "w3"}, {"c"}, {pads, Attribute::of_int("group", 40)}));
  graph.nodes.push_back(make_node("Tanh", {"c"}, {"ct"}));
  graph.nodes.push_back(make_node("Conv", {"ct", "w4"}, {"d"}));
  graph.nodes.push_back(make_node("Add", {"d", "ar"}, {"e"}));
  graph.nodes.push_back(make_node("GlobalAveragePool", {"e"}, {"f"}));
  graph.nodes.push_back(make_node("Flatten", {"f"}, {"g"}));
  graph.nodes.push_back(make_node("MatMul", {"g", "w5"}, {"h"}));
  graph.nodes.push_back(make_node("Softmax", {"h"}, {"y"}));
  return share(make_model(std::move(graph)));
}

std::string hash_of_codes(TensorScheme scheme, std::int64_t axis) {
  const Tensor values = noise({37, 96}, 9);
  const QuantParams params = choose_params(values, scheme, axis);
  const Tensor codes = quantize(values, params);
  Xxh64 hash;
  add<float>(hash, params.scales);
  add<std::int32_t>(hash, params.zero_points);
  hash.add(codes.bytes());
  hash.add(dequantize(codes, params).bytes());
  return hash.hex();
}

std::string hash_of_range(CalibrationMethod method) {
  CalibrationOptions options;
  options.method = method;
  Calibrator calibrator(options, {"x"});
  for (std::uint32_t seed = 1; seed < 9; ++seed) {
    Tensor sample = noise({5000}, seed);
    for (float& value : sample.data<float>()) value = value * value * value * 5.0f;
    calibrator.observe("x", sample);
    calibrator.end_sample();
  }
  const RealRange range = choose_range(calibrator.finish().at("x"), options, code_range(DType::u8, false), false);
  const float ends[] = {range.rmin, range.rmax};
  Xxh64 hash;
  add<float>(hash, ends);
  return hash.hex();
}

}  // namespace

TEST_CASE("same bits: functions of base/math") {
  CHECK(hash_over(-104.0f, 88.0f, [](float x) { return exp(x); }) == "a31382e179b72b7f");
  CHECK(hash_over(0x1p-60f, 1e6f, [](float x) { return log(x); }) == "ab911ab79a9c2a5c");
  CHECK(hash_over(-10.0f, 10.0f, [](float x) { return tanh(x); }) == "d44670c8058c7d24");
  CHECK(hash_over(-90.0f, 90.0f, [](float x) { return sigmoid(x); }) == "2be1e72c8ca1162e");
  CHECK(hash_over(-5.0f, 5.0f, [](float x) { return erf(x); }) == "e265f058d93ce759");
  CHECK(hash_over(-90.0f, 90.0f, [](float x) { return softplus(x); }) == "4f11bc37f50bbd53");
  CHECK(hash_over(-1e5f, 1e5f, [](float x) { return sin(x) + cos(x); }) == "89bf7a11ff8f67e0");
  CHECK(hash_over(0.0f, 50.0f, [](float x) { return pow(x, 3.3f); }) == "600903a4940ee57d");
}

TEST_CASE("same bits: a run of a small network") {
  Session session(mobile_block());
  Xxh64 hash;
  for (std::uint32_t seed = 100; seed < 103; ++seed)
    session.run({{"x", noise({1, 3, 33, 33}, seed)}}, [&](const std::string&, const Tensor& value) { hash.add(value.bytes()); });
  CHECK(hash.hex() == "1125a10700394082");
}

TEST_CASE("same bits: scales, codes and what they stand for") {
  using Grain = TensorScheme::Grain;
  CHECK(hash_of_codes({DType::i8, true, true, Grain::per_channel, 32}, 0) == "940ad0e3d69a04ad");
  CHECK(hash_of_codes({DType::i8, true, true, Grain::per_channel, 32}, 1) == "d37390f8d871c849");
  CHECK(hash_of_codes({DType::u8, false, false, Grain::per_tensor, 32}, 0) == "c9928dde0040cc0d");
  CHECK(hash_of_codes({DType::i4, true, false, Grain::per_block, 32}, 1) == "056eebbbe2b72351");
}

TEST_CASE("same bits: ranges that calibration chooses") {
  CHECK(hash_of_range(CalibrationMethod::moving_average) == "f28dee32f848dc69");
  CHECK(hash_of_range(CalibrationMethod::percentile) == "429ebd85b5089f71");
  CHECK(hash_of_range(CalibrationMethod::entropy) == "5cb30de9199ff92d");
  CHECK(hash_of_range(CalibrationMethod::mse) == "429ebd85b5089f71");
}

}  // namespace bitwright::tests
