#include "passes/fuse_matmul_add.h"

#include <doctest/doctest.h>

#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright {
namespace {

using tests::make_node;

Model product_and_addend(Shape input, Shape addend) {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("w", Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})));
  Tensor bias(DType::f32, std::move(addend));
  for (float& value : bias.data<float>()) value = 10.0f;
  graph.initializers.push_back(TensorRecord::of("b", std::move(bias)));
  graph.nodes.push_back(make_node("MatMul", {"x", "w"}, {"a"}));
  graph.nodes.push_back(make_node("Add", {"b", "a"}, {"y"}));
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, std::move(input)));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {}));
  graph.outputs[0].has_shape = false;
  return tests::make_model(std::move(graph), 13);
}

TEST_CASE("fuse_matmul_add: a matrix product and its bias become Gemm") {
  Model model = product_and_addend({kUnknownDim, 2}, {3});
  CHECK(fuse_matmul_add(model, infer_types(model)).n_changes == 1);
  REQUIRE(model.graph.nodes.size() == 1);
  CHECK(model.graph.nodes[0].op_type == "Gemm");
  const Tensor y = Session(tests::share(model)).run({{"x", Tensor::of<float>({1, 2}, {1, 1})}}).at("y");
  CHECK(tests::values_of<float>(y) == std::vector<float>{15, 17, 19});
  CHECK(fuse_matmul_add(model, infer_types(model)).n_changes == 0);
}

TEST_CASE("fuse_matmul_add: stacked matrices and other addends stay") {
  Model stacked = product_and_addend({4, 2, 2}, {3});
  CHECK(fuse_matmul_add(stacked, infer_types(stacked)).n_changes == 0);
  Model column = product_and_addend({2, 2}, {2, 1});
  CHECK(fuse_matmul_add(column, infer_types(column)).n_changes == 0);
}

}  // namespace
}  // namespace bitwright
