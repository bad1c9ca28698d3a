// What the fuzzers found in operators.
#include <doctest/doctest.h>

#include <limits>

#include "bad_input.h"
#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright::tests {
namespace {

/// The code that a run of one node on these inputs ends with, within the bounds of bad inputs; nothing where it ends well.
std::optional<ErrorCode> refusal_of(Node node, const std::map<std::string, Tensor>& feeds, std::int64_t opset) {
  Graph graph;
  for (const auto& [name, tensor] : feeds) graph.inputs.push_back(ValueInfo::of(name, tensor.dtype(), tensor.shape()));
  for (const std::string& output : node.outputs) {
    if (output.empty()) continue;
    ValueInfo info;
    info.name = output;
    graph.outputs.push_back(info);
  }
  graph.nodes = {std::move(node)};
  const Bounds bounds;
  try {
    Session session(share(make_model(std::move(graph), opset)));
    static_cast<void>(session.run(feeds));
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
}

/// On float inputs of these shapes.
std::optional<ErrorCode> refusal(Node node, const std::vector<std::pair<std::string, Shape>>& inputs, std::int64_t opset) {
  std::map<std::string, Tensor> feeds;
  for (const auto& [name, shape] : inputs) feeds.emplace(name, Tensor(DType::f32, shape));
  return refusal_of(std::move(node), feeds, opset);
}

TEST_CASE("Attention: V of fewer heads than K is refused, it was read beyond its end") {
  const Node node = make_node("Attention", {"q", "k", "v"}, {"y"});
  CHECK_FALSE(refusal(node, {{"q", {2, 3, 4, 8}}, {"k", {2, 3, 6, 8}}, {"v", {2, 3, 6, 8}}}, 23).has_value());
  CHECK(refusal(node, {{"q", {2, 3, 4, 8}}, {"k", {2, 3, 6, 8}}, {"v", {2, 2, 6, 8}}}, 23) == ErrorCode::shape_mismatch);
}

TEST_CASE("Attention: an unknown qk_matmul_output_mode is refused, its output was never written") {
  for (const std::int64_t mode : {0, 3, 4, 17, -1}) {
    const Node node =
        make_node("Attention", {"q", "k", "v"}, {"y", "", "", "seen"}, {Attribute::of_int("qk_matmul_output_mode", mode)});
    const auto code = refusal(node, {{"q", {2, 3, 4, 8}}, {"k", {2, 3, 6, 8}}, {"v", {2, 3, 6, 8}}}, 23);
    CHECK(code == (mode >= 0 && mode <= 3 ? std::nullopt : std::optional(ErrorCode::bad_graph)));
  }
}

TEST_CASE("PRelu: a slope that does not broadcast to the input is refused") {
  const Node node = make_node("PRelu", {"x", "s"}, {"y"});
  CHECK_FALSE(refusal(node, {{"x", {2, 3}}, {"s", {3}}}, 16).has_value());
  CHECK(refusal(node, {{"x", {1, 3}}, {"s", {2, 3}}}, 16) == ErrorCode::shape_mismatch);
}

TEST_CASE("MatMul: batches without elements cost nothing, however many they are") {
  CHECK_FALSE(
      refusal(make_node("MatMul", {"a", "b"}, {"y"}), {{"a", {1 << 20, 1 << 14, 0, 2}}, {"b", {1 << 20, 1 << 14, 2, 0}}}, 13)
          .has_value());
}

TEST_CASE("Dropout: a flag without elements is refused") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {2}), ValueInfo::of("ratio", DType::f32, {}),
                  ValueInfo::of("train", DType::boolean, {0})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {2})};
  graph.nodes = {make_node("Dropout", {"x", "ratio", "train"}, {"y"})};
  Session session(share(make_model(std::move(graph), 13)));
  const std::map<std::string, Tensor> feeds = {
      {"x", Tensor(DType::f32, {2})}, {"ratio", Tensor(DType::f32, {})}, {"train", Tensor(DType::boolean, {0})}};
  try {
    static_cast<void>(session.run(feeds));
    FAIL("an empty flag was read");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::shape_mismatch);
  }
}

TEST_CASE("Resize: a region that is NaN takes some pixel of the input") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {4}), ValueInfo::of("roi", DType::f32, {2}),
                  ValueInfo::of("scales", DType::f32, {0})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {3})};
  graph.initializers = {TensorRecord::of("sizes", Tensor::of<std::int64_t>({1}, {3}))};
  graph.nodes = {make_node(
      "Resize", {"x", "roi", "scales", "sizes"}, {"y"},
      {Attribute::of_string("coordinate_transformation_mode", "tf_crop_and_resize"), Attribute::of_string("mode", "linear")})};
  Session session(share(make_model(std::move(graph), 13)));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::map<std::string, Tensor> feeds = {{"x", Tensor::of<float>({4}, {1.0f, 2.0f, 3.0f, 4.0f})},
                                               {"roi", Tensor::of<float>({2}, {nan, nan})},
                                               {"scales", Tensor(DType::f32, {0})}};
  const Tensor y = session.run(feeds).at("y");
  for (const float value : y.data<float>()) CHECK((value >= 0.0f && value <= 4.0f));
}

