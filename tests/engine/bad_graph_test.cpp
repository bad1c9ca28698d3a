// Cases 33 to 46 of the list of bad inputs: graphs that are not well formed, or ask for too much.
#include <doctest/doctest.h>

#include <ctime>
#include <limits>

#include "api/quantize.h"
#include "bad_input.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "files/onnx/onnx.h"
#include "files/wire_bytes.h"
#include "report/model_info.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

std::optional<ErrorCode> read_refusal(const Wire& graph, std::string* message = nullptr) {
  return refusal([&] { static_cast<void>(read_onnx(memory_source(onnx_model(graph)))); }, message);
}

Wire node_field(const Wire& node) { return Wire().message(1, node); }

/// One node from x (and named constants) to y, validated, planned and run on a tensor of ones.
std::optional<ErrorCode> run_refusal(Node node, Shape x, std::vector<TensorRecord> constants = {}, std::int64_t opset = 17) {
  return refusal([&] {
    Graph graph;
    graph.inputs = {ValueInfo::of("x", DType::f32, x)};
    ValueInfo y;
    y.name = "y";
    graph.outputs = {y};
    graph.initializers = std::move(constants);
    graph.nodes = {std::move(node)};
    Model model = make_model(std::move(graph), opset);
    validate(model);
    static_cast<void>(infer_types(model));
    Session session(share(std::move(model)));
    Tensor ones(DType::f32, x);
    for (float& value : ones.data<float>()) value = 1.0f;
    static_cast<void>(session.run({{"x", ones}}));
  });
}

TensorRecord floats(const std::string& name, Shape shape) { return TensorRecord::of(name, Tensor(DType::f32, std::move(shape))); }
TensorRecord integers(const std::string& name, std::vector<std::int64_t> values) {
  return TensorRecord::of(
      name, Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, std::span<const std::int64_t>(values)));
}

bool is_bad_shape(std::optional<ErrorCode> code) { return code == ErrorCode::bad_graph || code == ErrorCode::shape_mismatch; }

std::optional<ErrorCode> conv_refusal(std::vector<Attribute> attributes, Shape w = {2, 3, 3, 3}) {
  return run_refusal(make_node("Conv", {"x", "w"}, {"y"}, std::move(attributes)), {1, 3, 5, 5}, {floats("w", std::move(w))});
}

}  // namespace

TEST_CASE("bad input 33: a cycle is refused and named by a node on it") {
  std::string message;
  Wire graph = node_field(onnx_node("Relu", {"b"}, {"a"}).text(3, "first")).message(1, onnx_node("Relu", {"a"}, {"b"}));
  CHECK(read_refusal(graph.message(12, onnx_value("b")), &message) == ErrorCode::bad_graph);
  CHECK(message.find("cycle") != std::string::npos);
  CHECK(read_refusal(node_field(onnx_node("Relu", {"s"}, {"s"}))) == ErrorCode::bad_graph);
}

TEST_CASE("bad input 34: values made twice are refused; nodes may share a name or have none") {
  const Wire relu = onnx_node("Relu", {"X"}, {"Y"});
  CHECK(read_refusal(relu_graph(node_field(relu))) == ErrorCode::bad_graph);
  CHECK(read_refusal(relu_graph(node_field(onnx_node("Relu", {"X"}, {"X"})))) == ErrorCode::bad_graph);
  CHECK(read_refusal(relu_graph(node_field(onnx_node("Split", {"X"}, {"a", "a"})))) == ErrorCode::bad_graph);
  CHECK(read_refusal(relu_graph().message(11, onnx_value("X"))) == ErrorCode::bad_graph);
  const Wire w = onnx_tensor("w", {1}, 1).text(9, "1234");
  CHECK(read_refusal(relu_graph(Wire().message(5, w).message(5, w))) == ErrorCode::bad_graph);
  const Wire same =
      node_field(onnx_node("Neg", {"Y"}, {"b"}).text(3, "n")).message(1, onnx_node("Neg", {"Y"}, {"c"}).text(3, "n"));
  CHECK_FALSE(read_refusal(relu_graph(same)).has_value());
  CHECK(read_refusal(relu_graph(node_field(onnx_node("", {"X"}, {"z"})))) == ErrorCode::bad_model);
  CHECK_FALSE(read_refusal(relu_graph(node_field(onnx_node("Neg", {"Y"}, {""})))).has_value());
  // Empty names of inputs and initializers are no values: nobody can use them, and nothing breaks.
  CHECK_FALSE(refusal([&] {
                const Wire odd = Wire().message(5, onnx_tensor("", {1}, 1).text(9, "1234")).message(11, onnx_value(""));
                const Model model = read_onnx(memory_source(onnx_model(relu_graph(odd))));
                static_cast<void>(inspect(model));
                static_cast<void>(infer_types(model));
              }).has_value());
}

