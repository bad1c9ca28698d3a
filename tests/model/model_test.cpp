#include <doctest/doctest.h>

#include "base/error.h"
#include "model/limits.h"
#include "model/model.h"

using namespace bitwright;

namespace {

Node node(std::string name, std::vector<std::string> inputs, std::vector<std::string> outputs) {
  Node made;
  made.name = std::move(name);
  made.op_type = "Op";
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  return made;
}

Model model_of(std::vector<Node> nodes) {
  Model model;
  model.graph.nodes = std::move(nodes);
  model.graph.inputs = {ValueInfo::of("x", DType::f32, {1})};
  return model;
}

Attribute graph_attribute(std::vector<Node> nodes) {
  Attribute attribute;
  attribute.name = "body";
  attribute.type = AttributeType::g;
  attribute.g = std::make_shared<Graph>();
  attribute.g->nodes = std::move(nodes);
  return attribute;
}

std::string refusal(Model model) {
  try {
    validate(model);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::bad_graph);
    return error.what();
  }
  return "";
}

std::vector<std::string> names_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& one : graph.nodes) names.push_back(one.name);
  return names;
}

}  // namespace

TEST_CASE("validate: nodes are put behind those that make their inputs, and stay in order otherwise") {
  Model model = model_of({node("d", {"c_out"}, {"d_out"}), node("a", {"x"}, {"a_out"}), node("c", {"a_out", "b_out"}, {"c_out"}),
                          node("b", {"x"}, {"b_out"})});
  validate(model);
  CHECK(names_of(model.graph) == std::vector<std::string>{"a", "b", "c", "d"});
  validate(model);
  CHECK(names_of(model.graph) == std::vector<std::string>{"a", "b", "c", "d"});
}

TEST_CASE("validate: a cycle is named by a node on it") {
  const std::string message =
      refusal(model_of({node("after", {"b_out"}, {"z"}), node("a", {"b_out"}, {"a_out"}), node("b", {"a_out"}, {"b_out"})}));
  CHECK(message.find("cycle") != std::string::npos);
  CHECK(message.find("'after'") == std::string::npos);
  CHECK(refusal(model_of({node("self", {"s"}, {"s"})})).find("'self'") != std::string::npos);
}

TEST_CASE("validate: missing inputs, double outputs and double initializers are named") {
  CHECK(refusal(model_of({node("a", {"nowhere"}, {"y"})})).find("'nowhere'") != std::string::npos);
  CHECK(refusal(model_of({node("a", {"x"}, {"y"}), node("b", {"x"}, {"y"})})).find("'b'") != std::string::npos);
  CHECK(refusal(model_of({node("a", {"x"}, {"x"})})).find("'x'") != std::string::npos);
  Model twice = model_of({});
  twice.graph.initializers = {TensorRecord::of("w", Tensor::scalar(1.0f)), TensorRecord::of("w", Tensor::scalar(2.0f))};
  CHECK(refusal(twice).find("'w'") != std::string::npos);
  Model output = model_of({});
  output.graph.outputs = {ValueInfo::of("y", DType::f32, {1})};
  CHECK(refusal(output).find("'y'") != std::string::npos);
  CHECK(refusal(model_of({node("a", {"x", ""}, {"y", ""})})).empty());
}

TEST_CASE("validate: an initializer may be a graph input too") {
  Model model = model_of({node("a", {"x"}, {"y"})});
  model.graph.initializers = {TensorRecord::of("x", Tensor::scalar(1.0f))};
  CHECK(refusal(model).empty());
  const GraphIndex index(model.graph);
  CHECK(index.initializer("x") != nullptr);
  CHECK_FALSE(index.is_graph_input("x"));
}

TEST_CASE("validate: subgraphs see outer values, and make their owner wait for them") {
  Node loop = node("loop", {"x"}, {"l"});
  loop.attributes.push_back(graph_attribute({node("inner", {"later"}, {"i"})}));
  Model model = model_of({loop, node("maker", {"x"}, {"later"})});
  validate(model);
  CHECK(names_of(model.graph) == std::vector<std::string>{"maker", "loop"});
  const GraphIndex index(model.graph);
  CHECK(index.consumers("later").size() == 1);
  CHECK(index.consumers("later")[0] == 1);
  Node blind = node("blind", {"x"}, {"l"});
  blind.attributes.push_back(graph_attribute({node("inner", {"nowhere"}, {"i"})}));
  CHECK(refusal(model_of({blind})).find("'inner'") != std::string::npos);
}

