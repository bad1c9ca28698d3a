#include <doctest/doctest.h>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
const Tensor kFive = Tensor::of<float>({1, 1, 5}, {1, 5, 2, 4, 3});
std::vector<Attribute> pairs(std::vector<Attribute> more = {}) {
  more.push_back(Attribute::of_ints("kernel_shape", {2}));
  more.push_back(Attribute::of_ints("strides", {2}));
  return more;
}
}  // namespace

TEST_CASE("MaxPool: the last partial window counts with ceil_mode, and indices name the first maximum") {
  CHECK(run_op_f32(make_node("MaxPool", pairs()), 12, {kFive}) == std::vector<float>{5, 4});
  const auto outputs = run_op(make_node("MaxPool", pairs({Attribute::of_int("ceil_mode", 1)}), 2), 12, {kFive});
  CHECK(to_f32_vector(outputs[0]) == std::vector<float>{5, 4, 3});
  CHECK(to_f32_vector(outputs[1]) == std::vector<float>{1, 3, 4});
  const Tensor bytes = Tensor::of<std::uint8_t>({1, 1, 2}, {200, 100});
  CHECK(run_op(make_node("MaxPool", pairs()), 12, {bytes})[0].dtype() == DType::u8);
}

TEST_CASE("AveragePool: pads count only where asked") {
  CHECK(run_op_f32(make_node("AveragePool", pairs({Attribute::of_ints("pads", {1, 0})})), 11, {kFive}) ==
        std::vector<float>{1, 3.5f, 3.5f});
  CHECK(
      run_op_f32(make_node("AveragePool", pairs({Attribute::of_ints("pads", {1, 0}), Attribute::of_int("count_include_pad", 1)})),
                 11, {kFive}) == std::vector<float>{0.5f, 3.5f, 3.5f});
}

TEST_CASE("Global pools reduce every spatial axis") {
  const Tensor x = Tensor::of<float>({1, 2, 1, 2}, {1, 3, -4, 3});
  CHECK(run_op_f32(make_node("GlobalAveragePool"), 1, {x}) == std::vector<float>{2, -0.5f});
  CHECK(run_op_f32(make_node("GlobalMaxPool"), 1, {x}) == std::vector<float>{3, 3});
  CHECK(run_op_f32(make_node("GlobalLpPool"), 2, {Tensor::of<float>({1, 1, 2}, {3, -4})}) == std::vector<float>{5});
}

TEST_CASE("Softmax: before opset 13 all axes from the given one are one") {
  const Tensor x = Tensor::of<float>({1, 2, 2}, {0, 0, 0, 0});
  CHECK(run_op_f32(make_node("Softmax"), 11, {x}) == std::vector<float>{0.25f, 0.25f, 0.25f, 0.25f});
  CHECK(run_op_f32(make_node("Softmax"), 13, {x}) == std::vector<float>{0.5f, 0.5f, 0.5f, 0.5f});
}

TEST_CASE("MaxPool: windows that do not fit are refused") {
  CHECK_THROWS_AS(run_op(make_node("MaxPool"), 12, {kFive}), Error);
  CHECK_THROWS_AS(run_op(make_node("MaxPool", {Attribute::of_ints("kernel_shape", {9})}), 12, {kFive}), Error);
  CHECK_THROWS_AS(run_op(make_node("MaxPool", {Attribute::of_ints("kernel_shape", {0})}), 12, {kFive}), Error);
}

TEST_CASE("NhwcMaxPool: codes with the channels last") {
  const Tensor x = Tensor::of<std::int8_t>({1, 4, 2}, {1, -1, 5, -5, 2, -2, 4, -4});
  const auto y = run_op(make_node("NhwcMaxPool", pairs(), 1, "com.microsoft"), 1, {x});
  CHECK(y[0].dtype() == DType::i8);
  CHECK(y[0].shape() == Shape{1, 2, 2});
  CHECK(to_f32_vector(y[0]) == std::vector<float>{5, -1, 4, -2});
}