TEST_CASE("bad input 35: inputs that nothing makes are refused, also of outputs; nodes in any order are put in order") {
  CHECK(read_refusal(relu_graph(node_field(onnx_node("Neg", {"nowhere"}, {"z"})))) == ErrorCode::bad_graph);
  CHECK(read_refusal(relu_graph().message(12, onnx_value("nowhere"))) == ErrorCode::bad_graph);
  const Wire late = node_field(onnx_node("Neg", {"later"}, {"z"})).message(1, onnx_node("Neg", {"Y"}, {"later"}));
  CHECK_FALSE(read_refusal(relu_graph(late)).has_value());
}

TEST_CASE("bad input 35: nodes that list fewer inputs than their operator needs are refused where they are read") {
  const auto with = [](const char* op_type, int n, const char* domain = "") {
    Wire node;
    for (int i = 0; i < n; ++i) node.text(1, "X");
    return read_refusal(relu_graph(node_field(node.text(2, "z").text(4, op_type).text(7, domain))));
  };
  for (const char* two : {"Add", "MatMul", "Conv", "Gemm", "Gather", "QuantizeLinear", "DequantizeLinear"}) {
    CHECK(with(two, 1) == ErrorCode::bad_graph);
    CHECK_FALSE(with(two, 2).has_value());
  }
  for (const char* three : {"LSTM", "Where"}) {
    CHECK(with(three, 2) == ErrorCode::bad_graph);
    CHECK_FALSE(with(three, 3).has_value());
  }
  CHECK(with("Identity", 0) == ErrorCode::bad_graph);
  CHECK(with("MatMulNBits", 2, "com.microsoft") == ErrorCode::bad_graph);
  CHECK_FALSE(with("MatMulNBits", 3, "com.microsoft").has_value());
  CHECK_FALSE(with("RandomNormal", 0).has_value());
  CHECK(read_refusal(relu_graph(node_field(onnx_node("Relu", {"X"}, {})))) == ErrorCode::bad_graph);
  CHECK_FALSE(with("Anything", 0, "of.mine").has_value());
}

TEST_CASE("bad input 36: a subgraph's own value shadows the outer one of its name, in runs and for passes") {
  Graph branch;
  branch.nodes = {make_node("Neg", {"x"}, {"h"}), make_node("Neg", {"h"}, {"out"})};
  branch.outputs = {ValueInfo::of("out", DType::f32, {1, 64})};
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, 64}), ValueInfo::of("c", DType::boolean, {})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {1, 64})};
  Tensor w(DType::f32, {64, 64});
  for (std::size_t i = 0; i < 64; ++i) w.data<float>()[i * 64 + i] = 3.0f;
  graph.initializers = {TensorRecord::of("w", w)};
  graph.nodes = {
      make_node("MatMul", {"x", "w"}, {"h"}),
      make_node("If", {"c"}, {"b"}, {make_graph_attribute("then_branch", branch), make_graph_attribute("else_branch", branch)}),
      make_node("Add", {"h", "b"}, {"y"})};
  Model model = make_model(std::move(graph));
  validate(model);
  Recipe recipe;
  recipe.mode = QuantMode::weight_only;
  const QuantizeResult result = quantize(model, recipe, nullptr);
  for (const std::shared_ptr<const Model>& one : {share(model), std::shared_ptr<const Model>(result.model)}) {
    Session session(one);
    Tensor x(DType::f32, {1, 64});
    for (float& value : x.data<float>()) value = 2.0f;
    const auto outputs = session.run({{"x", x}, {"c", Tensor::scalar<bool>(true)}});
    CHECK(outputs.at("y").data<float>()[0] == doctest::Approx(2.0f * 3.0f + 2.0f));
  }
}

