#include <doctest/doctest.h>

#include <cmath>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
Tensor one_per_channel(float a, float b) { return Tensor::of<float>({2}, {a, b}); }
const Attribute kNoEpsilon = Attribute::of_float("epsilon", 0.0f);
}  // namespace

TEST_CASE("BatchNormalization: subtracts the mean, divides by the deviation, scales and shifts") {
  const Tensor x = Tensor::of<float>({1, 2, 2}, {1, 5, 10, 20});
  CHECK(run_op_f32(make_node("BatchNormalization", {kNoEpsilon}), 15,
                   {x, one_per_channel(1, 2), one_per_channel(0, 100), one_per_channel(3, 10), one_per_channel(4, 25)}) ==
        std::vector<float>{-1, 1, 100, 104});
}

TEST_CASE("LayerNormalization and RMSNormalization: rows of two, worked by hand") {
  const Tensor x = Tensor::of<float>({2, 2}, {1, 3, -6, 8});
  const Tensor scale = one_per_channel(1, 10), bias = one_per_channel(0, 1);
  CHECK(run_op_f32(make_node("LayerNormalization", {kNoEpsilon}), 17, {x, scale, bias}) == std::vector<float>{-1, 11, -1, 11});
  const auto y = run_op_f32(make_node("RMSNormalization", {kNoEpsilon}), 23, {Tensor::of<float>({1, 2}, {1, 7}), scale});
  CHECK(y[0] == doctest::Approx(0.2));
  CHECK(y[1] == doctest::Approx(14.0));
}

TEST_CASE("LRN: neighbours on the channel axis, the extra one after") {
  const Tensor x = Tensor::of<float>({1, 2, 1}, {1, 2});
  const Node node =
      make_node("LRN", {Attribute::of_int("size", 2), Attribute::of_float("alpha", 2.0f), Attribute::of_float("beta", 1.0f)});
  const auto y = run_op_f32(node, 13, {x});
  CHECK(y[0] == doctest::Approx(1.0 / 6.0));
  CHECK(y[1] == doctest::Approx(2.0 / 5.0));
}

TEST_CASE("Normalizations refuse values that do not fit the channels") {
  const Tensor x = Tensor::of<float>({1, 3, 1}, {1, 2, 3});
  CHECK_THROWS_AS(run_op(make_node("InstanceNormalization"), 6, {x, one_per_channel(1, 1), one_per_channel(0, 0)}), Error);
  CHECK_THROWS_AS(run_op(make_node("GroupNormalization", {Attribute::of_int("num_groups", 2)}), 21, {x, x, x}), Error);
}
