#include "api/quantize.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <random>

#include "api/calibration_run.h"
#include "bad_input.h"
#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "files/onnx/onnx.h"
#include "quant/encodings/encoding.h"

namespace bitwright {
namespace {

Tensor noise(Shape shape, std::uint32_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (float& value : tensor.data<float>()) value = uniform(random);
  return tensor;
}

std::shared_ptr<const Model> layer_and_norm() {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("w", noise({16, 16, 3, 3}, 1)));
  for (const char* name : {"scale", "shift", "mean", "variance"}) {
    Tensor values = noise({16}, 2);
    for (float& value : values.data<float>()) value = value * value + 0.1f;
    graph.initializers.push_back(TensorRecord::of(name, std::move(values)));
  }
  graph.nodes.push_back(tests::make_node("Conv", {"x", "w"}, {"a"}));
  graph.nodes.push_back(tests::make_node("BatchNormalization", {"a", "scale", "shift", "mean", "variance"}, {"b"}));
  graph.nodes.push_back(tests::make_node("Relu", {"b"}, {"y"}));
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 16, 6, 6}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {1, 16, 4, 4}));
  return tests::share(tests::make_model(std::move(graph), 12));
}

Statistics statistics_of(const std::shared_ptr<const Model>& model, const Recipe& recipe) {
  CalibrationRun run(model, recipe, false);
  for (std::uint32_t seed = 10; seed < 14; ++seed) run.feed({{"x", noise({1, 16, 6, 6}, seed)}});
  return run.statistics();
}

std::vector<std::uint8_t> bytes_of(const Model& model) {
  MemorySink sink;
  write_onnx(model, sink, nullptr);
  return sink.take();
}

TEST_CASE("quantize: folds, raises the opset, tables every node and leaves the input alone") {
  const std::shared_ptr<const Model> model = layer_and_norm();
  const std::vector<std::uint8_t> before = bytes_of(*model);
  Recipe recipe;
  recipe.canonical_json = "{}";
  CHECK(values_to_calibrate(*model, recipe) == std::vector<std::string>{"x", "y"});
  const Statistics statistics = statistics_of(model, recipe);
  const QuantizeResult result = quantize(*model, recipe, &statistics, "abc");
  CHECK(bytes_of(*model) == before);
  CHECK(result.model->opset() == 13);
  REQUIRE(result.nodes.size() == 3);
  CHECK(result.nodes[0].is_quantized);
  CHECK(result.nodes[1].mode == "folded");
  CHECK(result.nodes[2].is_quantized);
  CHECK(result.bytes_after < result.bytes_before);
  CHECK(result.bytes_after == bytes_of(*result.model).size());
  REQUIRE(result.tensors.size() == 4);  // x, y, weight, bias
  CHECK(result.tensors[2].role == TensorRole::weight);
  CHECK(result.tensors[2].sqnr_db > 40.0);  // 8 bits over a uniform distribution: about 48 dB
  CHECK(result.model->metadata.size() == 3);
}

TEST_CASE("quantize: the same input, recipe and statistics give the same bytes") {
  const std::shared_ptr<const Model> model = layer_and_norm();
  const Statistics statistics = statistics_of(model, {});
  CHECK(bytes_of(*quantize(*model, {}, &statistics).model) == bytes_of(*quantize(*model, {}, &statistics).model));
}

TEST_CASE("quantize: float16 keeps nodes in float32 whose values the samples showed beyond 65504") {
  const std::shared_ptr<const Model> model = layer_and_norm();
  Recipe recipe;
  recipe.mode = QuantMode::float16;
  CHECK(values_to_calibrate(*model, recipe) == std::vector<std::string>{"x", "a", "b", "y"});
  const QuantizeResult unchecked = quantize(*model, recipe, nullptr);
  CHECK(unchecked.nodes[0].mode == "float16");
  CHECK(unchecked.messages.back().find("were not checked") != std::string::npos);
  Statistics statistics = statistics_of(model, recipe);
  CHECK(statistics.at("a").n_samples == 4);
  statistics.at("y").rmax = 1e6f;
  const QuantizeResult checked = quantize(*model, recipe, &statistics);
  CHECK(checked.nodes[0].mode == "float16");
  CHECK(checked.nodes[2].reason.find("'y' reached 1000000") != std::string::npos);
  // The same where half precision is what weights of codes leave over.
  recipe.mode = QuantMode::weight_only;
  recipe.float16_rest = true;
  CHECK(values_to_calibrate(*model, recipe) == std::vector<std::string>{"x", "a", "b", "y"});
  const QuantizeResult rest = quantize(*model, recipe, &statistics);
  CHECK(rest.nodes[0].is_quantized);
  CHECK(rest.nodes[2].reason.find("'y' reached 1000000") != std::string::npos);
}

