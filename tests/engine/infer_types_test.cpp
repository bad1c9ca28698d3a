#include <doctest/doctest.h>

#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright::tests {
namespace {

TEST_CASE("infer_types: a chain Shape, Gather, Unsqueeze, Concat, Reshape is resolved") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {2, 3, 4})};
  graph.initializers = {TensorRecord::of("zero", Tensor::scalar<std::int64_t>(0)),
                        TensorRecord::of("axis", Tensor::of<std::int64_t>({1}, {0})),
                        TensorRecord::of("rest", Tensor::of<std::int64_t>({1}, {-1}))};
  graph.nodes = {make_node("Shape", {"x"}, {"shape"}), make_node("Gather", {"shape", "zero"}, {"batch"}),
                 make_node("Unsqueeze", {"batch", "axis"}, {"batch1"}),
                 make_node("Concat", {"batch1", "rest"}, {"target"}, {Attribute::of_int("axis", 0)}),
                 make_node("Reshape", {"x", "target"}, {"y"})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {kUnknownDim, kUnknownDim})};
  const auto types = infer_types(make_model(std::move(graph)));
  CHECK(types.at("y").dtype == DType::f32);
  CHECK(types.at("y").shape == Shape{2, 12});
}

TEST_CASE("infer_types: what depends on data stays unknown without an error") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {2, 3}), ValueInfo::of("target", DType::i64, {2})};
  graph.nodes = {make_node("Reshape", {"x", "target"}, {"y"}), make_node("Relu", {"y"}, {"z"})};
  graph.outputs = {ValueInfo::of("z", DType::f32, {kUnknownDim, kUnknownDim})};
  const auto types = infer_types(make_model(std::move(graph)));
  CHECK(types.at("z").dtype == DType::f32);
  CHECK_FALSE(types.at("z").is_known());
}

TEST_CASE("infer_types: shapes that contradict each other are an error naming the node") {
  Graph graph;
  graph.inputs = {ValueInfo::of("a", DType::f32, {2, 3}), ValueInfo::of("b", DType::f32, {4, 5})};
  graph.nodes = {make_node("MatMul", {"a", "b"}, {"y"})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {2, 5})};
  const Model model = make_model(std::move(graph));
  CHECK_THROWS_AS(infer_types(model), Error);
}

}  // namespace
}  // namespace bitwright::tests
