#include <doctest/doctest.h>

#include <cmath>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
const Tensor kQuery = Tensor::of<float>({1, 1, 2, 1}, {1, 1}), kKey = Tensor::of<float>({1, 1, 2, 1}, {0, 1}),
             kValue = Tensor::of<float>({1, 1, 2, 1}, {10, 20});
}

TEST_CASE("Attention: weights are the softmax of the products; causal queries see no later key") {
  const double p = std::exp(1.0) / (1.0 + std::exp(1.0));
  const auto plain = run_op_f32(make_node("Attention"), 23, {kQuery, kKey, kValue});
  CHECK(plain[0] == doctest::Approx(10.0 + 10.0 * p).epsilon(1e-6));
  CHECK(plain[1] == plain[0]);
  const auto causal = run_op_f32(make_node("Attention", {Attribute::of_int("is_causal", 1)}), 23, {kQuery, kKey, kValue});
  CHECK(causal[0] == 10.0f);
  CHECK(causal[1] == plain[1]);
}

TEST_CASE("Attention: a query that sees no key gives zeros") {
  const Tensor mask = Tensor::of<bool>({2, 2}, {false, false, true, false});
  CHECK(run_op_f32(make_node("Attention"), 23, {kQuery, kKey, kValue, mask}) == std::vector<float>{0, 10});
}

TEST_CASE("RotaryEmbedding: a quarter turn swaps the halves") {
  const Tensor x = Tensor::of<float>({1, 1, 1, 4}, {1, 2, 3, 4}), zero = Tensor::of<float>({1, 1, 2}, {0, 0}),
               one = Tensor::of<float>({1, 1, 2}, {1, 1});
  CHECK(run_op_f32(make_node("RotaryEmbedding"), 23, {x, zero, one}) == std::vector<float>{-3, -4, 1, 2});
  CHECK_THROWS_AS(run_op(make_node("RotaryEmbedding"), 23, {x, zero, one, Tensor::of<std::int64_t>({1, 1}, {7})}), Error);
}