TEST_CASE("bad input 37: functions that call themselves are refused, also through others and through If") {
  const auto function = [](const std::string& name, const Wire& node) {
    return Wire().text(1, name).text(10, "d").text(4, "x").text(5, "y").message(7, node);
  };
  const auto call = [](const std::string& name) { return onnx_node(name, {"x"}, {"y"}).text(7, "d"); };
  const auto code = [](const Wire& functions) {
    return refusal([&] { static_cast<void>(read_onnx(memory_source(onnx_model(relu_graph()).append(functions)))); });
  };
  CHECK(code(Wire().message(25, function("A", call("A")))) == ErrorCode::bad_graph);
  CHECK(code(Wire().message(25, function("A", call("B"))).message(25, function("B", call("A")))) == ErrorCode::bad_graph);
  const Wire branch = Wire().message(1, call("A")).message(12, onnx_value("y"));
  const Wire hidden = onnx_node("If", {"x"}, {"y"}).message(5, Wire().text(1, "then_branch").message(6, branch).number(20, 5));
  CHECK(code(Wire().message(25, function("A", hidden))) == ErrorCode::bad_graph);
  // 2^40 calls without recursion: refused by the count of steps, before they are planned.
  Wire doubling;
  for (int i = 0; i < 40; ++i) {
    const std::string next = "F" + std::to_string(i + 1);
    doubling.message(25, Wire()
                             .text(1, "F" + std::to_string(i))
                             .text(10, "d")
                             .text(4, "x")
                             .text(5, "y")
                             .message(7, onnx_node(next, {"x"}, {"t"}).text(7, "d"))
                             .message(7, onnx_node(next, {"t"}, {"y"}).text(7, "d")));
  }
  doubling.message(25, function("F40", onnx_node("Abs", {"x"}, {"y"})));
  const Wire start = relu_graph(node_field(onnx_node("F0", {"X"}, {"z"}).text(7, "d")));
  CHECK(refusal([&] {
          const Model model = read_onnx(memory_source(onnx_model(start).append(doubling)));
          static_cast<void>(inspect(model));
          static_cast<void>(infer_types(model));
          Session session(share(model));
        }) == ErrorCode::limit_exceeded);
}

TEST_CASE("bad input 38: a million nodes, and a value with a million uses, are read, validated and inspected in linear time") {
  constexpr int kNodes = 1000000;
  std::string nodes;
  SUBCASE("one value with a million consumers") {
    const std::string relu = Wire().message(1, onnx_node("Relu", {"X"}, {""})).bytes();
    for (int i = 0; i < kNodes; ++i) nodes += relu;
  }
  SUBCASE("a chain of a million, last node first") {
    for (int i = kNodes; i > 0; --i)
      nodes +=
          Wire().message(1, onnx_node("Relu", {i == 1 ? "X" : "v" + std::to_string(i - 1)}, {"v" + std::to_string(i)})).bytes();
  }
  SUBCASE("one node with a million inputs, and a million branches of If that use one value") {
    std::string inputs;
    for (int i = 0; i < kNodes; ++i) inputs += Wire().text(1, "X").bytes();
    nodes = Wire().text(1, inputs + Wire().text(2, "s").text(4, "Sum").bytes()).bytes();
  }
  Wire graph;
  graph.text(2, "g").message(11, onnx_value("X"));
  const std::string bytes = graph.bytes() + nodes;
  const Wire model = Wire().number(1, 7).message(8, Wire().number(2, 13)).text(7, bytes);
  const std::clock_t start = std::clock();
  const Model read = read_onnx(memory_source(model));
  static_cast<void>(inspect(read));
  CHECK_FALSE(GraphIndex(read.graph).consumers("X").empty());
  CHECK(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC < 50.0);  // 5 s are promised; ten times that is a hang
}

