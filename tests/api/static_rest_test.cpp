#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "api/calibration_run.h"
#include "api/quantize.h"
#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "files/onnx/onnx.h"
#include "passes/graph_edit.h"
#include "passes/lint.h"

namespace bitwright {
namespace {

using tests::make_node;

Tensor noise(Shape shape, std::uint32_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (float& value : tensor.data<float>()) value = uniform(random);
  return tensor;
}

/// y = x * outer, then If: z = y * (its own matrix) or y * outer; the last layer of both is quantized statically or not at all.
std::shared_ptr<const Model> with_subgraphs() {
  Graph inner;
  inner.initializers.push_back(TensorRecord::of("w_inner", noise({32, 32}, 3)));
  inner.nodes.push_back(make_node("MatMul", {"y", "w_inner"}, {"a"}));
  inner.outputs.push_back(ValueInfo::of("a", DType::f32, {2, 32}));
  Graph other;
  other.nodes.push_back(make_node("MatMul", {"y", "w_shared"}, {"b"}));
  other.nodes.push_back(make_node("MatMul", {"b", "w_shared"}, {"c"}));
  other.outputs.push_back(ValueInfo::of("c", DType::f32, {2, 32}));
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("w", noise({32, 32}, 1)));
  graph.initializers.push_back(TensorRecord::of("w_shared", noise({32, 32}, 2)));
  graph.nodes.push_back(make_node("MatMul", {"x", "w"}, {"y"}));
  graph.nodes.push_back(make_node("If", {"cond"}, {"z"},
                                  {tests::make_graph_attribute("then_branch", std::move(inner)),
                                   tests::make_graph_attribute("else_branch", std::move(other))}));
  graph.inputs = {ValueInfo::of("x", DType::f32, {2, 32}), ValueInfo::of("cond", DType::boolean, {})};
  graph.outputs = {ValueInfo::of("z", DType::f32, {2, 32})};
  return tests::share(tests::make_model(std::move(graph), 13));
}

std::map<std::string, Tensor> feeds_of(std::uint32_t seed, bool condition) {
  return {{"x", noise({2, 32}, seed)}, {"cond", Tensor::scalar(condition)}};
}

QuantizeResult quantized(const std::shared_ptr<const Model>& model, const Recipe& recipe) {
  CalibrationRun run(model, recipe, false);
  for (std::uint32_t seed = 10; seed < 14; ++seed) run.feed(feeds_of(seed, seed % 2 == 0));
  const Statistics statistics = run.statistics();
  QuantizeLimits limits;
  limits.allows_larger = true;
  return quantize(*model, recipe, &statistics, "", {}, limits);
}

const NodeDecision& row_of(const QuantizeResult& result, const std::string& node) {
  return *std::find_if(result.nodes.begin(), result.nodes.end(), [&](const NodeDecision& row) { return row.node == node; });
}

bool says(const std::vector<std::string>& messages, const std::string& text) {
  return std::any_of(messages.begin(), messages.end(),
                     [&](const std::string& message) { return message.find(text) != std::string::npos; });
}

std::size_t n_of(const Model& model, const std::string& op_type) {
  std::size_t n = 0;
  visit_nodes(model, [&](const Node& node, const std::string&) { n += node.op_type == op_type; });
  return n;
}

TEST_CASE("quantize: static mode stores the weights of subgraphs as codes, tied ones once") {
  const std::shared_ptr<const Model> model = with_subgraphs();
  const QuantizeResult result = quantized(model, {});
  CHECK(row_of(result, "n_y").mode == "QDQ int8");
  for (const char* node : {"n_a", "n_b", "n_c"}) {
    CHECK(row_of(result, node).mode == "weights only int8");
    CHECK(row_of(result, node).reason.find("size only") == 0);
    CHECK(row_of(result, node).reason.find("in a subgraph") != std::string::npos);
  }
  CHECK(says(result.messages, "3 nodes that compute in float had weights stored as codes, for size only: 3 MatMul"));
  CHECK(n_of(*result.model, "DequantizeLinear") == 4);  // x, w, w_inner, and w_shared for two readers
  CHECK(result.tensors.size() == 4);                    // x and the three weights
  for (const bool condition : {true, false}) {
    const Tensor a = Session(model).run(feeds_of(10, condition)).at("z");
    const Tensor b = Session(result.model).run(feeds_of(10, condition)).at("z");
    double signal = 0.0;
    double error = 0.0;
    for (std::size_t i = 0; i < a.data<float>().size(); ++i) {
      signal += a.data<float>()[i] * a.data<float>()[i];
      error += (a.data<float>()[i] - b.data<float>()[i]) * (a.data<float>()[i] - b.data<float>()[i]);
    }
    CHECK(signal > 1000.0 * error);  // 30 dB; each rounding to 8 bits of uniform values alone leaves about 45
  }
}

TEST_CASE("quantize: static mode leaves excluded nodes of subgraphs in float") {
  Recipe recipe;
  recipe.exclude = {"n_b"};
  const QuantizeResult result = quantized(with_subgraphs(), recipe);
  CHECK(row_of(result, "n_b").reason == "excluded by 'n_b'");
  CHECK_FALSE(row_of(result, "n_c").is_quantized);  // shares its weight with n_b
  CHECK(row_of(result, "n_a").is_quantized);
}

std::shared_ptr<const Model> lstm_model() {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("w", noise({1, 64, 32}, 1)));
  graph.initializers.push_back(TensorRecord::of("r", noise({1, 64, 16}, 2)));
  graph.nodes.push_back(make_node("LSTM", {"s", "w", "r"}, {"y"}, {Attribute::of_int("hidden_size", 16)}));
  graph.inputs = {ValueInfo::of("s", DType::f32, {3, 1, 32})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {3, 1, 1, 16})};
  return tests::share(tests::make_model(std::move(graph), 13));
}

