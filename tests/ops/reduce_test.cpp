#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "ops/run_op.h"

namespace bitwright::tests {
namespace {

Tensor counted(Shape shape) {
  Tensor tensor(DType::f32, std::move(shape));
  std::iota(tensor.data<float>().begin(), tensor.data<float>().end(), 0.0f);
  return tensor;
}
Tensor list(std::initializer_list<std::int64_t> values) {
  return Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
}
using Floats = std::vector<float>;

}  // namespace

TEST_CASE("reduce: axes inside, outside and on both sides give the sums of plain loops") {
  const Tensor x = counted({2, 3, 2});
  const auto sum = [&](std::initializer_list<std::int64_t> axes) {
    return run_op_f32(make_node("ReduceSum"), 13, {x, list(axes)});
  };
  CHECK(sum({2}) == Floats{1, 5, 9, 13, 17, 21});
  CHECK(sum({0}) == Floats{6, 8, 10, 12, 14, 16});
  CHECK(sum({1}) == Floats{6, 9, 24, 27});
  CHECK(sum({0, -1}) == Floats{14, 22, 30});
  CHECK(sum({0, 1, 2}) == Floats{66});
  CHECK_THROWS_AS(sum({3}), Error);
  CHECK_THROWS_AS(sum({0, -3}), Error);
}

TEST_CASE("reduce: axes are an attribute before the opset that made them an input") {
  const Tensor x = counted({2, 2});
  CHECK(run_op_f32(make_node("ReduceMean", {Attribute::of_ints("axes", {1}), Attribute::of_int("keepdims", 0)}), 13, {x}) ==
        Floats{0.5f, 2.5f});
  CHECK(run_op_f32(make_node("ReduceMean"), 18, {x, list({1})}) == Floats{0.5f, 2.5f});
  CHECK(run_op_f32(make_node("ReduceMean"), 18, {x}) == Floats{1.5f});
  CHECK(run_op_f32(make_node("ReduceMean", {Attribute::of_int("noop_with_empty_axes", 1)}), 18, {x}) == to_f32_vector(x));
}

TEST_CASE("reduce: a sum of a hundred thousand small numbers is right to the last bit") {
  Tensor x(DType::f32, {100000});
  for (float& value : x.data<float>()) value = 0.1f;
  CHECK(run_op_f32(make_node("ReduceSum"), 13, {x})[0] == static_cast<float>(100000.0 * static_cast<double>(0.1f)));
}

TEST_CASE("reduce: LogSumExp does not overflow, and empty sets give the neutral element") {
  CHECK(run_op_f32(make_node("ReduceLogSumExp"), 18, {Tensor::of<float>({2}, {1000.0f, 1000.0f})})[0] ==
        doctest::Approx(1000.6931).epsilon(1e-6));
  const Tensor empty(DType::f32, {0, 2});
  CHECK(run_op_f32(make_node("ReduceSum"), 13, {empty, list({0})}) == Floats{0, 0});
  CHECK(run_op_f32(make_node("ReduceProd"), 18, {empty, list({0})}) == Floats{1, 1});
  CHECK(run_op_f32(make_node("ReduceMax"), 20, {empty, list({0})})[0] == -std::numeric_limits<float>::infinity());
}

TEST_CASE("ArgMax and TopK: equal elements keep their order, NaN counts as the greatest") {
  const Tensor x = Tensor::of<float>({5}, {1.0f, 3.0f, -0.0f, 3.0f, 0.0f});
  CHECK(to_i64_vector(run_op(make_node("ArgMax"), 13, {x})[0]) == std::vector<std::int64_t>{1});
  CHECK(to_i64_vector(run_op(make_node("ArgMax", {Attribute::of_int("select_last_index", 1)}), 13, {x})[0]) ==
        std::vector<std::int64_t>{3});
  CHECK(to_i64_vector(run_op(make_node("ArgMin"), 13, {x})[0]) == std::vector<std::int64_t>{2});
  const std::vector<Tensor> top = run_op(make_node("TopK", {}, 2), 11, {x, list({3})});
  CHECK(to_f32_vector(top[0]) == Floats{3, 3, 1});
  CHECK(to_i64_vector(top[1]) == std::vector<std::int64_t>{1, 3, 0});
  const std::vector<Tensor> bottom = run_op(make_node("TopK", {Attribute::of_int("largest", 0)}, 2), 11, {x, list({2})});
  CHECK(to_i64_vector(bottom[1]) == std::vector<std::int64_t>{2, 4});
  const Tensor with_nan = Tensor::of<float>({3}, {1.0f, std::numeric_limits<float>::quiet_NaN(), 2.0f});
  CHECK(to_i64_vector(run_op(make_node("TopK", {}, 2), 11, {with_nan, list({1})})[1]) == std::vector<std::int64_t>{1});
  CHECK_THROWS_AS(run_op(make_node("TopK", {}, 2), 11, {x, list({6})}), Error);
  CHECK_THROWS_AS(run_op(make_node("ArgMax"), 13, {Tensor(DType::f32, {0})}), Error);
}

TEST_CASE("CumSum: exclusive and reverse") {
  const Tensor x = counted({4});
  const auto sum = [&](std::int64_t exclusive, std::int64_t reverse) {
    return run_op_f32(make_node("CumSum", {Attribute::of_int("exclusive", exclusive), Attribute::of_int("reverse", reverse)}), 14,
                      {x, Tensor::scalar<std::int64_t>(0)});
  };
  CHECK(sum(0, 0) == Floats{0, 1, 3, 6});
  CHECK(sum(1, 0) == Floats{0, 0, 1, 3});
  CHECK(sum(0, 1) == Floats{6, 6, 5, 3});
}

TEST_CASE("NonMaxSuppression: an overlapping box of lower score is dropped") {
  const Tensor boxes = Tensor::of<float>({1, 3, 4}, {0, 0, 1, 1, 0, 0.1f, 1, 1.1f, 0, 10, 1, 11});
  const Tensor scores = Tensor::of<float>({1, 1, 3}, {0.9f, 0.75f, 0.6f});
  const Tensor kept = run_op(make_node("NonMaxSuppression"), 11,
                             {boxes, scores, Tensor::scalar<std::int64_t>(3), Tensor::scalar(0.5f), Tensor::scalar(0.0f)})[0];
  CHECK(kept.shape() == Shape{2, 3});
  CHECK(to_i64_vector(kept) == std::vector<std::int64_t>{0, 0, 0, 0, 0, 2});
}

TEST_CASE("DFT: lengths that are no power of two agree with the definition, in both directions") {
  for (const std::int64_t n : {3, 6, 7, 30, 97, 400}) {
    CAPTURE(n);
    Tensor x(DType::f64, {1, n, 2});
    const std::span<double> given = x.data<double>();
    for (std::size_t i = 0; i < given.size(); ++i) given[i] = static_cast<double>(i * i % 11) - 5.0;
    for (const std::int64_t inverse : {0, 1}) {
      const Tensor y = run_op(make_node("DFT", {Attribute::of_int("inverse", inverse)}), 20,
                              {x, Tensor(), Tensor::scalar<std::int64_t>(1)})[0];
      REQUIRE(y.shape() == Shape{1, n, 2});
      const std::span<const double> found = y.data<double>();
      double worst = 0.0;
      for (std::int64_t k = 0; k < n; ++k) {
        double re = 0.0;
        double im = 0.0;
        for (std::int64_t i = 0; i < n; ++i) {
          const double turns = static_cast<double>(k * i % n) / static_cast<double>(n);
          const double angle = (inverse != 0 ? 2.0 : -2.0) * 3.141592653589793 * turns;
          const double a = given[static_cast<std::size_t>(2 * i)];
          const double b = given[static_cast<std::size_t>(2 * i + 1)];
          re += a * std::cos(angle) - b * std::sin(angle);
          im += a * std::sin(angle) + b * std::cos(angle);
        }
        const double scale = inverse != 0 ? static_cast<double>(n) : 1.0;
        worst = std::max({worst, std::fabs(found[static_cast<std::size_t>(2 * k)] - re / scale),
                          std::fabs(found[static_cast<std::size_t>(2 * k + 1)] - im / scale)});
      }
      CHECK(worst < 1e-9);
    }
  }
}

}  // namespace bitwright::tests