/// How far the outputs for one more sample are from those of the float model: the sum of squares.
double output_error(const Model& model, const QuantizeResult& result, const std::map<std::string, Tensor>& feeds) {
  auto expected = Session(tests::share(model)).run(feeds);
  auto found = Session(result.model).run(feeds);
  double sum = 0.0;
  for (const auto& [name, tensor] : expected) {
    const auto x = tensor.data<float>();
    const auto y = found.at(name).data<float>();
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = static_cast<double>(x[i]) - static_cast<double>(y[i]);
      sum += error * error;
    }
  }
  return sum;
}

/// A sample whose channels differ in size: channel c of `axis` is multiplied with 2^-(c / 4).
Tensor uneven(const Shape& shape, std::size_t inner, std::uint32_t seed) {
  Tensor tensor = noise(shape, seed);
  auto values = tensor.data<float>();
  const auto channels = static_cast<std::size_t>(shape[1]);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= std::exp2(-static_cast<float>(i / inner % channels) / 4.0f);
  return tensor;
}

TEST_CASE("quantize: output_error weighs the errors of weights by what samples multiply them with, whoever reads them") {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("grouped", noise({32, 16, 3, 3}, 1)));
  graph.initializers.push_back(TensorRecord::of("back", noise({32, 8, 3, 3}, 2)));
  graph.initializers.push_back(TensorRecord::of("right", noise({128, 16}, 3)));
  graph.initializers.push_back(TensorRecord::of("left", noise({16, 64}, 4)));
  graph.initializers.push_back(TensorRecord::of("layer", noise({24, 64}, 5)));
  graph.initializers.push_back(TensorRecord::of("table", noise({64, 16}, 6)));
  Node conv = tests::make_node("Conv", {"x", "grouped"}, {"a"});
  conv.set(Attribute::of_int("group", 2));
  Node gemm = tests::make_node("Gemm", {"h", "layer"}, {"d"});
  gemm.set(Attribute::of_int("transB", 1));
  graph.nodes = {std::move(conv),
                 tests::make_node("ConvTranspose", {"x", "back"}, {"b"}),
                 tests::make_node("MatMul", {"g", "right"}, {"c"}),
                 tests::make_node("MatMul", {"left", "t"}, {"e"}),
                 std::move(gemm),
                 tests::make_node("Gather", {"table", "i"}, {"f"})};
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, 32, 5, 5}), ValueInfo::of("g", DType::f32, {3, 128}),
                  ValueInfo::of("t", DType::f32, {64, 3}), ValueInfo::of("h", DType::f32, {3, 64}),
                  ValueInfo::of("i", DType::i64, {2})};
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) graph.outputs.push_back(ValueInfo::of(name, DType::f32, {}));
  for (ValueInfo& output : graph.outputs) output.has_shape = false;
  const std::shared_ptr<const Model> model = tests::share(tests::make_model(std::move(graph), 21));
  const auto sample = [](std::uint32_t seed) {
    Tensor rows = uneven({3, 64}, 1, seed);
    Tensor columns(DType::f32, {64, 3});
    for (std::size_t i = 0; i < 192; ++i) columns.data<float>()[i % 64 * 3 + i / 64] = rows.data<float>()[i];
    return std::map<std::string, Tensor>{{"x", uneven({1, 32, 5, 5}, 25, seed)},
                                         {"g", uneven({3, 128}, 1, seed)},
                                         {"t", std::move(columns)},
                                         {"h", std::move(rows)},
                                         {"i", Tensor::of<std::int64_t>({2}, {1, 5})}};
  };
  Recipe recipe;
  recipe.mode = QuantMode::weight_only;
  recipe.weight = find_scheme("i3_b32")->scheme;
  recipe.weight.grain = TensorScheme::Grain::per_channel;
  recipe.weight.clipping = CalibrationMethod::output_error;
  CHECK_THROWS_AS(quantize(*model, recipe, nullptr), Error);
  CHECK(values_to_calibrate(*model, recipe).size() == 5);  // x twice
  CalibrationRun run(model, recipe, false);
  for (std::uint32_t seed = 20; seed < 36; ++seed) run.feed(sample(seed));
  const Statistics statistics = run.statistics();
  REQUIRE(statistics.at("x").channels.size() == 1);
  CHECK(statistics.at("x").channels[0].squares.size() == 32);
  CHECK(statistics.at("x").histogram.empty());
  Recipe fitted = recipe;
  fitted.weight = find_scheme("kmeans4")->scheme;
  fitted.weight.clipping = CalibrationMethod::output_error;
  Recipe product = fitted;
  product.weight = find_scheme("pq4")->scheme;
  product.weight.n_entries = 8;
  product.weight.clipping = CalibrationMethod::output_error;
  Recipe plain;
  const auto loses_less = [&](Recipe weighed_recipe, CalibrationMethod otherwise, const char* node) {
    CAPTURE(node);
    plain = weighed_recipe;
    plain.weight.clipping = otherwise;
    plain.include = weighed_recipe.include = {concat({"op:", node})};
    const QuantizeResult weighed = quantize(*model, weighed_recipe, &statistics);
    const QuantizeResult unweighed = quantize(*model, plain, nullptr);
    double after = 0.0;
    double before = 0.0;
    for (std::uint32_t seed = 50; seed < 58; ++seed) {
      after += output_error(*model, weighed, sample(seed));
      before += output_error(*model, unweighed, sample(seed));
    }
    CHECK(after < before);
    CHECK(after > 0.0);
  };
  for (const char* node : {"Conv", "ConvTranspose", "MatMul", "Gemm"}) {
    loses_less(recipe, CalibrationMethod::mse, node);
    loses_less(fitted, CalibrationMethod::min_max, node);
    loses_less(product, CalibrationMethod::min_max, node);
  }
  plain = recipe;
  plain.weight.clipping = CalibrationMethod::mse;
  recipe.include = {"op:Gather"};
  const QuantizeResult table = quantize(*model, recipe, &statistics);
  CHECK(table.messages.back().find("weights whose inputs were not seen: 1;") != std::string::npos);
  plain.include = {"op:Gather"};
  CHECK(output_error(*model, table, sample(9)) == output_error(*model, quantize(*model, plain, nullptr), sample(9)));
}

