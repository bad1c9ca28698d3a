#include "passes/weight_only.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "quant/encodings/encoding.h"
#include "quant/quantize.h"

using namespace bitwright;

namespace {

Tensor ramp(Shape shape) {
  Tensor tensor(DType::f32, std::move(shape));
  auto values = tensor.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(static_cast<int>(i % 97) - 48) / 48.0f;
  return tensor;
}

Node node_of(std::string name, std::string op_type, std::vector<std::string> inputs, std::vector<std::string> outputs) {
  Node node;
  node.name = std::move(name);
  node.op_type = std::move(op_type);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  return node;
}

/// x [1, 64] -> MatMul with w [64, 32] -> an operator nobody knows.
Model small_model(std::int64_t opset) {
  Model model;
  model.ir_version = 8;
  model.set_opset("", opset);
  model.set_opset("ai.someone", 1);
  model.graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 64}));
  model.graph.outputs.push_back(ValueInfo::of("y", DType::f32, {1, 32}));
  model.graph.initializers.push_back(TensorRecord::of("w", ramp({64, 32})));
  model.graph.initializers.push_back(TensorRecord::of("b", ramp({32})));
  model.graph.nodes.push_back(node_of("mm", "MatMul", {"x", "w"}, {"h"}));
  model.graph.nodes.push_back(node_of("odd", "Mystery", {"h", "b"}, {"y"}));
  model.graph.nodes.back().domain = "ai.someone";
  return model;
}

Recipe weight_recipe() {
  Recipe recipe;
  recipe.mode = QuantMode::weight_only;
  return recipe;
}

const NodeDecision& row_of(const PlannedEdit& edit, const std::string& node) {
  const auto found =
      std::find_if(edit.plan.nodes.begin(), edit.plan.nodes.end(), [&](const NodeDecision& row) { return row.node == node; });
  REQUIRE(found != edit.plan.nodes.end());
  return *found;
}

}  // namespace

TEST_CASE("weight_only: a MatMul weight becomes codes per output channel behind DequantizeLinear") {
  Model model = small_model(13);
  const Tensor before = model.graph.initializers[0].load();
  const PlannedEdit edit = weight_only(model, weight_recipe());
  CHECK(edit.result.n_changes == 1);
  CHECK(row_of(edit, "mm").is_quantized);
  CHECK(row_of(edit, "mm").mode == "weights only int8");
  CHECK_FALSE(row_of(edit, "odd").is_quantized);
  CHECK(row_of(edit, "odd").reason == "no large constant weight");
  validate(model);

  const Node& dequantize_node = model.graph.nodes[0];
  CHECK(dequantize_node.op_type == "DequantizeLinear");
  CHECK(dequantize_node.domain.empty());
  CHECK(dequantize_node.attr_i("axis", -9) == 1);
  CHECK(dequantize_node.outputs == std::vector<std::string>{"w"});
  const TensorRecord* codes = model.graph.find_initializer("w_quantized");
  const TensorRecord* scales = model.graph.find_initializer("w_scale");
  const TensorRecord* zero_points = model.graph.find_initializer("w_zero_point");
  REQUIRE(codes != nullptr);
  REQUIRE(scales != nullptr);
  REQUIRE(zero_points != nullptr);
  CHECK(model.graph.find_initializer("w") == nullptr);
  CHECK(scales->shape == Shape{32});
  CHECK(zero_points->dtype == DType::i8);
  const auto q = codes->load();
  const auto s = scales->load();
  for (std::size_t i = 0; i < 64 * 32; ++i) {
    const float real = s.data<float>()[i % 32] * static_cast<float>(q.data<std::int8_t>()[i]);
    REQUIRE(std::abs(real - before.data<float>()[i]) <= s.data<float>()[i % 32] * 0.5001f);
  }
  CHECK(weight_only(model, weight_recipe()).result.n_changes == 0);
}

TEST_CASE("weight_only: below opset 13 onnxruntime targets get the operator of com.microsoft, portable refuses") {
  Model model = small_model(11);
  const PlannedEdit edit = weight_only(model, weight_recipe());
  CHECK(model.graph.nodes[0].domain == "com.microsoft");
  CHECK(model.opset("com.microsoft") == 1);
  CHECK(edit.result.messages.size() == 1);
  Model other = small_model(11);
  Recipe recipe = weight_recipe();
  recipe.target = Target::portable;
  CHECK_THROWS_WITH_AS(weight_only(other, recipe), doctest::Contains("opset 13"), Error);
}

