#include <doctest/doctest.h>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
const Tensor kPair = Tensor::of<float>({1, 2}, {1, 3});
const Tensor kDouble = Tensor::of<float>({2}, {1, 2});
}  // namespace

TEST_CASE("Resize: linear, half pixels and aligned corners") {
  const Node half = make_node("Resize", {Attribute::of_string("mode", "linear")});
  CHECK(run_op_f32(half, 13, {kPair, Tensor(), kDouble}) == std::vector<float>{1, 1.5f, 2.5f, 3});
  const Node aligned = make_node("Resize", {Attribute::of_string("mode", "linear"),
                                            Attribute::of_string("coordinate_transformation_mode", "align_corners")});
  CHECK(run_op_f32(aligned, 13, {kPair, Tensor(), Tensor(), Tensor::of<std::int64_t>({2}, {1, 3})}) ==
        std::vector<float>{1, 2, 3});
}

TEST_CASE("Resize and Upsample: nearest keeps the element type") {
  const Tensor bytes = Tensor::of<std::uint8_t>({1, 2}, {7, 200});
  const auto y = run_op(make_node("Resize"), 13, {bytes, Tensor(), kDouble});
  CHECK(y[0].dtype() == DType::u8);
  CHECK(to_f32_vector(y[0]) == std::vector<float>{7, 7, 200, 200});
  CHECK(run_op_f32(make_node("Upsample"), 9, {kPair, kDouble}) == std::vector<float>{1, 1, 3, 3});
  CHECK(run_op_f32(make_node("Resize"), 10, {kPair, kDouble}) == std::vector<float>{1, 1, 3, 3});
}

TEST_CASE("Resize: scales that are none are refused") {
  const auto with = [](float scale) { return std::vector<Tensor>{kPair, Tensor(), Tensor::of<float>({2}, {1, scale})}; };
  CHECK_THROWS_AS(run_op(make_node("Resize"), 13, with(0)), Error);
  CHECK_THROWS_AS(run_op(make_node("Resize"), 13, with(-1)), Error);
  CHECK_THROWS_AS(run_op(make_node("Resize"), 13, with(1e30f)), Error);
  CHECK_THROWS_AS(run_op(make_node("Resize"), 13, {kPair, Tensor(), Tensor::of<float>({1}, {2})}), Error);
  CHECK_THROWS_AS(run_op(make_node("Resize", {Attribute::of_string("mode", "magic")}), 13, with(2)), Error);
}
