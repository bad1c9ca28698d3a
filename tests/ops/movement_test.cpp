#include <doctest/doctest.h>

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

TEST_CASE("Transpose: every order of four axes puts each element where its index says") {
  const Shape shape = {3, 5, 1, 18};
  const Tensor x = counted(shape);
  std::vector<std::int64_t> perm = {0, 1, 2, 3};
  do {
    const Tensor y = run_op(make_node("Transpose", {Attribute::of_ints("perm", perm)}), 13, {x})[0];
    std::size_t next = 0;
    const std::vector<std::int64_t> strides = row_major_strides(shape);
    const auto extent = [&](std::size_t i) { return shape[static_cast<std::size_t>(perm[i])]; };
    const auto stride = [&](std::size_t i) { return strides[static_cast<std::size_t>(perm[i])]; };
    bool is_right = y.shape() == Shape{extent(0), extent(1), extent(2), extent(3)};
    for (std::int64_t a = 0; a < extent(0); ++a)
      for (std::int64_t b = 0; b < extent(1); ++b)
        for (std::int64_t c = 0; c < extent(2); ++c)
          for (std::int64_t d = 0; d < extent(3); ++d)
            is_right = is_right && y.data<float>()[next++] ==
                                       static_cast<float>(a * stride(0) + b * stride(1) + c * stride(2) + d * stride(3));
    CHECK(is_right);
  } while (std::next_permutation(perm.begin(), perm.end()));
  CHECK_THROWS_AS(run_op(make_node("Transpose", {Attribute::of_ints("perm", {0, 0, 1, 2})}), 13, {x}), Error);
}

TEST_CASE("Slice: starts and ends are clamped, negative steps run backward") {
  const Tensor x = counted({6});
  const auto slice = [&](std::int64_t start, std::int64_t end, std::int64_t step) {
    return run_op_f32(make_node("Slice"), 13, {x, list({start}), list({end}), list({0}), list({step})});
  };
  CHECK(slice(1, 4, 1) == Floats{1, 2, 3});
  CHECK(slice(-2, 1000, 1) == Floats{4, 5});
  CHECK(slice(4, INT64_MIN, -2) == Floats{4, 2, 0});
  CHECK(slice(0, INT64_MAX, INT64_MAX) == Floats{0});
  CHECK(slice(5, 0, INT64_MIN) == Floats{5});
  CHECK(slice(3, 3, 1).empty());
  CHECK_THROWS_AS(slice(0, 1, 0), Error);
  const Node old_form =
      make_node("Slice", {Attribute::of_ints("starts", {1}), Attribute::of_ints("ends", {3}), Attribute::of_ints("axes", {-1})});
  CHECK(run_op_f32(old_form, 9, {x}) == Floats{1, 2});
}

