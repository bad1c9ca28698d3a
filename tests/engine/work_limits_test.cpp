// The limits of planning and of constant folding, each just under and just over. limits_test.cpp (files) has those of the readers.
#include <doctest/doctest.h>

#include "bad_input.h"
#include "engine/fold.h"
#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright::tests {
namespace {

/// n_calls of a function of n_nodes nodes, and n_single calls of one of a single node, in a chain.
Model model_of_calls(int n_calls, int n_nodes, int n_single) {
  const auto chain = [](std::vector<Node>& nodes, Node node, int n, const std::string& prefix, std::string from) {
    for (int i = 0; i < n; ++i) {
      node.inputs = {from};
      node.outputs = {from = prefix + std::to_string(i)};
      nodes.push_back(node);
    }
    return from;
  };
  Node call = make_node("F", {}, {});
  call.domain = "d";
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1})};
  std::string last = chain(graph.nodes, call, n_calls, "f", "x");
  call.op_type = "G";
  last = chain(graph.nodes, call, n_single, "s", last);
  graph.outputs = {ValueInfo::of(last, DType::f32, {1})};
  Function function;
  function.name = "F";
  function.domain = "d";
  function.inputs = {"a"};
  function.outputs = {chain(function.nodes, make_node("Neg", {}, {}), n_nodes, "v", "a")};
  function.opset_imports = {{"", 17, {}, false}};
  Model model = make_model(std::move(graph));
  model.opset_imports.push_back({"d", 1, {}, false});
  Function single = function;
  single.name = "G";
  single.nodes.resize(1);
  single.outputs = {single.nodes[0].outputs[0]};
  model.functions = {std::move(function), std::move(single)};
  return model;
}

/// How many steps of the graph's nodes are left for the runs, its constants being folded.
std::size_t n_not_folded(std::vector<Node> nodes, std::vector<TensorRecord> constants, const WorkLimits& limits = {}) {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1})};
  graph.initializers = std::move(constants);
  graph.nodes = std::move(nodes);
  graph.outputs = {ValueInfo::of("y", DType::f32, {kUnknownDim})};
  return Session(share(make_model(std::move(graph))), {.limits = limits}).profile().size();
}

TensorRecord zeros(std::string name, DType dtype, Shape shape) { return TensorRecord::of(std::move(name), Tensor(dtype, shape)); }

}  // namespace

TEST_CASE("limits: nodes that calls of local functions stand for") {
  static_assert(kMaxInlined == std::size_t{128} * 1024);
  {
    const Bounds bounds;
    CHECK(plan_model(model_of_calls(128, 1024, 0), {})->steps.size() == kMaxInlined);
  }
  CHECK(refusal([] { static_cast<void>(plan_model(model_of_calls(128, 1024, 1), {})); }) == ErrorCode::limit_exceeded);
}

TEST_CASE("limits: element operations of constant folding") {
  // A product counts as many as the larger factor has elements for each element of the result: 2^11 for each of 2^9 x 2^11, and
  // the step itself.
  const auto left = [](std::int64_t n) {
    return n_not_folded({make_node("MatMul", {"a", "b"}, {"c"}), make_node("Gather", {"c", "i"}, {"y"})},
                        {zeros("a", DType::f32, {512, 1}), zeros("b", DType::f32, {1, n}), zeros("i", DType::i64, {})});
  };
  CHECK(left(2047) == 0);
  CHECK(left(2048) == 2);
}

TEST_CASE("limits: bytes of all folded constants together") {
  const auto left = [](std::uint64_t max_total_bytes) {
    return n_not_folded(
        {make_node("ConstantOfShape", {"s"}, {"a"}), make_node("Neg", {"a"}, {"b"}), make_node("Neg", {"b"}, {"y"})},
        {TensorRecord::of("s", Tensor::of<std::int64_t>({1}, {100}))}, {.max_total_bytes = max_total_bytes});
  };
  CHECK(left(1200) == 0);
  CHECK(left(1199) == 1);
  CHECK(left(799) == 2);
}

TEST_CASE("limits: inputs of a constant whose size is not known before it is computed") {
  const auto left = [](std::uint64_t n) {
    return n_not_folded({make_node("NonZero", {"a"}, {"c"}), make_node("ReduceSum", {"c"}, {"y"})},
                        {zeros("a", DType::u8, {static_cast<std::int64_t>(n)})});
  };
  CHECK(left(ConstantFolder::kMaxUnknownInputs) == 0);
  CHECK(left(ConstantFolder::kMaxUnknownInputs + 1) == 2);
}

}  // namespace bitwright::tests
