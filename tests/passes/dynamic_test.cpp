#include "passes/dynamic.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "passes/clean_graph.h"
#include "passes/expand_quantized.h"

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

Tensor ramp(Shape shape) {
  Tensor tensor(DType::f32, std::move(shape));
  auto values = tensor.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(static_cast<int>(i % 97) - 48) / 48.0f;
  return tensor;
}

Model model_of(std::vector<Node> nodes, std::vector<std::pair<std::string, Tensor>> constants) {
  Model model;
  model.ir_version = 8;
  model.set_opset("", 13);
  model.graph.inputs.push_back(ValueInfo::of("x", DType::f32, {}));
  model.graph.inputs.back().has_shape = false;
  model.graph.outputs.push_back(ValueInfo::of(nodes.back().outputs[0], DType::f32, {}));
  for (auto& [name, tensor] : constants) model.graph.initializers.push_back(TensorRecord::of(name, tensor));
  model.graph.nodes = std::move(nodes);
  return model;
}

Recipe dynamic_recipe(Target target = Target::onnxruntime_web) {
  Recipe recipe;
  recipe.mode = QuantMode::dynamic;
  recipe.target = target;
  return recipe;
}

std::vector<std::string> ops_of(const Graph& graph) {
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.op_type);
  return ops;
}

const Node& first(const Model& model, const std::string& op) {
  const auto found =
      std::find_if(model.graph.nodes.begin(), model.graph.nodes.end(), [&](const Node& n) { return n.op_type == op; });
  REQUIRE(found != model.graph.nodes.end());
  return *found;
}

}  // namespace

TEST_CASE("quantize_dynamic: MatMul becomes integers between DynamicQuantizeLinear and two scales") {
  Model model = model_of({node_of("mm", "MatMul", {"x", "w"}, {"y"})}, {{"w", ramp({64, 32})}});
  const PlannedEdit edit = quantize_dynamic(model, dynamic_recipe());
  validate(model);
  CHECK(ops_of(model.graph) == std::vector<std::string>{"DynamicQuantizeLinear", "MatMulInteger", "Cast", "Mul", "Mul"});
  CHECK(model.graph.nodes.back().outputs[0] == "y");
  CHECK(model.graph.find_initializer("w") == nullptr);
  CHECK(model.graph.find_initializer("w_quantized")->dtype == DType::i8);
  CHECK(model.graph.find_initializer("mm_weight_scale")->shape == Shape{32});
  CHECK(edit.plan.nodes.size() == 1);
  CHECK(edit.plan.nodes[0].mode == "dynamic int8");
  CHECK(quantize_dynamic(model, dynamic_recipe()).result.n_changes == 0);
}

TEST_CASE("quantize_dynamic: per token, each row has a scale of its own, and a row of zeros gives zeros") {
  for (const std::int64_t opset : {13, 18}) {
    // Columns of 127, 0, -64 and the like are their own codes of scale 1.
    Model model = model_of({node_of("mm", "MatMul", {"x", "w"}, {"y"})},
                           {{"w", Tensor::of<float>({2, 2}, {127.0f, -64.0f, 1.0f, 127.0f})}});
    model.set_opset("", opset);
    Recipe recipe = dynamic_recipe();
    recipe.takes_small_weights = true;
    const Tensor x = Tensor::of<float>({1, 4, 2}, {127.0f, -64.0f, 0.0f, 0.0f, 0.0127f, 0.0064f, 1e-40f, -1e30f});
    const auto run = [&](const Model& quantized) { return Session(tests::share(quantized)).run({{"x", x}}).at("y").clone(); };
    Model per_tensor = model;
    quantize_dynamic(per_tensor, recipe);
    recipe.activation.grain = TensorScheme::Grain::per_token;
    Model quantized = model;
    quantize_dynamic(quantized, recipe);
    validate(quantized);
    CHECK(ops_of(quantized.graph) == std::vector<std::string>{"Abs", "ReduceMax", "Div", "Max", "Div", "QuantizeLinear",
                                                              "MatMulInteger", "Cast", "Mul", "Mul"});
    const Tensor y = run(quantized);
    const auto got = y.data<float>();
    // [127, -64], [0, 0], 0.0001 * [127, 64], 1e30 * [0, -1]
    const double expected[] = {127.0 * 127 - 64, -64.0 * 127 - 64 * 127, 0, 0, 1e-4 * (127.0 * 127 + 64), 0, -1e30, -127e30};
    for (std::size_t i = 0; i < 8; ++i) CHECK(std::abs(got[i] - expected[i]) <= 1e-6 * std::abs(expected[i]) + 1e-7);
    CHECK(run(per_tensor).data<float>()[4] == 0.0f);  // steps of 1e30 / 255 leave nothing of such rows
    CHECK(expand_quantized(quantized).messages.empty());
    remove_unused(quantized);
    CHECK(ops_of(quantized.graph) == std::vector<std::string>{"DequantizeLinear", "MatMul"});
  }
}

