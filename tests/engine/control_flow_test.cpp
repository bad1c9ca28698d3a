#include <doctest/doctest.h>

#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright::tests {
namespace {

Graph branch(Node node, const std::string& output) {
  Graph graph;
  graph.nodes = {std::move(node)};
  graph.outputs = {ValueInfo::of(output, DType::f32, {2})};
  return graph;
}

TEST_CASE("If: the branch taken sees values of the graph around it") {
  Graph graph;
  graph.inputs = {ValueInfo::of("c", DType::boolean, {}), ValueInfo::of("x", DType::f32, {2})};
  graph.nodes = {make_node("Neg", {"x"}, {"outer"}),
                 make_node("If", {"c"}, {"y"},
                           {make_graph_attribute("then_branch", branch(make_node("Add", {"x", "outer"}, {"t"}), "t")),
                            make_graph_attribute("else_branch", branch(make_node("Mul", {"x", "outer"}, {"e"}), "e"))})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {2})};
  Session session(share(make_model(std::move(graph))));
  const Tensor x = Tensor::of<float>({2}, {3.0f, -4.0f});
  CHECK(values_of<float>(session.run({{"c", Tensor::scalar<bool>(true)}, {"x", x}}).at("y")) == std::vector<float>{0, 0});
  CHECK(values_of<float>(session.run({{"c", Tensor::scalar<bool>(false)}, {"x", x}}).at("y")) == std::vector<float>{-9, -16});
}

/// Carries s: s = s + step, scanned; step comes from outside.
Graph loop_graph() {
  Graph body;
  body.inputs = {ValueInfo::of("i", DType::i64, {}), ValueInfo::of("go", DType::boolean, {}),
                 ValueInfo::of("s", DType::f32, {1})};
  body.nodes = {make_node("Add", {"s", "step"}, {"s_next"}), make_node("Identity", {"go"}, {"go_next"}),
                make_node("Identity", {"s_next"}, {"scan"})};
  body.outputs = {ValueInfo::of("go_next", DType::boolean, {}), ValueInfo::of("s_next", DType::f32, {1}),
                  ValueInfo::of("scan", DType::f32, {1})};
  Graph graph;
  graph.inputs = {ValueInfo::of("n", DType::i64, {}), ValueInfo::of("start", DType::f32, {1}),
                  ValueInfo::of("step", DType::f32, {1})};
  graph.nodes = {make_node("Loop", {"n", "", "start"}, {"last", "all"}, {make_graph_attribute("body", std::move(body))})};
  graph.outputs = {ValueInfo::of("last", DType::f32, {1}), ValueInfo::of("all", DType::f32, {kUnknownDim, 1})};
  return graph;
}

TEST_CASE("Loop: carries values and stacks scan outputs") {
  Session session(share(make_model(loop_graph())));
  const Tensor start = Tensor::of<float>({1}, {1.0f});
  const Tensor step = Tensor::of<float>({1}, {2.0f});
  auto results = session.run({{"n", Tensor::scalar<std::int64_t>(3)}, {"start", start}, {"step", step}});
  CHECK(values_of<float>(results.at("last")) == std::vector<float>{7});
  CHECK(results.at("all").shape() == Shape{3, 1});
  CHECK(values_of<float>(results.at("all")) == std::vector<float>{3, 5, 7});
  results = session.run({{"n", Tensor::scalar<std::int64_t>(0)}, {"start", start}, {"step", step}});
  CHECK(values_of<float>(results.at("last")) == std::vector<float>{1});
  CHECK(results.at("all").shape() == Shape{0, 1});
}

TEST_CASE("Scan: reads backwards and puts its outputs along another axis") {
  Graph body;
  body.inputs = {ValueInfo::of("s", DType::f32, {2}), ValueInfo::of("x", DType::f32, {2})};
  body.nodes = {make_node("Add", {"s", "x"}, {"s_next"}), make_node("Identity", {"s_next"}, {"y"})};
  body.outputs = {ValueInfo::of("s_next", DType::f32, {2}), ValueInfo::of("y", DType::f32, {2})};
  Graph graph;
  graph.inputs = {ValueInfo::of("s0", DType::f32, {2}), ValueInfo::of("xs", DType::f32, {3, 2})};
  graph.nodes = {make_node("Scan", {"s0", "xs"}, {"s", "ys"},
                           {make_graph_attribute("body", std::move(body)), Attribute::of_int("num_scan_inputs", 1),
                            Attribute::of_ints("scan_input_directions", {1}), Attribute::of_ints("scan_output_axes", {1})})};
  graph.outputs = {ValueInfo::of("s", DType::f32, {2}), ValueInfo::of("ys", DType::f32, {2, 3})};
  Session session(share(make_model(std::move(graph))));
  const auto results =
      session.run({{"s0", Tensor::of<float>({2}, {0, 0})}, {"xs", Tensor::of<float>({3, 2}, {1, 10, 2, 20, 3, 30})}});
  CHECK(values_of<float>(results.at("s")) == std::vector<float>{6, 60});
  CHECK(results.at("ys").shape() == Shape{2, 3});
  CHECK(values_of<float>(results.at("ys")) == std::vector<float>{3, 5, 6, 30, 50, 60});
}

/// twice(x, k) = x * k + x * k, with k an attribute of the function.
Model model_with_function() {
  Function twice;
  twice.name = "twice";
  twice.domain = "local";
  twice.inputs = {"x"};
  twice.outputs = {"y"};
  twice.attributes = {"k"};
  twice.opset_imports = {{"", 17, {}, false}};
  Attribute value;
  value.name = "value_floats";
  value.type = AttributeType::floats;
  value.ref_attr_name = "k";
  twice.nodes = {make_node("Constant", {}, {"factor"}, {value}), make_node("Mul", {"x", "factor"}, {"p"}),
                 make_node("Add", {"p", "p"}, {"y"})};
  Graph graph;
  graph.inputs = {ValueInfo::of("a", DType::f32, {2})};
  graph.outputs = {ValueInfo::of("c", DType::f32, {2})};
  Node first = make_node("twice", {"a"}, {"b"}, {Attribute::of_floats("k", {1.0f, 2.0f})});
  Node second = make_node("twice", {"b"}, {"c"}, {Attribute::of_floats("k", {3.0f, 5.0f})});
  first.domain = second.domain = "local";
  graph.nodes = {first, second};
  Model model = make_model(std::move(graph));
  model.opset_imports.push_back({"local", 1, {}, false});
  model.functions = {std::move(twice)};
  return model;
}

TEST_CASE("local functions: each call has attributes and values of its own") {
  Session session(share(model_with_function()));
  std::vector<std::string> seen;
  const auto results = session.run({{"a", Tensor::of<float>({2}, {1.0f, 1.0f})}},
                                   [&](const std::string& name, const Tensor&) { seen.push_back(name); });
  CHECK(values_of<float>(results.at("c")) == std::vector<float>{12.0f, 40.0f});
  CHECK(seen == std::vector<std::string>{"b", "c"});
}

TEST_CASE("local functions: one that calls itself is refused") {
  Model model = model_with_function();
  Node again = make_node("twice", {"x"}, {"p2"});
  again.domain = "local";
  model.functions[0].nodes.push_back(again);
  CHECK_THROWS_AS(Session session(share(model)), Error);
}

}  // namespace
}  // namespace bitwright::tests