TEST_CASE("weight_only: codes beyond the memory held are made when they are written, with the same bytes") {
  Model held = small_model(13);
  Model lazy = small_model(13);
  weight_only(held, weight_recipe());
  weight_only(lazy, weight_recipe(), {.max_held_bytes = 0});
  const TensorRecord* a = held.graph.find_initializer("w_quantized");
  const TensorRecord* b = lazy.graph.find_initializer("w_quantized");
  CHECK(std::holds_alternative<Tensor>(a->values));
  CHECK(std::holds_alternative<Generated>(b->values));
  const Tensor x = a->load();
  const Tensor y = b->load();
  CHECK(std::equal(x.bytes().begin(), x.bytes().end(), y.bytes().begin(), y.bytes().end()));
  CHECK(b->size_bytes() == x.size_bytes());
}

TEST_CASE("weight_only: a tied weight is stored once; one excluded reader keeps it in float") {
  Model model = small_model(13);
  model.graph.nodes[0].outputs = {"h0"};
  Node transpose = node_of("t", "Transpose", {"w"}, {"wt"});
  model.graph.nodes.push_back(transpose);
  model.graph.nodes.push_back(node_of("back", "MatMul", {"h0", "wt"}, {"h1"}));
  model.graph.nodes.push_back(node_of("mm2", "MatMul", {"h1", "w"}, {"h"}));
  std::rotate(model.graph.nodes.begin() + 1, model.graph.nodes.begin() + 2, model.graph.nodes.end());
  Model other = model;
  const PlannedEdit edit = weight_only(model, weight_recipe());
  CHECK(edit.result.n_changes == 1);
  CHECK(edit.plan.tensors.size() == 1);
  CHECK(edit.plan.tensors[0].consumers.size() == 3);
  CHECK(row_of(edit, "back").is_quantized);
  validate(model);

  Recipe recipe = weight_recipe();
  recipe.exclude = {"mm2"};
  const PlannedEdit kept = weight_only(other, recipe);
  CHECK(kept.result.n_changes == 0);
  CHECK(row_of(kept, "mm2").reason == "excluded by 'mm2'");
  CHECK(row_of(kept, "mm").reason.find("shares the weight") != std::string::npos);
}

TEST_CASE("weight_only: constants in subgraphs and Constant nodes are found, outer weights too") {
  Model model = small_model(13);
  auto branch = std::make_shared<Graph>();
  branch->name = "then";
  Node constant = node_of("", "Constant", {}, {"c"});
  constant.set(Attribute::of_tensor("value", ramp({32, 32})));
  branch->nodes = {constant, node_of("inner", "MatMul", {"h", "c"}, {"z"}), node_of("outer", "MatMul", {"x", "w"}, {"u"}),
                   node_of("sum", "Add", {"z", "u"}, {"v"})};
  branch->outputs.push_back(ValueInfo::of("v", DType::f32, {1, 32}));
  Attribute attribute;
  attribute.name = "then_branch";
  attribute.type = AttributeType::g;
  attribute.g = branch;
  Node choose = node_of("if", "If", {"cond"}, {"y2"});
  choose.set(attribute);
  attribute.name = "else_branch";
  attribute.g = std::make_shared<Graph>(*branch);
  choose.set(attribute);
  model.graph.inputs.push_back(ValueInfo::of("cond", DType::boolean, {}));
  model.graph.nodes.push_back(choose);
  const std::size_t n_before = branch->nodes.size();
  const PlannedEdit edit = weight_only(model, weight_recipe());
  CHECK(edit.result.n_changes == 3);
  CHECK(branch->nodes.size() == n_before);  // the graph given first is not edited: a copied model shares it
  const Graph& then_graph = *model.graph.nodes.back().find("then_branch")->g;
  CHECK(then_graph.nodes[0].op_type == "DequantizeLinear");
  CHECK(then_graph.nodes[0].outputs[0] == "c");
  CHECK(then_graph.initializers.size() == 3);
  CHECK(row_of(edit, "outer").is_quantized);
  validate(model);
}

TEST_CASE("weight_only: weights with NaN, small ones and graph outputs stay in float with the reason") {
  Model model = small_model(13);
  Tensor w = ramp({64, 32});
  w.data<float>()[5] = std::nanf("");
  model.graph.initializers[0] = TensorRecord::of("w", w);
  PlannedEdit edit = weight_only(model, weight_recipe());
  CHECK(edit.result.n_changes == 0);
  CHECK(row_of(edit, "mm").reason.find("1 NaN or infinities") != std::string::npos);

  model = small_model(13);
  model.graph.outputs.push_back(ValueInfo::of("w", DType::f32, {64, 32}));
  edit = weight_only(model, weight_recipe());
  CHECK(row_of(edit, "mm").reason == "its weight is an output of the graph");

  model = small_model(13);
  model.graph.initializers[0] = TensorRecord::of("w", ramp({64, 15}));
  Model same = model;
  edit = weight_only(model, weight_recipe());
  CHECK(row_of(edit, "mm").reason == "no large constant weight");
  Recipe recipe = weight_recipe();
  recipe.takes_small_weights = true;
  CHECK(row_of(weight_only(same, recipe), "mm").is_quantized);
}

