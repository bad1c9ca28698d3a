#include <doctest/doctest.h>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
const Tensor kA = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
const Tensor kB = Tensor::of<float>({2, 3}, {1, 0, 2, 0, 1, 3});
}  // namespace

TEST_CASE("MatMul: two matrices, a constant right one packed, and integers") {
  const std::vector<float> expected{1, 2, 8, 3, 4, 18};
  CHECK(run_op_f32(make_node("MatMul"), 13, {kA, kB}) == expected);
  CHECK(run_op_f32(make_node("MatMul"), 13, {kA, kB}, true) == expected);
  const Tensor a = Tensor::of<std::int32_t>({2, 2}, {1, 2, 3, 4}), b = Tensor::of<std::int32_t>({2, 3}, {1, 0, 2, 0, 1, 3});
  CHECK(run_op_f32(make_node("MatMul"), 13, {a, b}) == expected);
}

TEST_CASE("MatMul: batches broadcast") {
  const Tensor a = Tensor::of<float>({2, 1, 2}, {1, 2, 3, 4}), b = Tensor::of<float>({2, 2, 1}, {1, 0, 0, 1});
  CHECK(run_op_f32(make_node("MatMul"), 13, {a, b}) == std::vector<float>{1, 4});
}

TEST_CASE("Gemm: alpha, beta, transposes and a broadcast C") {
  const Tensor c = Tensor::of<float>({1, 3}, {10, 20, 30});
  const Node node = make_node("Gemm", {Attribute::of_float("alpha", 0.5f), Attribute::of_float("beta", 2.0f)});
  CHECK(run_op_f32(node, 13, {kA, kB, c}) == std::vector<float>{20.5f, 41, 64, 21.5f, 42, 69});
  const Tensor a = Tensor::of<float>({2, 2}, {1, 3, 2, 4}), b = Tensor::of<float>({3, 2}, {1, 0, 0, 1, 2, 3});
  const Node both = make_node("Gemm", {Attribute::of_int("transA", 1), Attribute::of_int("transB", 1)});
  CHECK(run_op_f32(both, 13, {a, b, c}, true) == std::vector<float>{11, 22, 38, 13, 24, 48});
}

TEST_CASE("MatMul: rows and columns of different lengths are refused") {
  CHECK_THROWS_AS(run_op(make_node("MatMul"), 13, {kB, kA}), Error);
  CHECK_THROWS_AS(run_op(make_node("Gemm"), 13, {kA, kB, Tensor::of<float>({2}, {1, 2})}), Error);
}

TEST_CASE("Gemm: doubles are multiplied as doubles, with transposes and a broadcast C") {
  // 1 + 2^-40 is no float.
  const Tensor a = Tensor::of<double>({2, 1}, {1.0 + 0x1p-40, 3}), b = Tensor::of<double>({2, 2}, {1, 2, 0, 1});
  const Tensor c = Tensor::of<double>({1, 2}, {10, 20});
  const Node node = make_node("Gemm", {Attribute::of_int("transA", 1), Attribute::of_int("transB", 1),
                                       Attribute::of_float("alpha", 2), Attribute::of_float("beta", 0.5f)});
  const Tensor y = run_op(node, 13, {a, b, c})[0];
  CHECK(y.dtype() == DType::f64);
  CHECK(y.data<double>()[0] == 2 * (1.0 + 0x1p-40 + 6) + 5);  // [1 + e, 3] . [1, 2]
  CHECK(y.data<double>()[1] == 2 * 3.0 + 10);                 // [1 + e, 3] . [0, 1]
  CHECK(run_op(make_node("Gemm"), 13, {Tensor::of<double>({1, 1}, {0x1p-30}), Tensor::of<double>({1, 1}, {3})})[0]
            .data<double>()[0] == 3 * 0x1p-30);
}