TEST_CASE("nodes with an input too few, or an output too many, are refused as such") {
  CHECK(refusal(make_node("Range", {"a", "b"}, {"y"}), {{"a", {}}, {"b", {}}}, 13) == ErrorCode::bad_graph);
  CHECK(refusal(make_node("Relu", {"x"}, {"y", "z"}), {{"x", {2}}}, 14) == ErrorCode::bad_graph);
}

TEST_CASE("a node without the outputs that its operator makes is refused as such") {
  CHECK(refusal(make_node("Flatten", {"x"}, {}), {{"x", {2, 3}}}, 13) == ErrorCode::bad_graph);
  CHECK(refusal(make_node("Transpose", {"x"}, {}), {{"x", {2, 3}}}, 13) == ErrorCode::bad_graph);
  CHECK(refusal(make_node("Relu", {"x"}, {}), {{"x", {2, 3}}}, 14) == ErrorCode::bad_graph);
}

TEST_CASE("axes of any length beside an empty one cost nothing") {
  constexpr std::int64_t kLong = std::int64_t{1} << 35;
  const Tensor empty(DType::f32, {kLong, 0});
  CHECK_FALSE(
      refusal(make_node("Pad", {"x"}, {"y"}, {Attribute::of_ints("pads", {0, kLong, 0, 0})}), {{"x", {0, 1}}}, 10).has_value());
  const Tensor one = Tensor::of<std::int64_t>({1}, {1});
  CHECK_FALSE(refusal_of(make_node("Gather", {"x", "i"}, {"y"}, {Attribute::of_int("axis", 1)}),
                         {{"x", Tensor(DType::f32, {kLong, 3, 0})}, {"i", one}}, 13)
                  .has_value());
  Tensor condition(DType::boolean, {1});
  CHECK_FALSE(refusal_of(make_node("Compress", {"x", "c"}, {"y"}, {Attribute::of_int("axis", 1)}),
                         {{"x", Tensor(DType::f32, {kLong, 3, 0})}, {"c", condition}}, 11)
                  .has_value());
  CHECK(refusal_of(make_node("Unique", {"x"}, {"y"}, {Attribute::of_int("axis", 0)}), {{"x", empty}}, 11) ==
        ErrorCode::shape_mismatch);
}

TEST_CASE("NonMaxSuppression: a number of boxes that is NaN or infinite") {
  const Node node = make_node("NonMaxSuppression", {"b", "s", "n"}, {"y"});
  for (const float n : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -1.0f, 3.0f})
    CHECK_FALSE(
        refusal_of(
            node,
            {{"b", Tensor(DType::f32, {1, 2, 4})}, {"s", Tensor(DType::f32, {1, 1, 2})}, {"n", Tensor::of<float>({1}, {n})}}, 11)
            .has_value());
}

TEST_CASE("a second output that the operator does not make is refused as such") {
  const std::vector<Attribute> window = {Attribute::of_ints("kernel_shape", {2, 2})};
  CHECK_FALSE(refusal(make_node("MaxPool", {"x"}, {"y", "i"}, window), {{"x", {1, 1, 4, 4}}}, 12).has_value());
  CHECK(refusal(make_node("AveragePool", {"x"}, {"y", "i"}, window), {{"x", {1, 1, 4, 4}}}, 12) == ErrorCode::bad_graph);
}

TEST_CASE("Where: a condition that is not bool is refused, its bytes were read as flags") {
  const Node node = make_node("Where", {"c", "x", "y"}, {"z"});
  const Tensor x(DType::f32, {4});
  const auto with = [&](DType dtype) { return refusal_of(node, {{"c", Tensor(dtype, {4})}, {"x", x}, {"y", x}}, 16); };
  CHECK_FALSE(with(DType::boolean).has_value());
  for (const DType dtype : {DType::string, DType::u4, DType::u8, DType::f32}) CHECK(with(dtype) == ErrorCode::shape_mismatch);
}