TEST_CASE("quantize: product codebooks are refined against rows of what a weight is multiplied with") {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("kernel", noise({32, 16, 3, 3}, 1)));
  graph.initializers.push_back(TensorRecord::of("matrix", noise({64, 32}, 2)));
  Node conv = tests::make_node("Conv", {"x", "kernel"}, {"a"});
  conv.set(Attribute::of_ints("pads", {1, 1, 1, 1}));
  graph.nodes = {std::move(conv), tests::make_node("MatMul", {"h", "matrix"}, {"b"})};
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, 16, 8, 8}), ValueInfo::of("h", DType::f32, {40, 64})};
  for (const char* name : {"a", "b"}) graph.outputs.push_back(ValueInfo::of(name, DType::f32, {}));
  for (ValueInfo& output : graph.outputs) output.has_shape = false;
  const std::shared_ptr<const Model> model = tests::share(tests::make_model(std::move(graph), 21));
  // As behind a ReLU: mean squares do not tell that the errors of positive columns add up.
  const auto positive = [](const Shape& shape, std::uint32_t seed) {
    Tensor tensor = noise(shape, seed);
    for (float& value : tensor.data<float>()) value = 1.0f + 0.3f * value;
    return tensor;
  };
  const auto sample = [&](std::uint32_t seed) {
    return std::map<std::string, Tensor>{{"x", positive({1, 16, 8, 8}, seed)}, {"h", positive({40, 64}, seed)}};
  };
  Recipe recipe;
  recipe.mode = QuantMode::weight_only;
  recipe.weight = find_scheme("pq4")->scheme;
  recipe.weight.n_entries = 8;
  recipe.weight.column_group = 1;
  recipe.weight.clipping = CalibrationMethod::output_error;
  CalibrationRun run(model, recipe, false);
  for (std::uint32_t seed = 20; seed < 30; ++seed) run.feed(sample(seed));
  const Statistics statistics = run.statistics();
  CHECK(statistics.at("x").channels[0].rows.size() == kMaxSampleRows * 16 * 9);
  CHECK(statistics.at("h").channels[0].rows.size() == kMaxSampleRows * 64);
  Statistics of_squares = statistics;
  for (auto& [name, row] : of_squares) row.channels[0].rows.clear();
  for (const char* node : {"Conv", "MatMul"}) {
    CAPTURE(node);
    recipe.include = {concat({"op:", node})};
    const QuantizeResult refined = quantize(*model, recipe, &statistics);
    const QuantizeResult means = quantize(*model, recipe, &of_squares);
    for (std::uint32_t seed = 50; seed < 54; ++seed)
      CHECK(output_error(*model, refined, sample(seed)) < 0.7 * output_error(*model, means, sample(seed)));
  }
}

