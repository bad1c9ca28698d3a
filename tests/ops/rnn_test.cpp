#include <doctest/doctest.h>

#include <cmath>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

Attribute activations(std::vector<std::string> names) {
  Attribute attribute;
  attribute.name = "activations";
  attribute.type = AttributeType::strings;
  attribute.strings = std::move(names);
  return attribute;
}

const Tensor kSteps = Tensor::of<float>({3, 1, 1}, {1, 2, 3});
const Tensor kOne = Tensor::of<float>({1, 1, 1}, {1}), kTen = Tensor::of<float>({1, 1, 1}, {10});

}  // namespace

TEST_CASE("RNN: h = x + 10 h, forwards and backwards, with a bias in two halves") {
  const Node forward = make_node("RNN", {activations({"Affine"})}, 2);
  const auto y = run_op(forward, 14, {kSteps, kOne, kTen});
  CHECK(to_f32_vector(y[0]) == std::vector<float>{1, 12, 123});
  CHECK(to_f32_vector(y[1]) == std::vector<float>{123});
  const Node reverse = make_node("RNN", {activations({"Affine"}), Attribute::of_string("direction", "reverse")}, 2);
  CHECK(to_f32_vector(run_op(reverse, 14, {kSteps, kOne, kTen})[0]) == std::vector<float>{321, 32, 3});
  CHECK(to_f32_vector(run_op(forward, 14, {kSteps, kOne, kTen, Tensor::of<float>({1, 2}, {0.5f, 0.5f})})[0]) ==
        std::vector<float>{2, 23, 234});
}

TEST_CASE("RNN: rows beyond their sequence give zeros and keep their state") {
  const Tensor x = Tensor::of<float>({2, 2, 1}, {1, 5, 2, 6});
  const Node node = make_node("RNN", {activations({"Affine"}), Attribute::of_string("direction", "reverse")}, 2);
  const auto y = run_op(node, 14, {x, kOne, kTen, Tensor(), Tensor::of<std::int32_t>({2}, {2, 1})});
  CHECK(to_f32_vector(y[0]) == std::vector<float>{21, 5, 2, 0});
  CHECK(to_f32_vector(y[1]) == std::vector<float>{21, 5});
}

TEST_CASE("LSTM: one step against float64, constant weights kept packed") {
  const Tensor x = Tensor::of<float>({1, 1, 1}, {0.5f});
  const Tensor w = Tensor::of<float>({1, 4, 1}, {1, 2, 3, 4}), r = Tensor::of<float>({1, 4, 1}, {0, 0, 0, 0});
  const auto sigmoid = [](double v) { return 1.0 / (1.0 + std::exp(-v)); };
  const double c = sigmoid(0.5) * std::tanh(2.0), h = sigmoid(1.0) * std::tanh(c);
  std::unique_ptr<OpState> kept;
  for (int run = 0; run < 2; ++run) {
    const auto y = run_op(make_node("LSTM", {}, 3), 14, {x, w, r}, true, &kept);
    CHECK(to_f32_vector(y[1])[0] == doctest::Approx(h).epsilon(1e-6));
    CHECK(to_f32_vector(y[2])[0] == doctest::Approx(c).epsilon(1e-6));
  }
  CHECK(kept != nullptr);
}

TEST_CASE("DynamicQuantizeLSTM: weights and inputs that are codes already give the float result") {
  // x = 1 over a range of [0, 1] is the code 255 exactly; weights are codes times 1.
  const Tensor x = Tensor::of<float>({1, 1, 1}, {1.0f}), w = Tensor::of<std::int8_t>({1, 1, 4}, {1, 2, 3, 4}),
               r = Tensor::of<std::int8_t>({1, 1, 4}, {0, 0, 0, 0});
  const Tensor scale = Tensor::of<float>({1}, {1.0f}), zero = Tensor::of<std::int8_t>({1}, {0});
  const Tensor none;
  const auto y = run_op(make_node("DynamicQuantizeLSTM", {}, 3, "com.microsoft"), 1,
                        {x, w, r, none, none, none, none, none, scale, zero, scale, zero});
  const auto expected = run_op(make_node("LSTM", {}, 3), 14,
                               {x, Tensor::of<float>({1, 4, 1}, {1, 2, 3, 4}), Tensor::of<float>({1, 4, 1}, {0, 0, 0, 0})});
  CHECK(to_f32_vector(y[2])[0] == doctest::Approx(to_f32_vector(expected[2])[0]).epsilon(1e-6));
}

TEST_CASE("Recurrent operators refuse weights that do not fit") {
  CHECK_THROWS_AS(run_op(make_node("LSTM", {}, 3), 14, {kSteps, kOne, kTen}), Error);
  CHECK_THROWS_AS(run_op(make_node("RNN", {activations({"Swish"})}, 2), 14, {kSteps, kOne, kTen}), Error);
  CHECK_THROWS_AS(run_op(make_node("RNN", {Attribute::of_int("hidden_size", 3)}, 2), 14, {kSteps, kOne, kTen}), Error);
  CHECK_THROWS_AS(run_op(make_node("RNN", {}, 2), 14, {kSteps, kOne, kTen, Tensor(), Tensor::of<std::int32_t>({1}, {9})}), Error);
}
