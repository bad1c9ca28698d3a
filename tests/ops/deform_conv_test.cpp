#include <doctest/doctest.h>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

TEST_CASE("DeformConv: an offset of half a pixel takes the mean of neighbours, 0 outside; the mask scales") {
  const Tensor x = Tensor::of<float>({1, 1, 1, 2}, {2, 6}), w = Tensor::of<float>({1, 1, 1, 1}, {10});
  const Tensor right = Tensor::of<float>({1, 2, 1, 2}, {0, 0, 0.5f, 0.5f});  // rows stay, columns move
  CHECK(run_op_f32(make_node("DeformConv"), 19, {x, w, right}) == std::vector<float>{40, 30});
  const Tensor bias = Tensor::of<float>({1}, {1}), mask = Tensor::of<float>({1, 1, 1, 2}, {1, 0});
  CHECK(run_op_f32(make_node("DeformConv"), 19, {x, w, right, bias, mask}) == std::vector<float>{41, 1});
  CHECK_THROWS_AS(run_op(make_node("DeformConv"), 19, {x, w, bias}), Error);
}