TEST_CASE("quantize: static mode without statistics is refused") {
  CHECK_THROWS_AS(quantize(*layer_and_norm(), {}, nullptr), Error);
}

TEST_CASE("quantize: where everything is excluded, nothing_quantized says why") {
  const std::shared_ptr<const Model> model = layer_and_norm();
  Recipe recipe;
  recipe.exclude = {"*"};
  const Statistics statistics;
  try {
    quantize(*model, recipe, &statistics);
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::nothing_quantized);
    CHECK(std::string(error.what()).find("excluded by '*'") != std::string::npos);
  }
}

TEST_CASE("quantize: a result that is no smaller is refused") {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("w", noise({1, 1, 1, 1}, 1)));
  graph.nodes.push_back(tests::make_node("Conv", {"x", "w"}, {"y"}));
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 1, 6, 6}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {1, 1, 6, 6}));
  const auto model = tests::share(tests::make_model(std::move(graph), 13));
  CalibrationRun run(model, {}, false);
  run.feed({{"x", noise({1, 1, 6, 6}, 1)}});
  const Statistics statistics = run.statistics();
  try {
    quantize(*model, {}, &statistics);
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::not_smaller);
  }
}

/// Many layers in a chain, and one weight that reaches many readers through nodes that pass values on.
std::shared_ptr<const Model> long_model(int n_layers, int n_movers) {
  const Tensor weight = noise({32, 40}, 3), back = noise({40, 32}, 4);
  Graph graph;
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 32}));
  std::string at = "x";
  const auto layer = [&](const std::string& name, const Tensor& values) {
    graph.initializers.push_back(TensorRecord::of("w" + name, values));
    graph.nodes.push_back(tests::make_node("MatMul", {at, "w" + name}, {at = "m" + name}));
  };
  for (int i = 0; i < n_layers; i += 2) {
    layer(std::to_string(i), weight);
    layer(std::to_string(i + 1), back);
  }
  graph.outputs.push_back(ValueInfo::of(at, DType::f32, {1, 32}));
  // Each level joins the one before it with itself: paths double, values do not.
  graph.initializers.push_back(TensorRecord::of("moved", weight));
  std::string joined = "moved";
  for (int level = 0; level < 6; ++level) {
    std::vector<std::string> parts(static_cast<std::size_t>(n_movers), joined);
    joined = "j" + std::to_string(level);
    graph.nodes.push_back(tests::make_node("Concat", std::move(parts), {joined}, {Attribute::of_int("axis", 0)}));
  }
  graph.nodes.push_back(tests::make_node("Size", {joined}, {"n"}));
  graph.outputs.push_back(ValueInfo::of("n", DType::i64, {}));
  return tests::share(tests::make_model(std::move(graph), 21));
}

TEST_CASE("quantize: eight thousand layers, and a weight with 64 million paths to its reader, in linear time") {
  const auto model = long_model(8000, 20);
  for (const QuantMode mode : {QuantMode::weight_only, QuantMode::dynamic, QuantMode::float16}) {
    CAPTURE(static_cast<int>(mode));
    Recipe recipe;
    recipe.mode = mode;
    const tests::Bounds bounds;
    const QuantizeResult result = quantize(*model, recipe, nullptr, "", {});
    std::size_t n_quantized = 0;
    for (const NodeDecision& node : result.nodes) n_quantized += node.is_quantized ? 1 : 0;
    CHECK(n_quantized >= 8000);
  }
}

}  // namespace
}  // namespace bitwright