TEST_CASE("Concat and Split are inverse along the middle axis") {
  const Tensor x = counted({2, 5, 3});
  const std::vector<Tensor> parts = run_op(make_node("Split", {Attribute::of_int("axis", 1)}, 2), 13, {x, list({2, 3})});
  CHECK(parts[0].shape() == Shape{2, 2, 3});
  CHECK(parts[1].data<float>()[0] == 6.0f);
  CHECK(run_op_f32(make_node("Concat", {Attribute::of_int("axis", 1)}), 13, parts) == to_f32_vector(x));
  CHECK_THROWS_AS(run_op(make_node("Split", {Attribute::of_int("axis", 1)}, 2), 13, {x, list({2, 2})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Concat", {Attribute::of_int("axis", 0)}), 13, parts), Error);
}

TEST_CASE("Pad: each mode continues a row of three as ONNX defines it") {
  const Tensor x = counted({3});
  const auto pad = [&](const char* mode, std::int64_t before, std::int64_t after) {
    return run_op_f32(make_node("Pad", {Attribute::of_string("mode", mode)}), 19,
                      {x, list({before, after}), Tensor::scalar(9.0f)});
  };
  CHECK(pad("constant", 1, 2) == Floats{9, 0, 1, 2, 9, 9});
  CHECK(pad("edge", 1, 2) == Floats{0, 0, 1, 2, 2, 2});
  CHECK(pad("reflect", 2, 2) == Floats{2, 1, 0, 1, 2, 1, 0});
  CHECK(pad("wrap", 2, 1) == Floats{1, 2, 0, 1, 2, 0});
  CHECK(pad("constant", -1, 1) == Floats{1, 2, 9});
  CHECK_THROWS_AS(pad("constant", -2, -2), Error);
}

TEST_CASE("Tile, Expand and DepthToSpace repeat and regroup") {
  CHECK(run_op_f32(make_node("Tile"), 13, {counted({1, 2}), list({2, 2})}) == Floats{0, 1, 0, 1, 0, 1, 0, 1});
  CHECK(run_op_f32(make_node("Expand"), 13, {counted({2, 1}), list({2, 2})}) == Floats{0, 0, 1, 1});
  const Node depth_to_space = make_node("DepthToSpace", {Attribute::of_int("blocksize", 2)});
  CHECK(run_op_f32(depth_to_space, 13, {counted({1, 4, 1, 2})}) == Floats{0, 2, 1, 3, 4, 6, 5, 7});
  CHECK_THROWS_AS(run_op(make_node("Tile"), 13, {counted({1, 2}), list({2, -1})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Tile"), 13, {counted({1, 2}), list({INT64_MAX, 2})}), Error);
}

TEST_CASE("Reshape: 0 copies an extent, -1 is computed, and what does not fit is refused") {
  const Tensor x = counted({2, 3, 4});
  CHECK(run_op(make_node("Reshape"), 14, {x, list({0, -1})})[0].shape() == Shape{2, 12});
  CHECK_THROWS_AS(run_op(make_node("Reshape"), 14, {x, list({5, -1})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Reshape"), 14, {x, list({-1, -1})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Reshape"), 14, {x, list({2, 3, 4, 0})}), Error);
  CHECK(run_op(make_node("Reshape", {Attribute::of_int("allowzero", 1)}), 14, {counted({0, 3}), list({3, 0})})[0].shape() ==
        Shape{3, 0});
}

TEST_CASE("Gather: indices count from the end too, and those outside are refused") {
  const Tensor x = counted({2, 3});
  CHECK(run_op_f32(make_node("Gather", {Attribute::of_int("axis", 1)}), 13, {x, list({-1, 0})}) == Floats{2, 0, 5, 3});
  CHECK_THROWS_AS(run_op(make_node("Gather"), 13, {x, list({2})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Gather"), 13, {x, list({-3})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Gather", {Attribute::of_int("axis", 2)}), 13, {x, list({0})}), Error);
  CHECK_THROWS_AS(run_op(make_node("GatherElements"), 13, {x, Tensor::of<std::int64_t>({1, 3}, {0, 5, 0})}), Error);
  CHECK_THROWS_AS(run_op(make_node("GatherND"), 13, {x, Tensor::of<std::int64_t>({1, 2}, {0, 3})}), Error);
}

TEST_CASE("Scatter: updates land, join, and are checked") {
  const Tensor x = counted({4});
  const Node add = make_node("ScatterElements", {Attribute::of_string("reduction", "add")});
  CHECK(run_op_f32(add, 18, {x, list({1, 1, -1}), Tensor::of<float>({3}, {10.0f, 20.0f, 30.0f})}) == Floats{0, 31, 2, 33});
  CHECK_THROWS_AS(run_op(add, 18, {x, list({4}), Tensor::of<float>({1}, {1.0f})}), Error);
  CHECK(run_op_f32(make_node("ScatterND"), 18,
                   {x, Tensor::of<std::int64_t>({2, 1}, {3, 0}), Tensor::of<float>({2}, {7.0f, 8.0f})}) == Floats{8, 1, 2, 7});
  CHECK_THROWS_AS(run_op(make_node("ScatterND"), 18, {x, Tensor::of<std::int64_t>({1, 1}, {-5}), Tensor::of<float>({1}, {1.0f})}),
                  Error);
}

}  // namespace bitwright::tests
