#include "report/activation_bytes.h"

#include <doctest/doctest.h>

#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright::tests {
namespace {

TEST_CASE("activation_bytes: a value is alive from its maker to its last reader, open extents count as 1") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {kUnknownDim, 100})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {kUnknownDim, 100})};
  graph.nodes = {make_node("Relu", {"x"}, {"a"}), make_node("Neg", {"a"}, {"b"}), make_node("Add", {"a", "b"}, {"c"}),
                 make_node("Abs", {"c"}, {"y"})};
  // At the Add: a, b and c of 400 bytes each.
  CHECK(activation_bytes(make_model(std::move(graph))) == 3 * 400);
}

TEST_CASE("activation_bytes: never above twice what a run takes, nor below half of it, where shapes are known") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, 8, 32, 32})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {1, 8, 32, 32})};
  graph.initializers = {TensorRecord::of("w", Tensor(DType::f32, {8, 8, 1, 1}))};
  graph.nodes = {make_node("Conv", {"x", "w"}, {"a"}), make_node("Relu", {"a"}, {"b"}), make_node("Add", {"b", "x"}, {"y"})};
  const auto model = share(make_model(std::move(graph)));
  Session session(model);
  session.run({{"x", Tensor(DType::f32, {1, 8, 32, 32})}});
  const auto measured = static_cast<double>(session.peak_activation_bytes() + 4 * 8 * 32 * 32);  // the feed is the caller's
  const auto foretold = static_cast<double>(activation_bytes(*model));
  CHECK(foretold <= 2 * measured);
  CHECK(foretold >= measured / 2);
}

}  // namespace
}  // namespace bitwright::tests
