#include <doctest/doctest.h>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
const Tensor kSquare = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
Node equation(const char* text) { return make_node("Einsum", {Attribute::of_string("equation", text)}); }
}  // namespace

TEST_CASE("Einsum: trace, product, transpose, implicit output and ellipsis") {
  CHECK(run_op_f32(equation("ii->"), 12, {kSquare}) == std::vector<float>{5});
  CHECK(run_op_f32(equation("ij, jk -> ik"), 12, {kSquare, kSquare}) == std::vector<float>{7, 10, 15, 22});
  CHECK(run_op_f32(equation("ba"), 12, {kSquare}) == std::vector<float>{1, 3, 2, 4});
  CHECK(run_op_f32(equation("...a,a->..."), 12, {kSquare, Tensor::of<float>({2}, {1, 10})}) == std::vector<float>{21, 43});
}

TEST_CASE("Einsum: equations that do not fit are refused") {
  for (const char* text : {"", "ij,jk->ik", "ijk->i", "ij->z", "ij->ii", "i.j->i", "i?->i"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(run_op(equation(text), 12, {kSquare}), Error);
  }
}