TEST_CASE("quantize_dynamic: nodes share the codes of an activation and of a weight, in order of the graph") {
  Model model = model_of({node_of("a", "MatMul", {"x", "v"}, {"p"}), node_of("b", "MatMul", {"x", "w"}, {"q"}),
                          node_of("c", "MatMul", {"q", "w"}, {"r"}), node_of("sum", "Add", {"p", "r"}, {"y"})},
                         {{"w", ramp({64, 64})}, {"v", ramp({64, 64})}});
  quantize_dynamic(model, dynamic_recipe());
  Model checked = model;
  validate(checked);
  const auto ops = ops_of(model.graph);
  CHECK(ops == ops_of(checked.graph));  // already in order
  CHECK(std::count(ops.begin(), ops.end(), "DynamicQuantizeLinear") == 2);
  const auto n_codes = std::count_if(model.graph.initializers.begin(), model.graph.initializers.end(),
                                     [](const TensorRecord& r) { return r.dtype == DType::i8 && !r.shape.empty(); });
  CHECK(n_codes == 2);
}

TEST_CASE("quantize_dynamic: Gemm folds alpha into the scales, beta into the bias, and transposes a transposed weight") {
  Node gemm = node_of("fc", "Gemm", {"x", "w", "b"}, {"y"});
  gemm.set(Attribute::of_int("transB", 1));
  gemm.set(Attribute::of_float("alpha", 2.0f));
  gemm.set(Attribute::of_float("beta", 0.5f));
  const Tensor w = ramp({32, 64});
  Model model = model_of({gemm}, {{"w", w}, {"b", ramp({32})}});
  quantize_dynamic(model, dynamic_recipe());
  validate(model);
  const Tensor codes = model.graph.find_initializer("w_quantized")->load();
  const Tensor scales = model.graph.find_initializer("fc_weight_scale")->load();
  CHECK(codes.shape() == Shape{64, 32});
  for (std::size_t n = 0; n < 32; ++n)
    for (std::size_t k = 0; k < 64; ++k) {
      const float scale = scales.data<float>()[n];
      REQUIRE(std::abs(scale * static_cast<float>(codes.data<std::int8_t>()[k * 32 + n]) - 2.0f * w.data<float>()[n * 64 + k]) <=
              0.5001f * scale);
    }
  CHECK(model.graph.find_initializer("fc_bias")->load().data<float>()[0] == -0.5f);
  CHECK(model.graph.nodes.back().op_type == "Add");
}

TEST_CASE("quantize_dynamic: Conv takes uint8 weights of zero point 128 and keeps its attributes and bias") {
  Node conv = node_of("conv", "Conv", {"x", "w", "b"}, {"y"});
  conv.set(Attribute::of_ints("pads", {1, 1, 1, 1}));
  Model model = model_of({conv}, {{"w", ramp({16, 8, 3, 3})}, {"b", ramp({16})}});
  quantize_dynamic(model, dynamic_recipe());
  validate(model);
  const Node& integer = first(model, "ConvInteger");
  CHECK(integer.attr_ints("pads") == std::vector<std::int64_t>{1, 1, 1, 1});
  CHECK(model.graph.find_initializer(integer.inputs[1])->dtype == DType::u8);
  CHECK(model.graph.find_initializer(integer.inputs[3])->load().data<std::uint8_t>()[0] == 128);
  CHECK(model.graph.find_initializer("conv_weight_scale")->shape == Shape{1, 16, 1, 1});
  CHECK(model.graph.find_initializer("conv_bias")->shape == Shape{1, 16, 1, 1});
}