TEST_CASE("weight_only: int4 in blocks along the reduction axis") {
  Model model = small_model(21);
  Recipe recipe = weight_recipe();
  recipe.weight = {DType::i4, true, false, TensorScheme::Grain::per_block, 32};
  weight_only(model, recipe);
  CHECK(model.graph.nodes[0].attr_i("axis", -9) == 0);
  CHECK(model.graph.nodes[0].attr_i("block_size", 0) == 32);
  CHECK(model.graph.find_initializer("w_scale")->shape == Shape{2, 32});
  CHECK(model.graph.find_initializer("w_quantized")->size_bytes() == 1024);
}

TEST_CASE("weight_only: IR 3 lists the new initializers as graph inputs, as it must") {
  Model model = small_model(13);
  model.ir_version = 3;
  model.graph.inputs.push_back(ValueInfo::of("w", DType::f32, {64, 32}));
  model.graph.inputs.push_back(ValueInfo::of("b", DType::f32, {32}));
  weight_only(model, weight_recipe());
  CHECK(model.graph.inputs.size() == 5);
  CHECK(std::none_of(model.graph.inputs.begin(), model.graph.inputs.end(), [](const ValueInfo& v) { return v.name == "w"; }));
}

TEST_CASE("weight_only: a pattern that matches nothing is an error") {
  Model model = small_model(13);
  Recipe recipe = weight_recipe();
  recipe.include = {"nothing*"};
  CHECK_THROWS_AS(weight_only(model, recipe), Error);
}

TEST_CASE("weight_only: a weight put together by nodes that move values is stored too, one that ends elsewhere is not") {
  Model model = small_model(13);
  model.graph.nodes[0].inputs[1] = "w2";
  Node reshape = node_of("move", "Reshape", {"w", "shape"}, {"w2"});
  model.graph.initializers.push_back(TensorRecord::of("shape", Tensor::of<std::int64_t>({2}, {64, 32})));
  model.graph.nodes.insert(model.graph.nodes.begin(), reshape);
  Model other = model;
  CHECK(weight_only(model, weight_recipe()).result.n_changes == 1);
  validate(model);
  other.graph.nodes[1].op_type = "Mul";
  const PlannedEdit edit = weight_only(other, weight_recipe());
  CHECK(edit.result.n_changes == 0);
  CHECK(row_of(edit, "mm").reason == "no weight of Mul is stored as codes");
}

TEST_CASE("weight_only: short rows of a table share one scale, also where blocks are too long for them") {
  for (const char* scheme : {"i8", "i4_b32"}) {
    Model model = small_model(21);
    model.graph.initializers.push_back(TensorRecord::of("table", ramp({2000, 2})));
    model.graph.inputs.push_back(ValueInfo::of("i", DType::i64, {1}));
    model.graph.nodes.push_back(node_of("look", "Gather", {"table", "i"}, {"row"}));
    Recipe recipe = weight_recipe();
    recipe.weight = find_scheme(scheme)->scheme;
    weight_only(model, recipe);
    REQUIRE(model.graph.find_initializer("table_scale") != nullptr);
    CHECK(model.graph.find_initializer("table_scale")->shape == Shape{});
  }
}

TEST_CASE("weight_only: a scale for each token is one for each row, as a block") {
  Model model = small_model(21);
  model.graph.initializers[0] = TensorRecord::of("w", ramp({64, 64}));  // square: nothing else would tell rows from columns
  const Tensor before = model.graph.initializers[0].load();
  Recipe recipe = weight_recipe();
  recipe.weight = find_scheme("u8_token")->scheme;
  CHECK(dequantize_opset(recipe.weight, recipe.target) == 21);
  weight_only(model, recipe);
  const Node& node = model.graph.nodes[0];
  REQUIRE(node.op_type == "DequantizeLinear");
  CHECK(node.domain.empty());
  CHECK(node.attr_i("axis", -9) == 1);
  CHECK(node.attr_i("block_size", 0) == 64);
  const Tensor codes = model.graph.find_initializer(node.inputs[0])->load();
  const Tensor scales = model.graph.find_initializer(node.inputs[1])->load();
  const Tensor zeros = model.graph.find_initializer(node.inputs[2])->load();
  CHECK(scales.shape() == Shape{64, 1});
  for (std::size_t i = 0; i < 64 * 64; ++i) {
    const float scale = scales.data<float>()[i / 64];
    const int steps = codes.data<std::uint8_t>()[i] - zeros.data<std::uint8_t>()[i / 64];
    REQUIRE(std::abs(scale * static_cast<float>(steps) - before.data<float>()[i]) <= scale * 0.5001f);
  }
}