TEST_CASE("bad input 39: opsets of 0, below 0 and beyond are refused where they are read or run; without one nothing runs") {
  const auto opset_refusal = [](const Wire& imports, bool is_run) {
    return refusal([&] {
      const Model model = read_onnx(memory_source(Wire().number(1, 7).message(7, relu_graph()).append(imports)));
      static_cast<void>(infer_types(model));
      if (is_run) Session session(share(model));
    });
  };
  const auto import = [](std::uint64_t version) { return Wire().message(8, Wire().number(2, version)); };
  CHECK(opset_refusal(import(0), false) == ErrorCode::bad_model);
  CHECK(opset_refusal(import(~std::uint64_t{0}), false) == ErrorCode::bad_model);
  CHECK(opset_refusal(import(std::uint64_t{1} << 63), false) == ErrorCode::bad_model);
  CHECK_FALSE(opset_refusal(import((std::uint64_t{1} << 63) - 1), false).has_value());
  CHECK(opset_refusal(import((std::uint64_t{1} << 63) - 1), true) == ErrorCode::unsupported);
  CHECK_FALSE(opset_refusal(import(13).append(import(11)), true).has_value());
  CHECK_FALSE(opset_refusal(Wire(), false).has_value());
  CHECK(opset_refusal(Wire(), true) == ErrorCode::unsupported);
}

TEST_CASE("bad input 40: a domain imported twice counts as it was said last, and is written once") {
  Wire wire = onnx_model(relu_graph(), 11);
  wire.message(8, Wire().text(1, "ai.onnx").number(2, 13));
  const Model model = read_onnx(memory_source(wire));
  CHECK(model.opset() == 13);
  MemorySink sink;
  write_onnx(model, sink, nullptr);
  CHECK(read_onnx(std::make_shared<MemorySource>(sink.take(), "again")).opset_imports.size() == 1);
}

TEST_CASE("bad input 41: attributes of the wrong type, and lists that do not fit the rank, are refused by the node's name") {
  CHECK(conv_refusal({Attribute::of_int("strides", 1)}) == ErrorCode::bad_graph);
  CHECK(conv_refusal({Attribute::of_string("group", "1")}) == ErrorCode::bad_graph);
  CHECK(conv_refusal({Attribute::of_ints("auto_pad", {1})}) == ErrorCode::bad_graph);
  CHECK(conv_refusal({Attribute::of_string("auto_pad", "ALL")}) == ErrorCode::bad_graph);
  for (const char* list : {"strides", "dilations", "kernel_shape"})
    for (const auto& values : std::vector<std::vector<std::int64_t>>{{1}, {1, 1, 1}}) {
      CAPTURE(list);
      CHECK(is_bad_shape(conv_refusal({Attribute::of_ints(list, values)})));
    }
  for (const auto& pads : std::vector<std::vector<std::int64_t>>{{1}, {1, 1}, {1, 1, 1}, {1, 1, 1, 1, 1}})
    CHECK(is_bad_shape(conv_refusal({Attribute::of_ints("pads", pads)})));
  CHECK(is_bad_shape(conv_refusal({Attribute::of_ints("kernel_shape", {3, 4})})));
  CHECK(is_bad_shape(run_refusal(make_node("MaxPool", {"x"}, {"y"}, {Attribute::of_ints("kernel_shape", {3})}), {1, 3, 5, 5})));
  CHECK(is_bad_shape(run_refusal(make_node("MaxPool", {"x"}, {"y"}), {1, 3, 5, 5})));
  CHECK(is_bad_shape(run_refusal(make_node("Transpose", {"x"}, {"y"}, {Attribute::of_ints("perm", {0, 1, 2})}), {1, 3, 5, 5})));
  CHECK(
      is_bad_shape(run_refusal(make_node("Transpose", {"x"}, {"y"}, {Attribute::of_ints("perm", {0, 1, 1, 7})}), {1, 3, 5, 5})));
}