TEST_CASE("quantize: static mode makes DynamicQuantizeLSTM for onnxruntime, codes of W and R elsewhere") {
  const Statistics statistics;
  Recipe recipe;
  recipe.target = Target::onnxruntime;
  QuantizeResult result = quantize(*lstm_model(), recipe, &statistics);
  CHECK(n_of(*result.model, "DynamicQuantizeLSTM") == 1);
  CHECK(result.nodes[0].mode == "dynamic int8");
  CHECK(says(result.messages, "1 LSTM quantized dynamically"));
  for (const Target target : {Target::onnxruntime_web, Target::portable}) {
    recipe.target = target;
    result = quantize(*lstm_model(), recipe, &statistics);
    CHECK(n_of(*result.model, "LSTM") == 1);
    CHECK(n_of(*result.model, "DequantizeLinear") == 2);
    CHECK(result.nodes[0].mode == "weights only int8");
    CHECK(result.nodes[0].reason.find("size only") == 0);
  }
  recipe.exclude = {"op:LSTM"};
  CHECK_THROWS_AS(quantize(*lstm_model(), recipe, &statistics), Error);
}

TEST_CASE("quantize: a model that was quantized before is named as such, in every mode that stores codes") {
  Recipe recipe;
  const Statistics statistics;
  const QuantizeResult once = quantize(*lstm_model(), recipe, &statistics);
  for (const QuantMode mode : {QuantMode::static_, QuantMode::dynamic, QuantMode::weight_only}) {
    recipe.mode = mode;
    try {
      quantize(*once.model, recipe, &statistics);
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::nothing_quantized);
      CHECK(std::string(error.what()).find("is quantized already (2 DequantizeLinear)") != std::string::npos);
    }
  }
}

Model chain_of_layers(std::size_t n_layers, bool has_float_between) {
  Graph graph;
  std::string value = "x";
  for (std::size_t i = 0; i < n_layers; ++i) {
    const std::string at = std::to_string(i);
    graph.initializers.push_back(TensorRecord::of("w" + at, noise({8, 1, 3, 3}, 1)));
    graph.nodes.push_back(make_node("Conv", {value, "w" + at}, {"c" + at}, {Attribute::of_int("group", 8)}));
    value = "c" + at;
    if (!has_float_between) continue;
    graph.nodes.push_back(make_node("HardSwish", {value}, {"h" + at}));
    value = "h" + at;
  }
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, 8, 32, 32})};
  graph.outputs = {ValueInfo::of(value, DType::f32, {})};
  graph.outputs[0].has_shape = false;
  return tests::make_model(std::move(graph), 14);
}

bool lints(const Model& model, const Recipe& recipe, const std::string& text) {
  QuantPlan plan;
  const bool is_static = recipe.mode == QuantMode::static_;
  for (const Node& node : model.graph.nodes) {
    const bool is_layer = node.op_type == "Conv";
    plan.nodes.push_back({node.name, node.op_type, "", "", is_layer,
                          !is_layer   ? "float"
                          : is_static ? "QDQ int8"
                                      : "weights only int8",
                          ""});
    const QuantParams params{DType::u8, {0, 255}, PerTensor{}, {0.1f}, {0}};
    if (is_static && node.outputs[0] != model.graph.outputs[0].name)
      plan.tensors.push_back({node.outputs[0], TensorRole::activation, params, {}});
  }
  const std::vector<LintRow> rows = lint_plan(model, plan, recipe);
  return std::any_of(rows.begin(), rows.end(), [&](const LintRow& row) { return row.message.find(text) != std::string::npos; });
}

TEST_CASE("lint_plan: depthwise layers and float stretches are spoken of in static mode only") {
  Recipe recipe;
  CHECK(lints(chain_of_layers(6, true), recipe, "depthwise"));
  // The last HardSwish makes the output in float; the five others stand between layers.
  CHECK(lints(chain_of_layers(6, true), recipe, "5 stretches of float nodes between 6 quantized layers, with 6 HardSwish"));
  CHECK_FALSE(lints(chain_of_layers(6, false), recipe, "float nodes between"));
  CHECK_FALSE(lints(chain_of_layers(3, true), recipe, "float nodes between"));  // too few to matter
  recipe.target = Target::portable;
  CHECK_FALSE(lints(chain_of_layers(6, true), recipe, "float nodes between"));
  recipe = {};
  for (const QuantMode mode : {QuantMode::weight_only, QuantMode::float16}) {
    recipe.mode = mode;
    CHECK_FALSE(lints(chain_of_layers(6, true), recipe, "depthwise"));
    CHECK_FALSE(lints(chain_of_layers(6, true), recipe, "float nodes between"));
  }
}

TEST_CASE("lint_plan: weights that are dequantized on every run save only the download on onnxruntime-web") {
  Recipe recipe;
  recipe.mode = QuantMode::weight_only;
  CHECK(lints(chain_of_layers(2, false), recipe, "download saving only: weights of 2 nodes are dequantized at every run"));
  recipe.target = Target::onnxruntime;
  CHECK_FALSE(lints(chain_of_layers(2, false), recipe, "download saving only"));
  CHECK(lints(chain_of_layers(2, false), recipe, "a smaller file, not a faster model"));
}

}  // namespace
}  // namespace bitwright
