#include <doctest/doctest.h>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
const Tensor kRow = Tensor::of<float>({1, 1, 4}, {1, 2, 3, 4});
const Tensor kPair = Tensor::of<float>({1, 1, 2}, {1, 10});
}  // namespace

TEST_CASE("Conv: one spatial axis, stride, pads and groups") {
  CHECK(run_op_f32(make_node("Conv"), 11, {kRow, kPair}) == std::vector<float>{21, 32, 43});
  CHECK(run_op_f32(make_node("Conv", {Attribute::of_ints("strides", {2}), Attribute::of_ints("pads", {1, 1})}), 11,
                   {kRow, kPair}) == std::vector<float>{10, 32, 4});
  const Tensor two = Tensor::of<float>({1, 2, 2}, {1, 2, 3, 4}), weights = Tensor::of<float>({2, 1, 1}, {1, 10}),
               bias = Tensor::of<float>({2}, {0.5f, 0});
  CHECK(run_op_f32(make_node("Conv", {Attribute::of_int("group", 2)}), 11, {two, weights, bias}) ==
        std::vector<float>{1.5f, 2.5f, 30, 40});
}

TEST_CASE("Conv: auto_pad SAME puts the odd element at the end or at the beginning") {
  CHECK(run_op_f32(make_node("Conv", {Attribute::of_string("auto_pad", "SAME_UPPER")}), 11, {kRow, kPair}) ==
        std::vector<float>{21, 32, 43, 4});
  CHECK(run_op_f32(make_node("Conv", {Attribute::of_string("auto_pad", "SAME_LOWER")}), 11, {kRow, kPair}) ==
        std::vector<float>{10, 21, 32, 43});
}

TEST_CASE("ConvTranspose: stride spreads the input") {
  CHECK(run_op_f32(make_node("ConvTranspose", {Attribute::of_ints("strides", {2})}), 11,
                   {Tensor::of<float>({1, 1, 2}, {1, 2}), kPair}) == std::vector<float>{1, 10, 2, 20});
}

TEST_CASE("Conv: broken attributes are refused with a typed error") {
  const auto refused = [](std::vector<Attribute> attributes) {
    try {
      run_op(make_node("Conv", std::move(attributes)), 11, {kRow, kPair});
    } catch (const Error& error) {
      return error.code() == ErrorCode::bad_graph || error.code() == ErrorCode::shape_mismatch;
    }
    return false;
  };
  CHECK(refused({Attribute::of_ints("strides", {0})}));
  CHECK(refused({Attribute::of_ints("strides", {1, 1})}));
  CHECK(refused({Attribute::of_ints("dilations", {-1})}));
  CHECK(refused({Attribute::of_ints("dilations", {9})}));
  CHECK(refused({Attribute::of_ints("pads", {-1, 0})}));
  CHECK(refused({Attribute::of_ints("pads", {std::int64_t{1} << 62, 0})}));
  CHECK(refused({Attribute::of_int("group", 0)}));
  CHECK(refused({Attribute::of_int("group", 3)}));
  CHECK(refused({Attribute::of_ints("kernel_shape", {3})}));
  CHECK(refused({Attribute::of_string("auto_pad", "SOMEHOW")}));
}

TEST_CASE("FusedConv: Z is added before the activation, whose parameters are checked") {
  const auto fused = [](std::vector<Attribute> attributes) {
    return make_node("FusedConv", std::move(attributes), 1, "com.microsoft");
  };
  const Tensor w = Tensor::of<float>({1, 1, 1}, {-1}), bias = Tensor::of<float>({1}, {2}),
               z = Tensor::of<float>({1, 1, 4}, {0, 0, 0, 5});
  // -x + 2: 1, 0, -1, -2
  CHECK(run_op_f32(fused({}), 1, {kRow, w, bias}) == std::vector<float>{1, 0, -1, -2});
  CHECK(run_op_f32(fused({Attribute::of_string("activation", "Relu")}), 1, {kRow, w, bias, z}) == std::vector<float>{1, 0, 0, 3});
  const Attribute params = Attribute::of_floats("activation_params", {-0.5f, 2});
  CHECK(run_op_f32(fused({Attribute::of_string("activation", "Clip"), params}), 1, {kRow, w, bias, z}) ==
        std::vector<float>{1, 0, -0.5f, 2});
  CHECK_THROWS_AS(run_op(fused({Attribute::of_string("activation", "Clip")}), 1, {kRow, w, bias}), Error);
  CHECK_THROWS_AS(run_op(fused({Attribute::of_string("activation", "Gelu")}), 1, {kRow, w, bias}), Error);
  CHECK_THROWS_AS(run_op(fused({}), 1, {kRow, w, bias, bias}), Error);
}
