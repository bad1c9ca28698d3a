#include "passes/float16.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/float16.h"

using namespace bitwright;

namespace {

Node node_of(std::string name, std::string op_type, std::vector<std::string> inputs, std::vector<std::string> outputs) {
  Node node;
  node.name = std::move(name);
  node.op_type = std::move(op_type);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  return node;
}

Tensor ones(Shape shape) {
  Tensor tensor(DType::f32, std::move(shape));
  for (float& value : tensor.data<float>()) value = 1.0f;
  return tensor;
}

/// x -> MatMul(w) -> h -> Mystery -> m -> Add(b) -> r -> Resize(scales) -> y
Model small_model() {
  Model model;
  model.ir_version = 8;
  model.set_opset("", 13);
  model.set_opset("ai.someone", 1);
  model.graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 64}));
  model.graph.outputs.push_back(ValueInfo::of("y", DType::f32, {1, 64}));
  model.graph.initializers.push_back(TensorRecord::of("w", ones({64, 32})));
  model.graph.initializers.push_back(TensorRecord::of("b", ones({32})));
  model.graph.initializers.push_back(TensorRecord::of("scales", Tensor::of<float>({2}, {1.0f, 2.0f})));
  model.graph.nodes = {node_of("mm", "MatMul", {"x", "w"}, {"h"}), node_of("odd", "Mystery", {"h", "b"}, {"m"}),
                       node_of("add", "Add", {"m", "b"}, {"r"}), node_of("up", "Resize", {"r", "", "scales"}, {"y"})};
  model.graph.nodes[1].domain = "ai.someone";
  return model;
}

ValueTypes types_of(const Model& model) {
  ValueTypes types;
  for (const Node& node : model.graph.nodes)
    for (const std::string& output : node.outputs)
      types[output] = {output.find("float16") == std::string::npos ? DType::f32 : DType::f16, std::nullopt};
  return types;
}

const Node* producer_of(const Model& model, const std::string& value) {
  for (const Node& node : model.graph.nodes)
    if (std::find(node.outputs.begin(), node.outputs.end(), value) != node.outputs.end()) return &node;
  return nullptr;
}

const Node& node_named(const Model& model, const std::string& name) {
  const auto found =
      std::find_if(model.graph.nodes.begin(), model.graph.nodes.end(), [&](const Node& n) { return n.name == name; });
  REQUIRE(found != model.graph.nodes.end());
  return *found;
}

Recipe half_recipe() {
  Recipe recipe;
  recipe.mode = QuantMode::float16;
  return recipe;
}

}  // namespace

TEST_CASE("to_half: clips what is too large, keeps what would vanish, infinities and NaN") {
  const float infinity = std::numeric_limits<float>::infinity();
  const HalfTensor half = to_half(Tensor::of<float>({7}, {1.0f, -1e6f, 65510.0f, 1e-12f, infinity, std::nanf(""), 0.0f}));
  const auto bits = half.values.data<std::uint16_t>();
  CHECK(f16_to_f32(bits[0]) == 1.0f);
  CHECK(f16_to_f32(bits[1]) == -65504.0f);
  CHECK(f16_to_f32(bits[2]) == 65504.0f);
  CHECK(f16_to_f32(bits[3]) == 0x1p-24f);
  CHECK(f16_to_f32(bits[4]) == infinity);
  CHECK(std::isnan(f16_to_f32(bits[5])));
  CHECK(bits[6] == 0);
  CHECK(half.n_too_large == 1);
  CHECK(half.n_too_small == 1);
}

TEST_CASE("float16: casts stand at the graph's ends and around the nodes that stay in float") {
  Model model = small_model();
  const ValueTypes types = types_of(model);
  const PlannedEdit edit = float16(model, half_recipe(), types);
  validate(model);
  CHECK(model.graph.inputs[0].dtype == DType::f32);
  CHECK(model.graph.outputs[0].dtype == DType::f32);
  CHECK(node_named(model, "mm").inputs == std::vector<std::string>{"x_float16", "w_float16"});
  CHECK(producer_of(model, "x_float16")->attr_i("to", 0) == 10);
  CHECK(node_named(model, "odd").inputs == std::vector<std::string>{"h", "b"});
  CHECK(producer_of(model, "h")->op_type == "Cast");
  CHECK(producer_of(model, "h")->inputs[0] == "h_float16");
  CHECK(node_named(model, "add").inputs == std::vector<std::string>{"m_float16", "b_float16"});
  CHECK(node_named(model, "up").inputs == std::vector<std::string>{"r_float16", "", "scales"});
  CHECK(producer_of(model, "y")->op_type == "Cast");
  CHECK(model.graph.find_initializer("w") == nullptr);
  CHECK(model.graph.find_initializer("b") != nullptr);
  CHECK(model.graph.find_initializer("scales")->dtype == DType::f32);
  CHECK(edit.plan.nodes[0].mode == "float16");
  CHECK(edit.plan.nodes[1].reason == "an operator of ai.someone");

  ValueTypes again = types_of(model);
  again["x"] = {DType::f32, std::nullopt};
  CHECK(float16(model, half_recipe(), again).result.n_changes == 0);
}

TEST_CASE("float16: without keep_io inputs and outputs are float16 under their own names") {
  Model model = small_model();
  Recipe recipe = half_recipe();
  recipe.float16_keep_io = false;
  recipe.float16_block_list = {"MatMul"};
  float16(model, recipe, types_of(small_model()));
  validate(model);
  CHECK(model.graph.inputs[0].dtype == DType::f16);
  CHECK(model.graph.outputs[0].dtype == DType::f16);
  CHECK(node_named(model, "mm").inputs[0] == "x_float32");
  CHECK(node_named(model, "up").outputs[0] == "y");
}