TEST_CASE("bad input 42: strides, dilations and groups of 0 or below, and groups that do not divide, are refused") {
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()})
    for (const char* list : {"strides", "dilations", "kernel_shape"}) {
      CAPTURE(list);
      CAPTURE(value);
      CHECK(is_bad_shape(conv_refusal({Attribute::of_ints(list, {value, value})})));
      CHECK(is_bad_shape(run_refusal(
          make_node("AveragePool", {"x"}, {"y"},
                    std::string(list) == "kernel_shape" ? std::vector<Attribute>{Attribute::of_ints(list, {value, 1})}
                                                        : std::vector<Attribute>{Attribute::of_ints("kernel_shape", {2, 2}),
                                                                                 Attribute::of_ints(list, {value, 1})}),
          {1, 3, 5, 5})));
    }
  for (const std::int64_t group : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{2}, std::int64_t{4},
                                   std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()})
    CHECK(is_bad_shape(conv_refusal({Attribute::of_int("group", group)})));
  CHECK(is_bad_shape(conv_refusal({}, {2, 0, 3, 3})));
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  CHECK(conv_refusal({Attribute::of_ints("dilations", {huge, huge})}).has_value());
  CHECK(is_bad_shape(conv_refusal({Attribute::of_ints("strides", {huge, huge})})));
}

TEST_CASE("bad input 43: pads larger than the input are computed, and windows that do not fit at all are refused") {
  CHECK_FALSE(conv_refusal({Attribute::of_ints("pads", {9, 9, 9, 9})}).has_value());
  CHECK(conv_refusal({Attribute::of_ints("pads", {-3, -3, -3, -3})}).has_value());
  CHECK(is_bad_shape(conv_refusal({}, {2, 3, 7, 7})));
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t pad : {huge, huge / 2, std::int64_t{1} << 40})
    CHECK(conv_refusal({Attribute::of_ints("pads", {pad, pad, pad, pad})}).has_value());
  CHECK(run_refusal(make_node("Pad", {"x", "p"}, {"y"}), {2, 2}, {integers("p", {huge, 0, huge, 0})}).has_value());
  CHECK(run_refusal(make_node("Pad", {"x", "p"}, {"y"}), {2, 2}, {integers("p", {-2, 0, -2, 0})}).has_value());
  CHECK(is_bad_shape(run_refusal(make_node("Pad", {"x", "p"}, {"y"}), {2, 2}, {integers("p", {1, 1})})));
}

