#include <doctest/doctest.h>

#include <limits>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

TEST_CASE("QuantizeLinear: halves round to even, ends saturate, NaN becomes the zero point") {
  const Tensor x = Tensor::of<float>({6}, {1.0f, 3.0f, -5.0f, 1000.0f, -1000.0f, std::numeric_limits<float>::quiet_NaN()});
  const Tensor scale = Tensor::scalar<float>(2.0f), zero_point = Tensor::scalar<std::uint8_t>(10);
  CHECK(run_op_f32(make_node("QuantizeLinear"), 13, {x, scale, zero_point}) == std::vector<float>{10, 12, 8, 255, 0, 10});
  CHECK(run_op(make_node("QuantizeLinear"), 13, {x, scale})[0].dtype() == DType::u8);
}

TEST_CASE("QuantizeLinear: a scale for each index of an axis, or for each block") {
  const Tensor x = Tensor::of<float>({2, 4}, {1, 2, 3, 4, 10, 20, 30, 40});
  const Tensor rows = Tensor::of<float>({2}, {1, 10}), codes = Tensor::of<std::int8_t>({2}, {0, 1});
  CHECK(run_op_f32(make_node("QuantizeLinear", {Attribute::of_int("axis", 0)}), 13, {x, rows, codes}) ==
        std::vector<float>{1, 2, 3, 4, 2, 3, 4, 5});
  const Tensor blocks = Tensor::of<float>({2, 2}, {1, 2, 5, 10}), zeros = Tensor::of<std::int8_t>({2, 2}, {0, 0, 0, 0});
  const Node blocked = make_node("QuantizeLinear", {Attribute::of_int("axis", 1), Attribute::of_int("block_size", 2)});
  CHECK(run_op_f32(blocked, 21, {x, blocks, zeros}) == std::vector<float>{1, 2, 2, 2, 2, 4, 3, 4});
}

TEST_CASE("DequantizeLinear: scale times the distance from the zero point, also for int32") {
  const Tensor x = Tensor::of<std::uint8_t>({3}, {0, 128, 255});
  CHECK(run_op_f32(make_node("DequantizeLinear"), 13, {x, Tensor::scalar<float>(0.5f), Tensor::scalar<std::uint8_t>(128)}) ==
        std::vector<float>{-64, 0, 63.5f});
  CHECK(
      run_op_f32(make_node("DequantizeLinear"), 13, {Tensor::of<std::int32_t>({2}, {-3, 7}), Tensor::of<float>({1}, {0.25f})}) ==
      std::vector<float>{-0.75f, 1.75f});
}

TEST_CASE("DynamicQuantizeLinear: the range is widened to hold 0") {
  const auto outputs = run_op(make_node("DynamicQuantizeLinear", {}, 3), 11, {Tensor::of<float>({3}, {51, 255, 127.6f})});
  CHECK(to_f32_vector(outputs[0]) == std::vector<float>{51, 255, 128});
  CHECK(to_f32_vector(outputs[1]) == std::vector<float>{1});
  CHECK(to_f32_vector(outputs[2]) == std::vector<float>{0});
}

TEST_CASE("QuantizeLinear: scales that do not fit are refused") {
  const Tensor x = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  CHECK_THROWS_AS(run_op(make_node("QuantizeLinear"), 13, {x, Tensor::of<float>({3}, {1, 1, 1})}), Error);
  CHECK_THROWS_AS(run_op(make_node("QuantizeLinear"), 13, {x, Tensor::of<float>({2}, {1, 1}), Tensor::of<std::int8_t>({1}, {0})}),
                  Error);
  CHECK_THROWS_AS(run_op(make_node("QuantizeLinear", {Attribute::of_int("axis", 5)}), 13, {x, Tensor::of<float>({2}, {1, 1})}),
                  Error);
  CHECK_THROWS_AS(
      run_op(make_node("QuantizeLinear", {Attribute::of_int("block_size", -1)}), 21, {x, Tensor::of<float>({2}, {1, 1})}), Error);
}