TEST_CASE("float16: a node that computes a type gets the other one, a constant beyond 65504 is clipped and told") {
  Model model = small_model();
  model.graph.initializers[1] = TensorRecord::of("b", Tensor::of<float>({1}, {1e6f}));
  model.graph.nodes[1] = node_of("cast", "Cast", {"count"}, {"m"});
  model.graph.nodes[1].set(Attribute::of_int("to", 1));
  model.graph.inputs.push_back(ValueInfo::of("count", DType::i64, {1, 32}));
  const PlannedEdit edit = float16(model, half_recipe(), types_of(model));
  CHECK(node_named(model, "cast").attr_i("to", 0) == 10);
  CHECK(node_named(model, "cast").outputs[0] == "m_float16");
  REQUIRE(edit.result.messages.size() == 2);
  CHECK(edit.result.messages[0].find("were not checked") != std::string::npos);
  CHECK(edit.result.messages[1].find("'b' beyond 65504") != std::string::npos);
}

TEST_CASE("float16: values that a subgraph takes from outside keep their float version") {
  Model model = small_model();
  auto branch = std::make_shared<Graph>();
  branch->nodes = {node_of("inner", "Relu", {"h"}, {"z"})};
  branch->outputs.push_back(ValueInfo::of("z", DType::f32, {1, 32}));
  Node choose = node_of("if", "If", {"cond"}, {"m"});
  Attribute attribute;
  attribute.type = AttributeType::g;
  attribute.g = branch;
  for (const char* name : {"then_branch", "else_branch"}) {
    attribute.name = name;
    choose.set(attribute);
  }
  model.graph.inputs.push_back(ValueInfo::of("cond", DType::boolean, {}));
  model.graph.nodes[1] = choose;
  const PlannedEdit edit = float16(model, half_recipe(), types_of(model));
  validate(model);
  CHECK(producer_of(model, "h")->op_type == "Cast");
  CHECK(edit.plan.nodes[1].reason == "its subgraphs stay in float32");
}

TEST_CASE("float16_weights: constants become float16 behind a cast, nodes stay") {
  Model model = small_model();
  Recipe recipe = half_recipe();
  recipe.float16_weights_only = true;
  const PlannedEdit edit = float16(model, recipe, {});
  validate(model);
  CHECK(edit.result.n_changes == 1);
  CHECK(producer_of(model, "w")->op_type == "Cast");
  CHECK(model.graph.find_initializer("w_float16")->dtype == DType::f16);
  CHECK(node_named(model, "mm").inputs[1] == "w");
  CHECK(float16(model, recipe, {}).result.n_changes == 0);
}

TEST_CASE("float16: with peaks, who makes or reads a value beyond 65504 stays in float32") {
  Model model = small_model();
  const Peaks peaks = {{"x", 1.0f}, {"h", 65504.0f}, {"m", 3.0f}, {"r", 65520.0f}, {"y", 3.0f}};
  const PlannedEdit edit = float16(model, half_recipe(), types_of(model), &peaks);
  validate(model);
  CHECK(edit.plan.nodes[0].is_quantized);
  CHECK(edit.plan.nodes[2].reason.find("'r' reached 65520") != std::string::npos);
  CHECK(edit.plan.nodes[3].reason.find("'r' reached 65520") != std::string::npos);
  CHECK(node_named(model, "add").inputs == std::vector<std::string>{"m", "b"});
  CHECK(edit.result.messages.empty());
}

TEST_CASE("float16: a softmax that is written out stays in float32, what only looks like one does not") {
  Model model;
  model.ir_version = 8;
  model.set_opset("", 13);
  model.graph.inputs.push_back(ValueInfo::of("x", DType::f32, {2, 8}));
  model.graph.outputs.push_back(ValueInfo::of("y", DType::f32, {2, 8}));
  model.graph.initializers.push_back(TensorRecord::of("axis", Tensor::of<std::int64_t>({1}, {1})));
  model.graph.initializers.push_back(TensorRecord::of("shape", Tensor::of<std::int64_t>({2}, {2, 8})));
  model.graph.nodes = {node_of("max", "ReduceMax", {"x"}, {"m"}),
                       node_of("sub", "Sub", {"x", "m"}, {"d"}),
                       node_of("exp", "Exp", {"d"}, {"e"}),
                       node_of("sum", "ReduceSum", {"e", "axis"}, {"s"}),
                       node_of("spread", "Expand", {"s", "shape"}, {"t"}),
                       node_of("div", "Div", {"e", "t"}, {"p"}),
                       node_of("exp2", "Exp", {"p"}, {"e2"}),
                       node_of("div2", "Div", {"e2", "t"}, {"y"})};
  const PlannedEdit edit = float16(model, half_recipe(), types_of(model));
  std::vector<std::string> in_float;
  for (const NodeDecision& row : edit.plan.nodes)
    if (!row.is_quantized) {
      CHECK(row.reason.starts_with("part of a softmax"));
      in_float.push_back(row.node);
    }
  CHECK(in_float == std::vector<std::string>{"sub", "exp", "sum", "spread", "div"});
}

TEST_CASE("float16: a model that computes on codes is refused by name, and stays as it was") {
  Model model = small_model();
  model.graph.nodes[2] = node_of("codes", "DequantizeLinear", {"m", "b"}, {"r"});
  CHECK_THROWS_WITH_AS(float16(model, half_recipe(), types_of(model)), doctest::Contains("already quantized"), Error);
  Recipe weights = half_recipe();
  weights.float16_weights_only = true;
  CHECK_THROWS_WITH_AS(float16(model, weights, {}), doctest::Contains("node 'codes'"), Error);
  CHECK(model.graph.find_initializer("w")->dtype == DType::f32);
}