TEST_CASE("bad input 44: shapes, indices, steps and axes that cannot be are refused") {
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{{-1, -1},
                                                                  {-2, 3},
                                                                  {5},
                                                                  {2, 2, 2},
                                                                  {0, 0, 7},
                                                                  {std::numeric_limits<std::int64_t>::max(), 2},
                                                                  {std::numeric_limits<std::int64_t>::min()}}) {
    CAPTURE(shape.size());
    CHECK(run_refusal(make_node("Reshape", {"x", "s"}, {"y"}), {2, 3}, {integers("s", shape)}).has_value());
  }
  for (const std::int64_t index :
       {std::int64_t{2}, std::int64_t{-3}, std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    for (const char* op : {"Gather", "GatherElements", "GatherND"}) {
      CAPTURE(op);
      CAPTURE(index);
      Tensor indices = Tensor::of<std::int64_t>({1, 1}, {index});
      CHECK(run_refusal(make_node(op, {"x", "i"}, {"y"}), {2, 3}, {TensorRecord::of("i", indices)}).has_value());
    }
    Tensor indices = Tensor::of<std::int64_t>({1, 1}, {index});
    CHECK(run_refusal(make_node("ScatterElements", {"x", "i", "u"}, {"y"}), {2, 3},
                      {TensorRecord::of("i", indices), floats("u", {1, 1})})
              .has_value());
    CHECK(
        run_refusal(make_node("ScatterND", {"x", "i", "u"}, {"y"}), {2, 3}, {TensorRecord::of("i", indices), floats("u", {1, 3})})
            .has_value());
  }
  CHECK(is_bad_shape(run_refusal(make_node("Slice", {"x", "a", "b", "c", "d"}, {"y"}), {2, 3},
                                 {integers("a", {0}), integers("b", {1}), integers("c", {0}), integers("d", {0})})));
  const std::int64_t lowest = std::numeric_limits<std::int64_t>::min(), highest = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t step : {lowest, highest, std::int64_t{-1}})  // ends beyond the axis are cut, whatever they are
    CHECK_FALSE(run_refusal(make_node("Slice", {"x", "a", "b", "c", "d"}, {"y"}), {2, 3},
                            {integers("a", {highest}), integers("b", {lowest}), integers("c", {0}), integers("d", {step})})
                    .has_value());
  for (const std::int64_t axis : {std::int64_t{2}, std::int64_t{-3}, highest, lowest}) {
    for (const char* op : {"Concat", "Softmax", "ReduceMean", "Flatten", "Split", "ArgMax", "CumSum", "TopK", "Unsqueeze"}) {
      if (axis == 2 && std::string(op) == "Flatten") continue;  // the rank itself is legal
      CAPTURE(op);
      CAPTURE(axis);
      std::vector<Attribute> attributes{Attribute::of_int("axis", axis)};
      std::vector<std::string> inputs{"x"};
      std::vector<TensorRecord> constants;
      if (std::string(op) == "ReduceMean") attributes = {Attribute::of_ints("axes", {axis})};
      if (std::string(op) == "CumSum" || std::string(op) == "Unsqueeze") {
        constants.push_back(integers("a", {axis == 2 && std::string(op) == "Unsqueeze" ? 3 : axis}));
        inputs.push_back("a");
        attributes.clear();
      }
      if (std::string(op) == "TopK") {
        constants.push_back(integers("k", {1}));
        inputs.push_back("k");
      }
      if (axis == -3 && std::string(op) == "Unsqueeze") continue;  // legal: before the first of two
      Node node = make_node(op, inputs, {"y"}, attributes);
      if (std::string(op) == "TopK") node.outputs.push_back("indices");
      CHECK(is_bad_shape(run_refusal(std::move(node), {2, 3}, constants)));
    }
  }
}

