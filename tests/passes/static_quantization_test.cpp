#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "passes/insert_qdq.h"
#include "passes/lint.h"
#include "passes/plan_static.h"

namespace bitwright {
namespace {

using tests::make_model;
using tests::make_node;

Tensor noise(Shape shape, std::uint32_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (float& value : tensor.data<float>()) value = uniform(random);
  return tensor;
}

class Builder {
 public:
  Builder& constant(const std::string& name, Tensor tensor) {
    graph_.initializers.push_back(TensorRecord::of(name, std::move(tensor)));
    return *this;
  }
  Builder& node(const std::string& op_type, std::vector<std::string> inputs, std::vector<std::string> outputs,
                std::vector<Attribute> attributes = {}) {
    graph_.nodes.push_back(make_node(op_type, std::move(inputs), std::move(outputs), std::move(attributes)));
    return *this;
  }
  Builder& conv(const std::string& x, const std::string& y, std::int64_t n_in, std::int64_t n_out, bool has_bias = true) {
    constant(y + "_w", noise({n_out, n_in, 1, 1}, 3));
    if (has_bias) constant(y + "_b", noise({n_out}, 4));
    return node("Conv", has_bias ? std::vector<std::string>{x, y + "_w", y + "_b"} : std::vector<std::string>{x, y + "_w"}, {y});
  }
  Model model(Shape input, std::vector<std::string> outputs, std::int64_t opset = 13) {
    graph_.inputs.push_back(ValueInfo::of("x", DType::f32, std::move(input)));
    for (const std::string& output : outputs) {
      graph_.outputs.push_back(ValueInfo::of(output, DType::f32, {}));
      graph_.outputs.back().has_shape = false;
    }
    return make_model(std::move(graph_), opset);
  }