TEST_CASE("weight_only: two-level scales become half floats where blocks are too long for the axis") {
  Model model = small_model(21);
  Node conv = node_of("conv", "Conv", {"image", "kernel"}, {"c"});
  model.graph.inputs.push_back(ValueInfo::of("image", DType::f32, {1, 3, 8, 8}));
  model.graph.outputs.push_back(ValueInfo::of("c", DType::f32, {1, 32, 4, 4}));
  model.graph.initializers.push_back(TensorRecord::of("kernel", ramp({32, 3, 5, 5})));
  model.graph.nodes.push_back(std::move(conv));
  Recipe recipe = weight_recipe();
  recipe.weight = find_scheme("k4")->scheme;
  const PlannedEdit edit = weight_only(model, recipe);
  REQUIRE(edit.plan.tensors.size() == 2);
  CHECK(to_string(edit.plan.tensors[0].params.granularity) == "per_block(axis=0,block_size=32)");
  CHECK(edit.plan.tensors[0].encoded->scheme == "k4");
  CHECK(to_string(edit.plan.tensors[1].params.granularity) == "per_channel(axis=0)");
  CHECK(model.graph.find_initializer("kernel_scale")->dtype == DType::f16);
  CHECK(model.graph.find_initializer("kernel_scale")->shape == Shape{32});
  validate(model);
}

TEST_CASE("weight_only: the share of a weight that was clipped is told, for blocks and for levels") {
  for (const char* name : {"i4_b32", "nf4"}) {
    CAPTURE(name);
    Model model = small_model(21);
    // In every block of a column: 1, 2, ... 32 of 32, or twice of 64.
    Tensor values(DType::f32, {64, 32});
    for (std::int64_t i = 0; i < values.n_elements(); ++i)
      values.data<float>()[static_cast<std::size_t>(i)] = static_cast<float>(i / 32 % 32 + 1);
    model.graph.initializers[0] = TensorRecord::of("w", values);
    Recipe recipe = weight_recipe();
    recipe.weight = find_scheme(name)->scheme;
    recipe.weight.clip_ratio = 0.5f;
    const PlannedEdit edit = weight_only(model, recipe);
    REQUIRE(edit.plan.tensors.size() == 1);
    const TensorPlan& plan = edit.plan.tensors[0];
    REQUIRE(plan.encoded);
    // The highest code of i4 is 7; the highest level of nf4 is 1, the one below it 0.7229568361984253.
    const double limit = plan.params.scales[0] * (plan.params.dtype == DType::i4 ? 7.5 : 1.5 - 0.7229568361984253 / 2);
    int n_beyond = 0;
    for (int value = 1; value <= 32; ++value) n_beyond += value > limit;
    CHECK(n_beyond > 8);
    CHECK(plan.encoded->clipped_share == n_beyond / 32.0);
    recipe.weight.clip_ratio = 1.0f;
    model.graph.initializers.clear();
    model.graph.initializers.push_back(TensorRecord::of("w", values));
    model.graph.initializers.push_back(TensorRecord::of("b", ramp({32})));
    model.graph.nodes.erase(model.graph.nodes.begin(), model.graph.nodes.end() - 2);
    const PlannedEdit whole = weight_only(model, recipe);
    REQUIRE(whole.plan.tensors.size() == 1);
    if (whole.plan.tensors[0].encoded) CHECK(whole.plan.tensors[0].encoded->clipped_share == 0.0);
  }
}

TEST_CASE("weight_only: blocks need the operator of ONNX, com.microsoft's has none") {
  Model model = small_model(13);
  Recipe recipe = weight_recipe();
  recipe.target = Target::onnxruntime;
  recipe.weight = find_scheme("i8_b32")->scheme;
  CHECK_THROWS_WITH_AS(weight_only(model, recipe), doctest::Contains("choose a scale for each channel"), Error);
}

TEST_CASE("scheme_name: every named scheme is told by its own name") {
  for (const NamedScheme& named : named_schemes()) CHECK(scheme_name(complete_scheme(named.scheme)) == named.name);
  TensorScheme other = find_scheme("i8_b32")->scheme;
  other.block_size = 48;
  CHECK(scheme_name(complete_scheme(other)) == "i8");
  other = find_scheme("nf4")->scheme;
  other.block_size = 48;
  CHECK(scheme_name(complete_scheme(other)) == "nf4");
}
