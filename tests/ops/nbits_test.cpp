// MatMulNBits with 8-bit activations: accuracy_level 4 in sessions that need not be deterministic.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/model_builder.h"
#include "engine/session.h"
#include "kernels/random.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

constexpr std::int64_t kK = 80, kN = 11, kBlock = 32, kBlocks = 3;

std::shared_ptr<const Model> product(int bits, std::int64_t accuracy_level, bool has_zeros) {
  Graph graph;
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {kUnknownDim, kK}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {kUnknownDim, kN}));
  const auto bytes = [](Shape shape, std::uint32_t seed) {
    Tensor tensor(DType::u8, std::move(shape));
    for (std::uint8_t& byte : tensor.bytes()) byte = static_cast<std::uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
    return tensor;
  };
  graph.initializers.push_back(TensorRecord::of("w", bytes({kN, kBlocks, kBlock * bits / 8}, 1)));
  const std::vector<float> scales = random_floats(kN * kBlocks, 2);
  graph.initializers.push_back(TensorRecord::of("s", Tensor::of<float>({kN * kBlocks}, std::span<const float>(scales))));
  graph.initializers.push_back(TensorRecord::of("z", bytes({kN * ((kBlocks * bits + 7) / 8)}, 3)));
  graph.nodes.push_back(
      make_node("MatMulNBits", {"x", "w", "s", has_zeros ? "z" : ""}, {"y"},
                {Attribute::of_int("K", kK), Attribute::of_int("N", kN), Attribute::of_int("bits", bits),
                 Attribute::of_int("block_size", kBlock), Attribute::of_int("accuracy_level", accuracy_level)}));
  graph.nodes.back().domain = "com.microsoft";
  return share(make_model(std::move(graph)));
}

std::vector<float> outputs(std::shared_ptr<const Model> model, bool is_deterministic, std::int64_t m) {
  Session session(std::move(model), {.is_deterministic = is_deterministic});
  const std::vector<float> x = random_floats(static_cast<std::size_t>(m * kK), 4);
  std::vector<float> y;
  for (int run = 0; run < 3; ++run)  // planned, frozen, and from the frozen plan
    y = to_f32_vector(session.run({{"x", Tensor::of<float>({m, kK}, std::span<const float>(x))}}).at("y"));
  return y;
}

/// sqrt(sum of squared differences / sum of squares)
double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0.0, size = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    size += double{b[i]} * b[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace

TEST_CASE("MatMulNBits: level 4 multiplies 8-bit activations where the session need not be deterministic") {
  constexpr double kEighthBit = 0.01;  // rounding to 1/254 of each block's largest: about 0.4 % of the root mean square
  for (const int bits : {2, 4, 8})
    for (const bool has_zeros : {false, true})
      for (const std::int64_t m : {1, 6}) {
        CAPTURE(bits);
        CAPTURE(has_zeros);
        CAPTURE(m);
        const std::vector<float> exact = outputs(product(bits, 4, has_zeros), true, m);
        const std::vector<float> quantized = outputs(product(bits, 4, has_zeros), false, m);
        CHECK(quantized != exact);
        CHECK(relative_error(quantized, exact) < kEighthBit);
      }
}

TEST_CASE("MatMulNBits: other levels keep float activations") {
  constexpr double kFloat = 1e-5;
  for (const std::int64_t level : {0, 1})
    CHECK(relative_error(outputs(product(4, level, true), false, 6), outputs(product(4, level, true), true, 6)) < kFloat);
}
