#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "base/float16.h"
#include "ops/run_op.h"

namespace bitwright::tests {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<std::int64_t> ints(const Tensor& tensor) { return to_i64_vector(tensor); }
Tensor row(std::initializer_list<float> values) { return Tensor::of<float>({static_cast<std::int64_t>(values.size())}, values); }
Tensor row_i64(std::initializer_list<std::int64_t> values) {
  return Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
}

}  // namespace

TEST_CASE("unary: rounding goes half to even and keeps the sign of zero") {
  const auto y = run_op_f32(make_node("Round"), 22, {row({0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 8388609.0f, -2.4f})});
  CHECK(y == std::vector<float>{0.0f, 2.0f, 2.0f, -0.0f, -2.0f, 8388609.0f, -2.0f});
  CHECK(std::signbit(y[3]));
  CHECK(run_op_f32(make_node("Floor"), 13, {row({-0.5f, 0.5f, -2.0f, 1e30f, -kInf})}) ==
        std::vector<float>{-1.0f, 0.0f, -2.0f, 1e30f, -kInf});
  CHECK(run_op_f32(make_node("Ceil"), 13, {row({-0.5f, 0.5f, -2.0f, 1e30f, kInf})}) ==
        std::vector<float>{-0.0f, 1.0f, -2.0f, 1e30f, kInf});
}

TEST_CASE("unary: Relu and Clip let NaN through") {
  CHECK(std::isnan(run_op_f32(make_node("Relu"), 14, {row({kNan})})[0]));
  CHECK(std::isnan(run_op_f32(make_node("Clip"), 13, {row({kNan}), Tensor::scalar(0.0f), Tensor::scalar(6.0f)})[0]));
}

TEST_CASE("unary: Clip takes its bounds from attributes before opset 11, from inputs after") {
  const Tensor x = row({-3.0f, 1.0f, 9.0f});
  const Node old_form = make_node("Clip", {Attribute::of_float("min", -1.0f), Attribute::of_float("max", 2.0f)});
  CHECK(run_op_f32(old_form, 7, {x}) == std::vector<float>{-1.0f, 1.0f, 2.0f});
  CHECK(run_op_f32(make_node("Clip"), 13, {x, Tensor(), Tensor::scalar(2.0f)}) == std::vector<float>{-3.0f, 1.0f, 2.0f});
  CHECK(ints(run_op(make_node("Clip"), 13,
                    {row_i64({-3, 1, 9}), Tensor::scalar<std::int64_t>(0), Tensor::scalar<std::int64_t>(5)})[0]) ==
        std::vector<std::int64_t>{0, 1, 5});
}

TEST_CASE("unary: activations give their defining values") {
  CHECK(run_op_f32(make_node("LeakyRelu", {Attribute::of_float("alpha", 0.5f)}), 16, {row({-2.0f, 3.0f})}) ==
        std::vector<float>{-1.0f, 3.0f});
  CHECK(run_op_f32(make_node("HardSigmoid"), 22, {row({-10.0f, 0.0f, 10.0f})}) == std::vector<float>{0.0f, 0.5f, 1.0f});
  CHECK(run_op_f32(make_node("HardSwish"), 22, {row({-4.0f, 3.0f, 5.0f})}) == std::vector<float>{-0.0f, 3.0f, 5.0f});
  CHECK(run_op_f32(make_node("Shrink", {Attribute::of_float("lambd", 1.5f), Attribute::of_float("bias", 1.5f)}), 9,
                   {row({-2.0f, 0.0f, 2.0f})}) == std::vector<float>{-0.5f, 0.0f, 0.5f});
  CHECK(run_op_f32(make_node("Sigmoid"), 13, {row({0.0f})})[0] == 0.5f);
  CHECK(run_op_f32(make_node("Gelu"), 20, {row({1.0f})})[0] == doctest::Approx(0.8413447461).epsilon(1e-6));
  CHECK_THROWS_AS(run_op(make_node("Gelu", {Attribute::of_string("approximate", "cubic")}), 20, {row({1.0f})}), Error);
}