TEST_CASE("validate: functions that call themselves are refused, also through a subgraph") {
  const auto function = [](std::string name, std::vector<Node> nodes) {
    Function made;
    made.name = std::move(name);
    made.domain = "local";
    made.nodes = std::move(nodes);
    return made;
  };
  const auto call = [](const std::string& name) {
    Node made = node("call", {}, {"r"});
    made.op_type = name;
    made.domain = "local";
    return made;
  };
  Node hidden = node("if", {}, {"r"});
  hidden.attributes.push_back(graph_attribute({call("A")}));
  Model ring = model_of({});
  ring.functions = {function("A", {call("B")}), function("B", {hidden})};
  CHECK(refusal(ring).find("recursion") != std::string::npos);
  Model chain = model_of({});
  chain.functions = {function("A", {call("B")}), function("B", {})};
  CHECK(refusal(chain).empty());
  Model twice = model_of({});
  twice.functions = {function("A", {}), function("A", {})};
  CHECK(refusal(twice).find("twice") != std::string::npos);
}

TEST_CASE("validate: a chain of a million nodes in reverse takes linear time") {
  constexpr int kNodes = 1000000;
  std::vector<Node> nodes;
  nodes.reserve(kNodes);
  for (int i = kNodes - 1; i >= 0; --i)
    nodes.push_back(node("", {i == 0 ? "x" : "v" + std::to_string(i - 1)}, {"v" + std::to_string(i)}));
  Model model = model_of(std::move(nodes));
  validate(model);
  CHECK(model.graph.nodes.front().inputs[0] == "x");
}

TEST_CASE("GraphIndex: makers and users by name, each use counted") {
  const Model model = model_of({node("a", {"x", "x"}, {"y"}), node("b", {"y", "x"}, {"z"})});
  const GraphIndex index(model.graph);
  CHECK(index.producer("y") == 0);
  CHECK(index.producer("x") == -1);
  CHECK(index.consumers("x").size() == 3);
  CHECK(index.consumers("nowhere").empty());
  CHECK(index.is_graph_input("x"));
}

TEST_CASE("NameAllocator: names are new in the whole model, and count up") {
  Node loop = node("loop", {"x"}, {"l"});
  loop.attributes.push_back(graph_attribute({node("inner", {"x"}, {"s_1"})}));
  const Model model = model_of({loop});
  NameAllocator names(model);
  CHECK(names.fresh("s") == "s");
  CHECK(names.fresh("s") == "s_2");
  CHECK(names.fresh("inner") == "inner_1");
  CHECK(names.fresh("x") == "x_1");
}

TEST_CASE("Node: attributes have a type, and messages name node and attribute") {
  Node one = node("n", {}, {"y"});
  one.set(Attribute::of_int("axis", 2));
  one.set(Attribute::of_int("axis", 3));
  CHECK(one.attributes.size() == 1);
  CHECK(one.attr_i("axis", 0) == 3);
  CHECK(one.attr_i("other", 7) == 7);
  CHECK_THROWS_WITH_AS(static_cast<void>(one.attr_ints("axis")), doctest::Contains("node 'n' (Op): attribute 'axis'"), Error);
  one.remove("axis");
  CHECK_FALSE(one.has("axis"));
  one.name.clear();
  CHECK(one.label() == "node making 'y' (Op)");
}

TEST_CASE("TensorRecord: bytes can be read without loading the rest") {
  const TensorRecord record = TensorRecord::of("w", Tensor::of<std::uint8_t>({4}, {1, 2, 3, 4}));
  std::vector<std::uint8_t> out(2);
  record.read_bytes(1, out);
  CHECK(out == std::vector<std::uint8_t>{2, 3});
  CHECK_THROWS_AS(record.read_bytes(3, out), Error);
}

TEST_CASE("Model: opsets are found and set by domain") {
  Model model;
  CHECK(model.opset() == 0);
  model.set_opset("", 13);
  model.set_opset("com.microsoft", 1);
  model.set_opset("", 21);
  CHECK(model.opset() == 21);
  CHECK(model.opset_imports.size() == 2);
}
