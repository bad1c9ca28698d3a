#include "passes/widen_halves.h"

#include <doctest/doctest.h>

#include "base/float16.h"
#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright {
namespace {

using tests::make_node;

constexpr float kBetween = 1.0f + 0x1p-12f;  // half way to the next float16 but one: rounds to 1

Attribute to(DType dtype) { return Attribute::of_int("to", static_cast<std::int64_t>(dtype)); }

Tensor halves(Shape shape, const std::vector<float>& values) {
  Tensor tensor(DType::f16, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) tensor.data<std::uint16_t>()[i] = f32_to_f16(values[i]);
  return tensor;
}

/// x (float32) -> Cast -> Add 1 -> `between`, from "a" to "b" -> Mul 1 -> Cast -> y (float32)
Model half_model(std::vector<Node> between) {
  Graph graph;
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 2}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {}));
  graph.outputs[0].has_shape = false;
  graph.initializers.push_back(TensorRecord::of("one", halves({1}, {1.0f})));
  graph.initializers.push_back(TensorRecord::of("shape", Tensor::of<std::int64_t>({2}, {2, 1})));
  graph.nodes.push_back(make_node("Cast", {"x"}, {"x_half"}, {to(DType::f16)}));
  graph.nodes.push_back(make_node("Add", {"x_half", "one"}, {"a"}));
  for (Node& node : between) graph.nodes.push_back(std::move(node));
  graph.nodes.push_back(make_node("Mul", {"b", "one"}, {"m"}));
  graph.nodes.push_back(make_node("Cast", {"m"}, {"y"}, {to(DType::f32)}));
  return tests::make_model(std::move(graph), 13);
}

float result_of(const Model& model) {
  const Tensor x = Tensor::of<float>({1, 2}, {kBetween, kBetween});
  return Session(tests::share(model)).run({{"x", x}}).at("y").data<float>()[0];
}

TEST_CASE("widen_halves: nothing rounds between nodes that compute") {
  Model model = half_model({make_node("Abs", {"a"}, {"b"})});
  CHECK(result_of(model) == 1.0f + kBetween);
  CHECK(widen_halves(model, infer_types(model)).n_changes == 3);
  CHECK(infer_types(model).at("m").dtype == DType::f32);
  CHECK(widen_halves(model, infer_types(model)).n_changes == 0);
}

TEST_CASE("widen_halves: constants that nobody reads as float16 are kept in float32 alone") {
  Model model = half_model({make_node("Abs", {"a"}, {"b"})});
  model.graph.initializers.push_back(TensorRecord::of("fed", halves({1}, {0.25f})));
  model.graph.inputs.push_back(ValueInfo::of("fed", DType::f16, {1}));  // a default that callers may replace
  model.graph.nodes[3].inputs[1] = "fed";
  const auto dtypes = [&] {
    std::map<std::string, DType> all;
    for (const TensorRecord& record : model.graph.initializers) all[record.name] = record.dtype;
    return all;
  };
  Session session(tests::share(model));
  const Tensor x = Tensor::of<float>({1, 2}, {kBetween, 3.0f});
  CHECK(session.run({{"x", x}}).at("y").data<float>()[0] == (1.0f + kBetween) * 0.25f);
  CHECK(session.run({{"x", x}, {"fed", halves({1}, {2.0f})}}).at("y").data<float>()[1] == 8.0f);
  widen_halves(model, infer_types(model));
  CHECK(dtypes() == std::map<std::string, DType>{{"one_float32", DType::f32}, {"shape", DType::i64}, {"fed", DType::f16}});
}

TEST_CASE("widen_halves: one node that moves elements alone is no reason to round, two in a row are") {
  CHECK(result_of(half_model({make_node("Transpose", {"a"}, {"b"})})) == 1.0f + kBetween);
  CHECK(result_of(half_model({make_node("Transpose", {"a"}, {"t"}), make_node("Reshape", {"t", "shape"}, {"b"})})) == 2.0f);
}

TEST_CASE("widen_halves: the model's own Cast rounds for whoever computes on float16") {
  // Clip has float16 in onnxruntime, and the Cast in front is no node that computes.
  Model model = half_model({make_node("Abs", {"a"}, {"b"})});
  model.graph.nodes[1] = make_node("Clip", {"x_half"}, {"a"});
  CHECK(result_of(model) == 1.0f);
}

TEST_CASE("widen_halves: a Cast of halves to halves between nodes that compute rounds nothing, as in onnxruntime") {
  Model model = half_model({make_node("Div", {"a", "three"}, {"c"}), make_node("Cast", {"c"}, {"b"}, {to(DType::f16)})});
  model.graph.initializers.push_back(TensorRecord::of("three", halves({1}, {3.0f})));
  CHECK(result_of(model) == (1.0f + kBetween) / 3.0f);
}

TEST_CASE("widen_halves: graph outputs stay float16, and round") {
  Model model = half_model({make_node("Abs", {"a"}, {"b"})});
  model.graph.outputs.push_back(ValueInfo::of("a", DType::f16, {1, 2}));
  std::map<std::string, Tensor> seen;
  const Tensor x = Tensor::of<float>({1, 2}, {kBetween, 3.0f});
  Session session(tests::share(model));
  const auto results = session.run({{"x", x}}, [&](const std::string& name, const Tensor& value) { seen[name] = value.clone(); });
  REQUIRE(results.at("a").dtype() == DType::f16);
  CHECK(f16_to_f32(results.at("a").data<std::uint16_t>()[0]) == 2.0f);
  CHECK(results.at("y").data<float>()[0] == 1.0f + kBetween);
  CHECK(results.at("y").data<float>()[1] == 4.0f);
  REQUIRE(seen.at("b").dtype() == DType::f32);
  CHECK(seen.at("b").data<float>()[0] == 1.0f + kBetween);
}

TEST_CASE("widen_halves: what a subgraph reads stays float16 there") {
  Graph branch;
  branch.nodes.push_back(make_node("Abs", {"a"}, {"inner"}));
  branch.outputs.push_back(ValueInfo::of("inner", DType::f16, {1, 2}));
  Model model = half_model(
      {make_node("If", {"yes"}, {"b"},
                 {tests::make_graph_attribute("then_branch", branch), tests::make_graph_attribute("else_branch", branch)})});
  model.graph.initializers.push_back(TensorRecord::of("yes", Tensor::scalar<bool>(true)));
  CHECK(result_of(model) == 2.0f);
}

TEST_CASE("widen_halves: halves that are fed are widened where they are read") {
  Model model = half_model({make_node("Abs", {"a"}, {"b"})});
  model.graph.inputs[0] = ValueInfo::of("x_half", DType::f16, {1, 2});
  model.graph.nodes.erase(model.graph.nodes.begin());
  Session session(tests::share(model));
  CHECK(session.run({{"x_half", halves({1, 2}, {0.5f, 0x1p-12f})}}).at("y").data<float>()[1] == 1.0f + 0x1p-12f);
}

}  // namespace
}  // namespace bitwright
