#include "passes/keep_float_weights.h"

#include <doctest/doctest.h>

#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright {
namespace {

using tests::make_node;

/// Codes, a float Gemm, Relu, codes.
Model float_layer(std::vector<std::string> gemm_inputs, std::vector<float> bias) {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("s", Tensor::of<float>({}, {0.5f})));
  graph.initializers.push_back(TensorRecord::of("z", Tensor::of<std::uint8_t>({}, {3})));
  graph.initializers.push_back(TensorRecord::of("w", Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})));
  graph.initializers.push_back(TensorRecord::of("b", Tensor::of<float>({3}, std::span<const float>(bias))));
  graph.nodes.push_back(make_node("DequantizeLinear", {"x", "s", "z"}, {"real"}));
  graph.nodes.push_back(make_node("Gemm", std::move(gemm_inputs), {"product"}));
  graph.nodes.push_back(make_node("Relu", {"product"}, {"bounded"}));
  graph.nodes.push_back(make_node("QuantizeLinear", {"bounded", "s", "z"}, {"y"}));
  graph.inputs.push_back(ValueInfo::of("x", DType::u8, {1, 2}));
  graph.outputs.push_back(ValueInfo::of("y", DType::u8, {1, 3}));
  return tests::make_model(std::move(graph), 13);
}

const Node& layer_of(const Model& model) {
  for (const Node& node : model.graph.nodes)
    if (node.op_type == "Gemm") return node;
  throw std::runtime_error("no Gemm");
}

TEST_CASE("keep_float_weights: the bias of a float layer between codes is computed, and to the last bit the same") {
  const std::vector<float> bias{0.1f, -12345.678f, 1e-30f};
  Model model = float_layer({"real", "w", "b"}, bias);
  CHECK(keep_float_weights(model, Recipe{}).n_changes == 1);
  const std::string found = layer_of(model).inputs[2];
  CHECK(GraphIndex(model.graph).initializer(found) == nullptr);
  CHECK(GraphIndex(model.graph).initializer("b") == nullptr);
  model.graph.outputs = {ValueInfo::of(found, DType::f32, {3})};
  const Tensor back = Session(tests::share(model)).run({{"x", Tensor::of<std::uint8_t>({1, 2}, {5, 7})}}).at(found);
  CHECK(tests::values_of<float>(back) == bias);
}

TEST_CASE("keep_float_weights: a layer without bias gets zeros and keeps its results") {
  Model model = float_layer({"real", "w"}, {1, 1, 1});
  CHECK(keep_float_weights(model, Recipe{}).n_changes == 1);
  CHECK(keep_float_weights(model, Recipe{}).n_changes == 0);
  const Tensor y = Session(tests::share(model)).run({{"x", Tensor::of<std::uint8_t>({1, 2}, {5, 7})}}).at("y");
  // (1, 2) times w is (9, 12, 15): 18, 24 and 30 steps of 0.5 above code 3.
  CHECK(tests::values_of<std::uint8_t>(y) == std::vector<std::uint8_t>{21, 27, 33});
}

TEST_CASE("keep_float_weights: layers that onnxruntime leaves alone, and other targets, stay as they are") {
  Recipe portable;
  portable.target = Target::portable;
  Model model = float_layer({"real", "w", "b"}, {1, 1, 1});
  CHECK(keep_float_weights(model, portable).n_changes == 0);
  model.graph.outputs.push_back(ValueInfo::of("bounded", DType::f32, {1, 3}));
  CHECK(keep_float_weights(model, Recipe{}).n_changes == 0);
}

}  // namespace
}  // namespace bitwright