TEST_CASE("quantize_dynamic: Conv stays in float, with its weight as codes, where the target runs it faster") {
  const Model small = model_of({node_of("conv", "Conv", {"x", "w"}, {"y"})}, {{"w", ramp({32, 63, 1, 1})}});
  const Model large = model_of({node_of("conv", "Conv", {"x", "w"}, {"y"})}, {{"w", ramp({32, 64, 1, 1})}});
  const std::vector<std::string> in_float = {"DequantizeLinear", "Conv"};
  for (const Target target : {Target::onnxruntime_web, Target::portable}) {
    Model model = small;
    const PlannedEdit edit = quantize_dynamic(model, dynamic_recipe(target));
    CHECK(ops_of(model.graph) == in_float);
    CHECK(edit.plan.nodes[0].is_quantized);
    CHECK(edit.plan.nodes[0].mode.rfind("weights only", 0) == 0);
    CHECK(edit.plan.nodes[0].reason == "size only: ConvInteger is slower where an output sums fewer than 64 products, here 63");
    model = large;
    CHECK(quantize_dynamic(model, dynamic_recipe(target)).plan.nodes[0].mode == "dynamic int8");
  }
  Model model = large;
  const PlannedEdit edit = quantize_dynamic(model, dynamic_recipe(Target::onnxruntime));
  CHECK(ops_of(model.graph) == in_float);
  CHECK(edit.plan.nodes[0].reason == "size only: onnxruntime is faster at Conv than at ConvInteger");
}

TEST_CASE("quantize_dynamic: LSTM becomes DynamicQuantizeLSTM for onnxruntime, codes only elsewhere") {
  Node lstm = node_of("lstm", "LSTM", {"x", "w", "r"}, {"y"});
  lstm.set(Attribute::of_int("hidden_size", 16));
  const Model original = model_of({lstm}, {{"w", ramp({1, 64, 32})}, {"r", ramp({1, 64, 16})}});
  Model model = original;
  PlannedEdit edit = quantize_dynamic(model, dynamic_recipe(Target::onnxruntime));
  validate(model);
  const Node& dynamic = first(model, "DynamicQuantizeLSTM");
  CHECK(dynamic.domain == "com.microsoft");
  CHECK(dynamic.inputs.size() == 12);
  CHECK(model.graph.find_initializer("lstm_W_quantized")->shape == Shape{1, 32, 64});
  CHECK(model.graph.find_initializer("lstm_W_scale")->shape == Shape{1, 64});
  CHECK(edit.plan.nodes[0].mode == "dynamic int8");

  model = original;
  edit = quantize_dynamic(model, dynamic_recipe());
  validate(model);
  CHECK(ops_of(model.graph) == std::vector<std::string>{"DequantizeLinear", "DequantizeLinear", "LSTM"});
  CHECK(edit.plan.nodes[0].reason.find("size only") != std::string::npos);
}

TEST_CASE("quantize_dynamic: excluded nodes stay, products of two activations too, old opsets are refused") {
  Model model =
      model_of({node_of("a", "MatMul", {"x", "w"}, {"p"}), node_of("b", "MatMul", {"p", "p"}, {"y"})}, {{"w", ramp({64, 64})}});
  Recipe recipe = dynamic_recipe();
  recipe.exclude = {"a"};
  const PlannedEdit edit = quantize_dynamic(model, recipe);
  CHECK(edit.result.n_changes == 0);
  CHECK(edit.plan.nodes[0].reason == "excluded by 'a'");
  CHECK_FALSE(edit.plan.nodes[1].is_quantized);
  model.set_opset("", 9);
  CHECK_THROWS_AS(quantize_dynamic(model, dynamic_recipe()), Error);
}