TEST_CASE("bad input 45: constants that would fold to terabytes are not folded, and their runs are refused") {
  const std::int64_t million = 1000000;
  const auto bomb = [&](Node node, std::vector<TensorRecord> constants) {
    Graph graph;
    graph.inputs = {ValueInfo::of("x", DType::f32, {1})};
    graph.outputs = {ValueInfo::of("x", DType::f32, {1})};
    graph.initializers = std::move(constants);
    graph.nodes = {std::move(node)};
    Model model = make_model(std::move(graph));
    validate(model);
    const auto code = refusal([&] {
      static_cast<void>(infer_types(model));
      static_cast<void>(inspect(model));
      Session session(share(model));
    });
    CHECK((!code || code == ErrorCode::limit_exceeded));
    const Bounds bounds;
    Recipe recipe;
    recipe.mode = QuantMode::weight_only;
    CHECK(refusal([&] { static_cast<void>(quantize(model, recipe, nullptr)); }) == ErrorCode::nothing_quantized);
  };
  bomb(make_node("ConstantOfShape", {"s"}, {"y"}), {integers("s", {million, million})});
  bomb(make_node("ConstantOfShape", {"s"}, {"y"}), {integers("s", {std::numeric_limits<std::int64_t>::max()})});
  bomb(make_node("Expand", {"one", "s"}, {"y"}), {floats("one", {1}), integers("s", {million, million})});
  bomb(make_node("Tile", {"one", "s"}, {"y"}), {floats("one", {1}), integers("s", {million * million})});
  bomb(make_node("Range", {"a", "b", "c"}, {"y"}), {TensorRecord::of("a", Tensor::scalar<std::int64_t>(0)),
                                                    TensorRecord::of("b", Tensor::scalar<std::int64_t>(million * million)),
                                                    TensorRecord::of("c", Tensor::scalar<std::int64_t>(1))});
  bomb(make_node("Resize", {"one", "", "s"}, {"y"}),
       {floats("one", {1, 1, 1, 1}), TensorRecord::of("s", Tensor::of<float>({4}, {1.0f, 1.0f, 1e6f, 1e6f}))});
  bomb(make_node("OneHot", {"i", "d", "v"}, {"y"}), {integers("i", {0}), integers("d", {million * million}), floats("v", {2})});
  bomb(make_node("Pad", {"one", "s"}, {"y"}), {floats("one", {1, 1}), integers("s", {million, million, million, million})});
}

TEST_CASE("bad input 45: shape arithmetic that doubles itself stays within its limits") {
  // y_n = concat(y_(n-1), y_(n-1)): 2^40 elements after forty nodes.
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1})};
  graph.outputs = {ValueInfo::of("x", DType::f32, {1})};
  graph.initializers = {integers("y0", {1})};
  for (int i = 1; i <= 60; ++i) {
    const std::string before = "y" + std::to_string(i - 1);
    graph.nodes.push_back(make_node("Concat", {before, before}, {"y" + std::to_string(i)}, {Attribute::of_int("axis", 0)}));
  }
  Model model = make_model(std::move(graph));
  validate(model);
  const auto code = refusal([&] {
    static_cast<void>(infer_types(model));
    static_cast<void>(inspect(model));
    Session session(share(model));
  });
  CHECK((!code || code == ErrorCode::limit_exceeded));
}

TEST_CASE("bad input 46: words that other programs keep for themselves are plain names here") {
  const std::string names[] = {"*/_ORT_MEM_ADDR_/*", "__proto__", "constructor", "-1", "?", "\\x00", " in subgraph 'g'"};
  for (const std::string& name : names) {
    CAPTURE(name);
    Wire graph;
    graph.message(1, onnx_node("Relu", {name}, {"y " + name}).text(3, name)).message(11, onnx_value(name));
    graph.message(12, onnx_value("y " + name)).message(5, onnx_tensor("w" + name, {1}, 1).text(9, "1234"));
    const Model model = read_onnx(memory_source(onnx_model(graph)));
    Session session(share(model));
    const auto outputs = session.run({{name, Tensor::of<float>({2}, {-1.0f, 2.0f})}});
    CHECK(values_of<float>(outputs.at("y " + name)) == std::vector<float>{0.0f, 2.0f});
    // As the name of an external file it is looked up like any other, or refused.
    const Wire tensor = onnx_tensor("e", {2}, 1).message(13, Wire().text(1, "location").text(2, name)).number(14, 1);
    const auto code =
        refusal([&] { static_cast<void>(read_onnx(memory_source(onnx_model(relu_graph(Wire().message(5, tensor)))))); });
    CHECK((!code || code == ErrorCode::bad_external_data));
  }
}