 private:
  Graph graph_;
};

struct Planned {
  QuantPlan plan;
  const NodeDecision& node(const std::string& output) const {
    for (const NodeDecision& row : plan.nodes)
      if (row.node == "n_" + output) return row;
    throw std::runtime_error("no node " + output);
  }
  const TensorPlan* tensor(const std::string& value) const {
    for (const TensorPlan& row : plan.tensors)
      if (row.value == value) return &row;
    return nullptr;
  }
};

/// Every value of the model in [-1, 1] unless said otherwise.
Planned plan_of(const Model& model, const Recipe& recipe = {}, ValueRanges ranges = {}) {
  const Selection selection(model, recipe);
  const ValueTypes types = infer_types(model);
  for (const std::string& value : needs_calibration(model, plan_static(model, recipe, selection, types, nullptr)))
    ranges.emplace(value, ValueRange{{-1.0f, 1.0f}, ""});
  return {plan_static(model, recipe, selection, types, &ranges)};
}

const Node& producer_of(const Model& model, const std::string& value) {
  const GraphIndex index(model.graph);
  return model.graph.nodes.at(static_cast<std::size_t>(index.producer(value)));
}

TEST_CASE("plan_static: a Relu behind a Conv is absorbed, and codes of its result begin at 0") {
  const Model model = Builder().conv("x", "a", 3, 4).node("Relu", {"a"}, {"b"}).conv("b", "y", 4, 2).model({1, 3, 4, 4}, {"y"});
  const Planned planned = plan_of(model, {}, {{"b", {{0.0f, 2.55f}, ""}}});
  CHECK(planned.node("b").is_quantized);
  CHECK(planned.tensor("a") == nullptr);
  REQUIRE(planned.tensor("b") != nullptr);
  CHECK(planned.tensor("b")->params.zero_points[0] == 0);
  CHECK(planned.tensor("b")->params.scales[0] == doctest::Approx(0.01));
}

TEST_CASE("plan_static: ends of a range that lie half way between two codes are moved onto codes") {
  const auto params = [](float rmin, float rmax, DType dtype = DType::u8) {
    Recipe recipe;
    recipe.activation.dtype = dtype;
    const Model model = Builder().conv("x", "h", 8, 8).conv("h", "y", 8, 8).model({1, 8, 4, 4}, {"y"});
    return plan_of(model, recipe, {{"h", {{rmin, rmax}, ""}}}).tensor("h")->params;
  };
  // [-1, 1] is 127.5 codes on either side of the zero point: 127 and 128 then.
  CHECK(params(-1.0f, 1.0f).scales[0] == 1.0f / 127.0f);
  CHECK(params(-1.0f, 1.0f).zero_points[0] == 128);
  CHECK(params(-1.0f, 1.0f, DType::i8).zero_points[0] == 0);
  // Half a code below zero becomes a whole one, unless none would be left above.
  CHECK(params(-0.5f, 254.5f).scales[0] == 254.5f / 254.0f);
  CHECK(params(-0.5f, 254.5f).zero_points[0] == 1);
  CHECK(params(-254.5f, 0.5f).scales[0] == 1.0f);
  // Elsewhere the range keeps all its codes.
  CHECK(params(-1.0f, 1.02f).scales[0] == 2.02f / 255.0f);
  CHECK(params(0.0f, 1.0f).scales[0] == 1.0f / 255.0f);
}

TEST_CASE("plan_static: the highest code behind an absorbed Clip does not pass its bound") {
  for (const float bound : {6.0f, 1.1f, 0.3f, 20.7f}) {
    const Model model = Builder()
                            .constant("low", Tensor::scalar(0.0f))
                            .constant("high", Tensor::scalar(bound))
                            .conv("x", "a", 3, 4)
                            .node("Clip", {"a", "low", "high"}, {"b"})
                            .conv("b", "y", 4, 2)
                            .model({1, 3, 4, 4}, {"y"});
    const Planned planned = plan_of(model, {}, {{"b", {{0.0f, bound}, ""}}});
    REQUIRE(planned.tensor("b") != nullptr);
    const float highest = planned.tensor("b")->params.scales[0] * 255.0f;
    CHECK(highest <= bound);
    CHECK(highest >= bound * 0.99999f);
  }
}

TEST_CASE("plan_static: operators between layers are quantized, at the ends they stay in float") {
  const Model model = Builder()
                          .conv("x", "a", 3, 4)
                          .node("Sigmoid", {"a"}, {"b"})
                          .node("Mul", {"a", "b"}, {"c"})
                          .conv("c", "d", 4, 2)
                          .node("Sigmoid", {"d"}, {"y"})
                          .model({1, 3, 4, 4}, {"y"});
  const Planned planned = plan_of(model);
  CHECK(planned.node("b").is_quantized);
  CHECK(planned.node("c").is_quantized);
  CHECK_FALSE(planned.node("y").is_quantized);
  CHECK(planned.node("y").reason == "does not lie between quantized nodes");
  CHECK(planned.plan.nodes.size() == model.graph.nodes.size());
  CHECK(planned.tensor("b")->params.scales[0] == 1.0f / 255.0f);  // known range [0, 1]
}

TEST_CASE("plan_static: an include pattern makes a lone operator quantized") {
  const Model model = Builder().node("Sigmoid", {"x"}, {"y"}).model({1, 3, 4, 4}, {"y"});
  CHECK_FALSE(plan_of(model).node("y").is_quantized);
  Recipe recipe;
  recipe.include = {"op:Sigmoid"};
  CHECK(plan_of(model, recipe).node("y").is_quantized);
}

TEST_CASE("plan_static: MaxPool and Reshape share the scale of their input") {
  const Model model =
      Builder()
          .conv("x", "a", 3, 4)
          .node("MaxPool", {"a"}, {"b"}, {Attribute::of_ints("kernel_shape", {2, 2}), Attribute::of_ints("strides", {2, 2})})
          .conv("b", "y", 4, 2)
          .model({1, 3, 4, 4}, {"y"});
  const Planned planned = plan_of(model, {}, {{"a", {{-3.0f, 5.0f}, ""}}, {"b", {{-1.0f, 5.0f}, ""}}});
  CHECK(planned.tensor("a")->params.scales == planned.tensor("b")->params.scales);
  CHECK(planned.tensor("a")->params.zero_points == planned.tensor("b")->params.zero_points);
}

TEST_CASE("plan_static: inputs that only a Concat reads take the scale of its result, others keep theirs") {
  const Model model = Builder()
                          .conv("x", "a", 3, 4)
                          .conv("x", "b", 3, 4)
                          .node("Concat", {"a", "b"}, {"c"}, {Attribute::of_int("axis", 1)})
                          .conv("c", "d", 8, 4)
                          .node("Add", {"d", "b"}, {"e"})
                          .conv("e", "y", 4, 2)
                          .model({1, 3, 4, 4}, {"y"});
  const Planned planned =
      plan_of(model, {},
              {{"a", {{-1.0f, 1.0f}, ""}}, {"b", {{-2.0f, 2.0f}, ""}}, {"c", {{-2.0f, 2.0f}, ""}}, {"d", {{-9.0f, 9.0f}, ""}}});
  CHECK(planned.tensor("a")->params.scales == planned.tensor("c")->params.scales);
  CHECK(planned.tensor("b")->params.scales[0] == doctest::Approx(2.0 / 127));
}

TEST_CASE("plan_static: values with infinities keep their nodes in float and are named") {
  const Model model = Builder().conv("x", "a", 3, 4).conv("a", "y", 4, 2).model({1, 3, 4, 4}, {"y"});
  const Planned planned = plan_of(model, {}, {{"a", {{}, "held NaN or infinity 4 times, first in sample 2"}}});
  CHECK_FALSE(planned.node("a").is_quantized);
  CHECK(planned.node("a").reason == "value 'a' held NaN or infinity 4 times, first in sample 2");
}

TEST_CASE("plan_static: a bias beyond int32 raises the scale of its channel only") {
  Builder builder;
  builder.constant("w", Tensor::of<float>({2, 1, 1, 1}, {1e-6f, 1.0f})).constant("b", Tensor::of<float>({2}, {500.0f, 0.5f}));
  builder.node("Conv", {"x", "w", "b"}, {"a"});
  const Model model = builder.conv("a", "y", 2, 2).model({1, 1, 4, 4}, {"y"});
  const Planned planned = plan_of(model);
  const std::vector<float>& scales = planned.tensor("w")->params.scales;
  CHECK(scales[1] == 1.0f / 127.0f);
  CHECK(scales[0] > 1e-6f / 127.0f);
  const float bias_scale = planned.tensor("b")->params.scales[0];
  CHECK(500.0 / bias_scale < 2147483648.0);
}

TEST_CASE("plan_static: weights in blocks are refused for static mode") {
  const Model model = Builder().conv("x", "y", 3, 4).model({1, 3, 4, 4}, {"y"});
  Recipe recipe;
  recipe.weight.grain = TensorScheme::Grain::per_block;
  CHECK_THROWS_AS(plan_of(model, recipe), Error);
}

Model three_layers(std::int64_t opset) {
  return Builder()
      .conv("x", "a", 3, 4)
      .node("Relu", {"a"}, {"b"})
      .conv("b", "c", 4, 4)
      .node("Add", {"b", "c"}, {"d"})
      .conv("d", "y", 4, 2)
      .model({1, 3, 8, 8}, {"y"}, opset);
}

double sqnr_db(std::span<const float> reals, std::span<const float> others) {
  double signal = 0.0;
  double error = 0.0;
  for (std::size_t i = 0; i < reals.size(); ++i) {
    const double x = reals[i];
    signal += x * x;
    error += (x - others[i]) * (x - others[i]);
  }
  return 10.0 * std::log10(signal / error);
}

struct Quantized {
  Model model;
  QuantPlan plan;
  double sqnr_db = 0.0;    // of the result, against float
  double fusion_db = 0.0;  // of integer kernels, where there are some, against the simulated run
};

/// Quantized with the ranges of what one input really makes, found by a run.
Quantized quantized(const Model& model, const Recipe& recipe) {
  const std::map<std::string, Tensor> feeds{{"x", noise({1, 3, 8, 8}, 77)}};
  ValueRanges ranges{{"x", {{-1.0f, 1.0f}, ""}}};
  const auto expected = Session(tests::share(model)).run(feeds, [&](const std::string& value, const Tensor& tensor) {
    ValueRange& range = ranges[value];
    for (const float v : tensor.data<float>()) range.range = {std::min(range.range.rmin, v), std::max(range.range.rmax, v)};
  });
  Quantized result{model, plan_of(model, recipe, ranges).plan};
  insert_qdq(result.model, result.plan, recipe);
  validate(result.model);
  const Tensor got = Session(tests::share(result.model)).run(feeds).at("y");
  const Tensor fast = Session(tests::share(result.model), {.arithmetic = SessionArithmetic::fast}).run(feeds).at("y");
  result.sqnr_db = sqnr_db(expected.at("y").data<float>(), got.data<float>());
  result.fusion_db = sqnr_db(got.data<float>(), fast.data<float>());
  return result;
}

TEST_CASE("insert_qdq: activations of 16 bits stand in ai.onnx from opset 21 on, below in com.microsoft, and run in float") {
  for (const DType dtype : {DType::u16, DType::i16})
    for (const std::int64_t opset : {13, 21}) {
      Recipe recipe;
      recipe.activation.dtype = dtype;
      const Quantized made = quantized(three_layers(opset), recipe);
      const std::string domain = opset < 21 ? "com.microsoft" : "";
      for (const Node& node : made.model.graph.nodes)
        if (node.op_type.ends_with("Linear")) CHECK(node.domain == domain);
      CHECK(made.model.graph.find_initializer("b_zero_point")->dtype == dtype);
      // Weights of 8 bits alone leave some 45 dB; steps of 16 bits are 48 dB below those.
      CHECK(made.sqnr_db > 38.0);
      CHECK(made.fusion_db > 120.0);
      const std::vector<LintRow> rows = lint_plan(three_layers(opset), made.plan, recipe);
      REQUIRE(rows.size() == 1);
      CHECK(rows[0].message.find("in float") != std::string::npos);
    }
  Recipe wide;
  wide.activation.dtype = wide.weight.dtype = DType::u16;
  wide.weight.is_symmetric = wide.weight.narrow_range = false;
  // Errors of 1 / 65535 of a range of 2 to 4 steps a layer: 85 dB and more.
  CHECK(quantized(three_layers(21), wide).sqnr_db > 80.0);
}

TEST_CASE("insert_qdq: the graph keeps its float ends, and its results stay near") {
  const Model model = three_layers(13);
  // The ranges of what one input really makes, found by a run.
  const std::map<std::string, Tensor> feeds{{"x", noise({1, 3, 8, 8}, 77)}};
  ValueRanges ranges;
  std::map<std::string, Tensor> expected =
      Session(tests::share(model)).run(feeds, [&](const std::string& value, const Tensor& tensor) {
        ValueRange& range = ranges[value];
        for (const float v : tensor.data<float>()) range.range = {std::min(range.range.rmin, v), std::max(range.range.rmax, v)};
      });
  ranges["x"] = {{-1.0f, 1.0f}, ""};
  const Planned planned = plan_of(model, {}, ranges);
  Model quantized = model;
  CHECK(insert_qdq(quantized, planned.plan, {}).n_changes == static_cast<std::int64_t>(planned.plan.tensors.size()));
  CHECK_NOTHROW(validate(quantized));
  CHECK(quantized.graph.outputs[0].name == "y");
  CHECK(producer_of(quantized, "y").op_type == "DequantizeLinear");
  CHECK(producer_of(quantized, producer_of(quantized, "b_quantized").inputs[0]).op_type == "Relu");
  CHECK(quantized.graph.find_initializer("a_w") == nullptr);
  CHECK(quantized.graph.find_initializer("a_w_quantized")->dtype == DType::i8);
  CHECK(quantized.graph.find_initializer("a_b_quantized")->dtype == DType::i32);

  const Tensor got = Session(tests::share(quantized)).run(feeds).at("y");
  CHECK(sqnr_db(expected.at("y").data<float>(), got.data<float>()) > 30.0);  // four roundings to 8 bits, some 45 dB each
}

TEST_CASE("insert_qdq: each value gets one pair, shared by its readers; tied weights are stored once, shared biases per layer") {
  Builder builder;
  builder.constant("w", noise({3, 3, 1, 1}, 5)).constant("b", noise({3}, 6));
  builder.node("Conv", {"x", "w", "b"}, {"p"}).node("Conv", {"p", "w", "b"}, {"q"}).node("Add", {"p", "q"}, {"r"});
  const Model model = builder.conv("r", "y", 3, 2, false).model({1, 3, 4, 4}, {"y"});
  Model quantized = model;
  insert_qdq(quantized, plan_of(model, {}, {{"p", {{-4.0f, 4.0f}, ""}}}).plan, {});
  std::size_t n_quantize = 0;
  std::size_t n_weights = 0;
  std::size_t n_biases = 0;
  for (const Node& node : quantized.graph.nodes) n_quantize += node.op_type == "QuantizeLinear";
  for (const TensorRecord& record : quantized.graph.initializers) {
    n_weights += record.dtype == DType::i8 && record.shape.size() == 4;
    n_biases += record.dtype == DType::i32;
  }
  CHECK(n_quantize == 5);  // x p q r y
  CHECK(n_weights == 2);
  CHECK(n_biases == 2);
  CHECK_NOTHROW(Session(tests::share(quantized)).run({{"x", noise({1, 3, 4, 4}, 8)}}));
}

TEST_CASE("insert_qdq: a table keeps its codes until rows are gathered") {
  Builder builder;
  builder.constant("table", noise({64, 32}, 9))
      .constant("w", noise({32, 8}, 10))
      .constant("rows", Tensor::of<std::int64_t>({2}, {5, 60}));
  builder.node("Gather", {"table", "rows"}, {"e"}).node("Add", {"e", "x"}, {"f"}).node("MatMul", {"f", "w"}, {"y"});
  const Model model = builder.model({2, 32}, {"y"});
  const Planned planned = plan_of(model, {}, {{"f", {{-2.0f, 2.0f}, ""}}});
  CHECK(planned.node("e").mode == "weights only int8");
  Model quantized = model;
  insert_qdq(quantized, planned.plan, {});
  CHECK(producer_of(quantized, "e").op_type == "DequantizeLinear");
  CHECK(producer_of(quantized, producer_of(quantized, "e").inputs[0]).op_type == "Gather");
  const Tensor x = noise({2, 32}, 11);
  const Tensor a = Session(tests::share(model)).run({{"x", x}}).at("y");
  const Tensor b = Session(tests::share(quantized)).run({{"x", x}}).at("y");
  // 32 products of |f| <= 2, off by 1/254 (table) + 2/255 (activation), and |w| <= 1, off by 1/254: at most 0.63.
  for (std::size_t i = 0; i < a.data<float>().size(); ++i) CHECK(std::abs(a.data<float>()[i] - b.data<float>()[i]) < 0.63f);
}

TEST_CASE("lint_plan: signed activations are told to be slow on onnxruntime-web") {
  const Model model = Builder().conv("x", "y", 3, 4).model({1, 3, 4, 4}, {"y"});
  Recipe recipe;
  CHECK(lint_plan(model, plan_of(model, recipe).plan, recipe).empty());
  recipe.activation.dtype = DType::i8;
  const std::vector<LintRow> rows = lint_plan(model, plan_of(model, recipe).plan, recipe);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].severity == Severity::warning);
  recipe.target = Target::portable;
  CHECK(lint_plan(model, plan_of(model, recipe).plan, recipe).empty());
}

}  // namespace
}  // namespace bitwright