TEST_CASE("unary: a half float is computed as float and rounded once") {
  Tensor x(DType::f16, {2});
  x.data<std::uint16_t>()[0] = f32_to_f16(1.0f);
  x.data<std::uint16_t>()[1] = f32_to_f16(-2.0f);
  const Tensor y = run_op(make_node("Exp"), 13, {x})[0];
  CHECK(y.dtype() == DType::f16);
  CHECK(y.data<std::uint16_t>()[0] == f32_to_f16(2.7182818f));
  CHECK(y.data<std::uint16_t>()[1] == f32_to_f16(0.13533528f));
}

TEST_CASE("binary: every pattern of broadcasting gives the same sums as plain loops") {
  for (const auto& [a_shape, b_shape] : std::vector<std::pair<Shape, Shape>>{{{2, 3, 5}, {2, 3, 5}},
                                                                             {{2, 3, 5}, {}},
                                                                             {{}, {2, 3, 5}},
                                                                             {{2, 3, 5}, {3, 1}},
                                                                             {{2, 1, 5}, {3, 1}},
                                                                             {{5}, {2, 3, 1}},
                                                                             {{2, 3, 5}, {1, 1, 5}}}) {
    const Shape out = broadcast(a_shape, b_shape);
    Tensor a(DType::f32, a_shape);
    Tensor b(DType::f32, b_shape);
    for (std::size_t i = 0; i < a.data<float>().size(); ++i) a.data<float>()[i] = static_cast<float>(i);
    for (std::size_t i = 0; i < b.data<float>().size(); ++i) b.data<float>()[i] = 100.0f * static_cast<float>(i);
    const Tensor y = run_op(make_node("Add"), 14, {a, b})[0];
    REQUIRE(y.shape() == out);
    const auto at = [&](const Tensor& tensor, std::int64_t i, std::int64_t j, std::int64_t k) {
      const std::int64_t index[3] = {i, j, k};
      std::int64_t place = 0;
      for (std::size_t axis = 0; axis < tensor.rank(); ++axis)
        place = place * tensor.extent(axis) + (tensor.extent(axis) == 1 ? 0 : index[3 - tensor.rank() + axis]);
      return tensor.data<float>()[static_cast<std::size_t>(place)];
    };
    for (std::int64_t i = 0; i < 2; ++i)
      for (std::int64_t j = 0; j < 3; ++j)
        for (std::int64_t k = 0; k < 5; ++k) CHECK(at(y, i, j, k) == at(a, i, j, k) + at(b, i, j, k));
  }
  CHECK_THROWS_AS(run_op(make_node("Add"), 14, {row({1.0f, 2.0f}), row({1.0f, 2.0f, 3.0f})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Add"), 14, {row({1.0f}), row_i64({1})}), Error);
}

TEST_CASE("binary: integers wrap, divide toward zero, and never trap") {
  const std::int64_t least = std::numeric_limits<std::int64_t>::min();
  CHECK(ints(run_op(make_node("Div"), 14, {row_i64({7, -7, 7, least, 5}), row_i64({2, 2, -2, -1, 0})})[0]) ==
        std::vector<std::int64_t>{3, -3, -3, least, 0});
  CHECK(ints(run_op(make_node("Mod"), 13, {row_i64({7, -7, 7, -7}), row_i64({3, 3, -3, -3})})[0]) ==
        std::vector<std::int64_t>{1, 2, -2, -1});
  const Node c_remainder = make_node("Mod", {Attribute::of_int("fmod", 1)});
  CHECK(ints(run_op(c_remainder, 13, {row_i64({7, -7, 7, -7}), row_i64({3, 3, -3, -3})})[0]) ==
        std::vector<std::int64_t>{1, -1, 1, -1});
  const Tensor bytes = Tensor::of<std::uint8_t>({2}, {200, 3});
  CHECK(ints(run_op(make_node("Add"), 14, {bytes, bytes})[0]) == std::vector<std::int64_t>{144, 6});
  const Tensor large = Tensor::of<std::uint64_t>({1}, {0xffffffffffffffffull});
  CHECK(run_op(make_node("Max"), 13, {large, Tensor::of<std::uint64_t>({1}, {1})})[0].data<std::uint64_t>()[0] ==
        0xffffffffffffffffull);
  CHECK(ints(run_op(make_node("Greater"), 13, {large, Tensor::of<std::uint64_t>({1}, {1})})[0]) == std::vector<std::int64_t>{1});
}

TEST_CASE("binary: BitShift to the right keeps the sign of signed integers, and any distance is defined") {
  const auto shift = [](const Tensor& a, const Tensor& b, const char* direction) {
    return ints(run_op(make_node("BitShift", {Attribute::of_string("direction", direction)}), 28, {a, b})[0]);
  };
  const Tensor bytes = Tensor::of<std::int8_t>({3}, {-128, 64, -1});
  CHECK(shift(bytes, Tensor::of<std::int8_t>({3}, {3, 3, 100}), "RIGHT") == std::vector<std::int64_t>{-16, 8, -1});
  CHECK(shift(Tensor::of<std::uint8_t>({2}, {0x81, 1}), Tensor::of<std::uint8_t>({2}, {1, 200}), "LEFT") ==
        std::vector<std::int64_t>{2, 0});
  CHECK_THROWS_AS(shift(bytes, bytes, "UP"), Error);
}

TEST_CASE("binary: Pow takes an exponent of another type and keeps the base's type") {
  CHECK(run_op_f32(make_node("Pow"), 15, {row({3.0f, 2.0f}), row_i64({2, -1})}) == std::vector<float>{9.0f, 0.5f});
  CHECK(ints(run_op(make_node("Pow"), 15, {row_i64({3, -2}), row_i64({4, 3})})[0]) == std::vector<std::int64_t>{81, -8});
}

TEST_CASE("binary: Min and Max give NaN where either side is NaN") {
  for (const char* op : {"Min", "Max"}) {
    CHECK(std::isnan(run_op_f32(make_node(op), 13, {row({kNan}), row({1.0f})})[0]));
    CHECK(std::isnan(run_op_f32(make_node(op), 13, {row({1.0f}), row({kNan})})[0]));
  }
}

TEST_CASE("binary: Where chooses element by element with three-way broadcasting") {
  Tensor condition(DType::boolean, {2, 1});
  condition.bytes()[0] = 1;
  condition.bytes()[1] = 0;
  CHECK(run_op_f32(make_node("Where"), 16, {condition, row({1.0f, 2.0f}), Tensor::scalar(9.0f)}) ==
        std::vector<float>{1.0f, 2.0f, 9.0f, 9.0f});
}

TEST_CASE("cast: floats truncate to integers, round to small floats and saturate when told") {
  const auto cast = [](const Tensor& x, DType to, std::int64_t saturate = 1) {
    return run_op(
        make_node("Cast", {Attribute::of_int("to", static_cast<std::int64_t>(to)), Attribute::of_int("saturate", saturate)}), 19,
        {x})[0];
  };
  CHECK(ints(cast(row({-1.9f, 1.9f, 300.0f, kNan}), DType::u8)) == std::vector<std::int64_t>{255, 1, 44, 0});
  CHECK(ints(cast(row({-0.0f, 0.25f}), DType::boolean)) == std::vector<std::int64_t>{0, 1});
  const Tensor f8 = cast(row({448.0f, 500.0f, 1.0f, -0.001953125f}), DType::f8e4m3fn);
  CHECK(f8.bytes()[0] == 0x7e);
  CHECK(f8.bytes()[1] == 0x7e);
  CHECK(f8.bytes()[2] == 0x38);
  CHECK(f8.bytes()[3] == 0x81);
  CHECK(cast(row({500.0f}), DType::f8e4m3fn, 0).bytes()[0] == 0x7f);
  CHECK(cast(row({1e6f}), DType::f8e5m2, 0).bytes()[0] == 0x7c);
  const Tensor nibbles = cast(row({-8.0f, 7.0f, 1.0f}), DType::i4);
  CHECK(nibbles.bytes()[0] == 0x78);
  CHECK((nibbles.bytes()[1] & 15) == 1);
  CHECK(cast(Tensor::of<std::uint64_t>({1}, {0x8000000000000000ull}), DType::f32).data<float>()[0] == 0x1p63f);
  CHECK_THROWS_AS(cast(Tensor::of_strings({1}, {"1"}), DType::f32), Error);
}

}  // namespace bitwright::tests
