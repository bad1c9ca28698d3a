#include "passes/clean_graph.h"

#include <doctest/doctest.h>

#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright {
namespace {

using tests::make_model;
using tests::make_node;

Model with_io(Graph graph, Shape input) {
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, std::move(input)));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {}));
  graph.outputs[0].has_shape = false;
  return make_model(std::move(graph), 13);
}

TEST_CASE("lift_constants: a Constant node becomes an initializer of the same name and value") {
  Graph graph;
  graph.nodes.push_back(make_node("Constant", {}, {"c"}, {Attribute::of_tensor("value", Tensor::of<float>({2}, {1.0f, 2.0f}))}));
  graph.nodes.push_back(make_node("Add", {"x", "c"}, {"y"}));
  Model model = with_io(std::move(graph), {2});
  CHECK(lift_constants(model).n_changes == 1);
  REQUIRE(model.graph.nodes.size() == 1);
  CHECK(model.graph.find_initializer("c")->load().data<float>()[1] == 2.0f);
  CHECK(lift_constants(model).n_changes == 0);
}

TEST_CASE("fold_constant_views: Reshape and Transpose of a constant are done once and for all") {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("flat", Tensor::of<float>({6}, {0, 1, 2, 3, 4, 5})));
  graph.initializers.push_back(TensorRecord::of("shape", Tensor::of<std::int64_t>({2}, {2, -1})));
  graph.nodes.push_back(make_node("Reshape", {"flat", "shape"}, {"matrix"}));
  graph.nodes.push_back(make_node("Transpose", {"matrix"}, {"w"}));
  graph.nodes.push_back(make_node("MatMul", {"x", "w"}, {"y"}));
  Model model = with_io(std::move(graph), {1, 3});
  CHECK(fold_constant_views(model).n_changes == 2);
  REQUIRE(model.graph.nodes.size() == 1);
  REQUIRE(model.graph.initializers.size() == 1);
  const Tensor w = model.graph.find_initializer("w")->load();
  CHECK(w.shape() == Shape{3, 2});
  CHECK(tests::values_of<float>(w) == std::vector<float>{0, 3, 1, 4, 2, 5});
  const Tensor y = Session(tests::share(model)).run({{"x", Tensor::of<float>({1, 3}, {1, 10, 100})}}).at("y");
  CHECK(tests::values_of<float>(y) == std::vector<float>{210, 543});
}

TEST_CASE("fold_constant_views: extents whose product does not fit 64 bits are left alone") {
  const auto n_folded = [](Shape shape, Node node, std::vector<std::int64_t> target) {
    Graph graph;
    graph.initializers.push_back(TensorRecord::of("w", Tensor(DType::f32, std::move(shape))));
    graph.initializers.push_back(TensorRecord::of(
        "shape", Tensor::of<std::int64_t>({static_cast<std::int64_t>(target.size())}, std::span<const std::int64_t>(target))));
    graph.nodes.push_back(std::move(node));
    graph.nodes.push_back(make_node("MatMul", {"x", "t"}, {"y"}));
    Model model = with_io(std::move(graph), {1, 2});
    return fold_constant_views(model).n_changes;
  };
  const Node reshape = make_node("Reshape", {"w", "shape"}, {"t"});
  CHECK(n_folded({2, 2}, reshape, {4, 1}) == 1);
  CHECK(n_folded({2, 2}, reshape, {9985, 72057594037927938}) == 0);
}

TEST_CASE("fold_constant_views: a constant that others read too stays as it is") {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("w", Tensor::of<float>({2, 2}, {1, 2, 3, 4})));
  graph.nodes.push_back(make_node("Transpose", {"w"}, {"t"}));
  graph.nodes.push_back(make_node("MatMul", {"x", "t"}, {"a"}));
  graph.nodes.push_back(make_node("MatMul", {"a", "w"}, {"y"}));
  Model model = with_io(std::move(graph), {1, 2});
  CHECK(fold_constant_views(model).n_changes == 0);
}

TEST_CASE("fold_constant_views: an order that is no permutation is left alone, even where its first axes are right") {
  for (const std::vector<std::int64_t>& perm : {std::vector<std::int64_t>{0, 7}, {0, 0}, {-1, 0}, {0}, {0, 1, 2}}) {
    Graph graph;
    graph.initializers.push_back(TensorRecord::of("w", Tensor::of<float>({2, 2}, {1, 2, 3, 4})));
    graph.nodes.push_back(make_node("Transpose", {"w"}, {"t"}, {Attribute::of_ints("perm", perm)}));
    graph.nodes.push_back(make_node("MatMul", {"x", "t"}, {"y"}));
    Model model = with_io(std::move(graph), {1, 2});
    CHECK(fold_constant_views(model).n_changes == 0);
  }
}

TEST_CASE("remove_identities: readers get the value itself, and the graph output keeps its name") {
  Graph graph;
  graph.nodes.push_back(make_node("Identity", {"x"}, {"a"}));
  graph.nodes.push_back(make_node("Relu", {"a"}, {"b"}));
  graph.nodes.push_back(make_node("Dropout", {"b"}, {"c"}));
  graph.nodes.push_back(make_node("Identity", {"c"}, {"y"}));
  Model model = with_io(std::move(graph), {2});
  CHECK(remove_identities(model).n_changes == 3);
  CHECK_NOTHROW(validate(model));
  REQUIRE(model.graph.nodes.size() == 1);
  CHECK(model.graph.nodes[0].inputs == std::vector<std::string>{"x"});
  CHECK(model.graph.nodes[0].outputs == std::vector<std::string>{"y"});
  CHECK(remove_identities(model).n_changes == 0);
}

TEST_CASE("remove_identities: an Identity from input to output has to stay") {
  Graph graph;
  graph.nodes.push_back(make_node("Identity", {"x"}, {"y"}));
  Model model = with_io(std::move(graph), {2});
  CHECK(remove_identities(model).n_changes == 0);
}

TEST_CASE("remove_identities: a subgraph reads the value itself too") {
  Graph branch;
  branch.nodes.push_back(make_node("Relu", {"a"}, {"inner"}));
  branch.outputs.push_back(ValueInfo::of("inner", DType::f32, {2}));
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("yes", Tensor::scalar(true)));
  graph.nodes.push_back(make_node("Identity", {"x"}, {"a"}));
  Graph other = branch;
  graph.nodes.push_back(make_node("If", {"yes"}, {"y"},
                                  {tests::make_graph_attribute("then_branch", std::move(branch)),
                                   tests::make_graph_attribute("else_branch", std::move(other))}));
  Model model = with_io(std::move(graph), {2});
  CHECK(remove_identities(model).n_changes == 1);
  CHECK_NOTHROW(validate(model));
  const Tensor y = Session(tests::share(model)).run({{"x", Tensor::of<float>({2}, {-1, 3})}}).at("y");
  CHECK(tests::values_of<float>(y) == std::vector<float>{0, 3});
}

TEST_CASE("remove_unused: nodes and constants without a reader go, together with inputs that list them") {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("c", Tensor::of<float>({2}, {1, 2})));
  graph.nodes.push_back(make_node("Add", {"x", "c"}, {"dead"}));
  graph.nodes.push_back(make_node("Relu", {"x"}, {"y"}));
  Model model = with_io(std::move(graph), {2});
  model.graph.inputs.push_back(ValueInfo::of("c", DType::f32, {2}));
  CHECK(remove_unused(model).n_changes == 2);
  CHECK(model.graph.nodes.size() == 1);
  CHECK(model.graph.initializers.empty());
  CHECK(model.graph.inputs.size() == 1);
}

}  // namespace
}  // namespace bitwright