TEST_CASE("reductions of integers whose results are no numbers: the least integer, and 0 for NaN") {
  const auto log_sum = [](std::initializer_list<std::int64_t> values) {
    Graph graph;
    graph.inputs = {ValueInfo::of("x", DType::i64, {2})};
    graph.outputs = {ValueInfo::of("y", DType::i64, {1})};
    graph.nodes = {make_node("ReduceLogSum", {"x"}, {"y"})};
    Session session(share(make_model(std::move(graph), 13)));
    return session.run({{"x", Tensor::of<std::int64_t>({2}, values)}}).at("y").data<std::int64_t>()[0];
  };
  CHECK(log_sum({0, 0}) == std::numeric_limits<std::int64_t>::min());
  CHECK(log_sum({-3, 1}) == 0);
  CHECK(log_sum({20, 1}) == 3);
}

TEST_CASE("Resize: weights for an output of no elements are not made, though one of its axes is long") {
  const auto resize = [](const Shape& x, const Shape& sizes) {
    Graph graph;
    graph.inputs = {ValueInfo::of("x", DType::f32, x)};
    graph.outputs = {ValueInfo::of("y", DType::f32, sizes)};
    graph.initializers = {TensorRecord::of("sizes", Tensor::of<std::int64_t>({static_cast<std::int64_t>(sizes.size())}, sizes))};
    graph.nodes = {make_node("Resize", {"x", "", "", "sizes"}, {"y"}, {Attribute::of_string("mode", "linear")})};
    Session session(share(make_model(std::move(graph), 18)));
    return session.run({{"x", Tensor(DType::f32, x)}}).at("y").shape();
  };
  CHECK(resize({0, 4}, {0, 1 << 30}) == Shape{0, 1 << 30});
  CHECK(resize({4}, {1000}) == Shape{1000});
}

TEST_CASE("Clip: integers with bounds in float attributes are refused, a bound beyond them is no integer") {
  const auto clip = [](std::int64_t opset) {
    Graph graph;
    graph.inputs = {ValueInfo::of("x", DType::u16, {2})};
    graph.outputs = {ValueInfo::of("y", DType::u16, {2})};
    graph.nodes = {make_node("Clip", {"x"}, {"y"}, {Attribute::of_float("max", -1e38f)})};
    Session session(share(make_model(std::move(graph), opset)));
    return session.run({{"x", Tensor(DType::u16, {2})}}).at("y").n_elements();
  };
  CHECK(clip(12) == 2);
  CHECK_THROWS_WITH_AS(clip(6), doctest::Contains("integers are clipped from opset 12 on"), Error);
}

TEST_CASE("outputs beyond those that an operator has are refused as such, and none of an empty result is computed") {
  const auto run = [](const char* op_type, std::size_t n_outputs, std::int64_t n_rows = 12) {
    Graph graph;
    graph.inputs = {ValueInfo::of("x", DType::f32, {0, 1, 2})};
    graph.initializers = {TensorRecord::of("w", Tensor(DType::f32, {1, n_rows, 2})),
                          TensorRecord::of("r", Tensor(DType::f32, {1, n_rows, 3}))};
    Node node = make_node(op_type, {"x", "w", "r"}, {}, {Attribute::of_int("hidden_size", 3)});
    for (std::size_t i = 0; i < n_outputs; ++i) node.outputs.push_back("y" + std::to_string(i));
    graph.nodes = {node};
    graph.outputs = {ValueInfo::of("y0", DType::f32, {0, 1, 1, 3}),
                     ValueInfo::of("y" + std::to_string(n_outputs - 1), DType::f32, {1, 1, 3})};
    Session session(share(make_model(std::move(graph), 14)));
    return session.run({{"x", Tensor(DType::f32, {0, 1, 2})}}).size();
  };
  CHECK(run("LSTM", 3) == 2);
  CHECK(run("GRU", 2, 9) == 2);
  CHECK(run("RNN", 2, 3) == 2);
  CHECK_THROWS_WITH_AS(run("LSTM", 4), doctest::Contains("output 3 is listed, the operator does not make it"), Error);
  CHECK_THROWS_WITH_AS(run("GRU", 3, 9), doctest::Contains("output 2 is listed, the operator does not make it"), Error);
  CHECK_THROWS_WITH_AS(run("RNN", 3, 3), doctest::Contains("output 2 is listed, the operator does not make it"), Error);
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {3, 0})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {3, 0})};
  Attribute odd = Attribute::of_int("body", 0);
  odd.g = std::make_shared<Graph>();  // that no LogSoftmax has
  graph.nodes = {make_node("LogSoftmax", {"x"}, {"y"}, {odd})};
  Session session(share(make_model(std::move(graph), 13)));
  CHECK(session.run({{"x", Tensor(DType::f32, {3, 0})}}).at("y").shape() == Shape{3, 0});
}

}  // namespace
}  // namespace bitwright::tests
