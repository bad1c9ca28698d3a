#include "passes/fold_batch_norm.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright {
namespace {

using tests::make_model;
using tests::make_node;

/// Two roundings of a weight and one of a bias, against one of the exact product: a few units in the last place of the sums.
constexpr float kTolerance = 2e-5f;

Tensor noise(Shape shape, std::uint32_t seed, float low = -1.0f, float high = 1.0f) {
  Tensor tensor(DType::f32, std::move(shape));
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  for (float& value : tensor.data<float>()) value = uniform(random);
  return tensor;
}

void add(Graph& graph, const std::string& name, Tensor tensor) {
  graph.initializers.push_back(TensorRecord::of(name, std::move(tensor)));
}

void add_batch_norm(Graph& graph, const std::string& x, const std::string& y, std::int64_t n_channels) {
  add(graph, y + "_scale", noise({n_channels}, 11, 0.5f, 2.0f));
  add(graph, y + "_shift", noise({n_channels}, 12));
  add(graph, y + "_mean", noise({n_channels}, 13));
  add(graph, y + "_variance", noise({n_channels}, 14, 0.1f, 3.0f));
  graph.nodes.push_back(make_node("BatchNormalization", {x, y + "_scale", y + "_shift", y + "_mean", y + "_variance"}, {y}));
}

Model with_io(Graph graph, Shape input) {
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, std::move(input)));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {}));
  graph.outputs[0].has_shape = false;
  return make_model(std::move(graph), 13);
}

/// Runs both models on the same noise.
void check_same_results(const Model& before, const Model& after, const Shape& input) {
  const Tensor x = noise(input, 99);
  const Tensor a = Session(tests::share(before)).run({{"x", x}}).at("y");
  const Tensor b = Session(tests::share(after)).run({{"x", x}}).at("y");
  REQUIRE(a.shape() == b.shape());
  for (std::int64_t i = 0; i < a.n_elements(); ++i)
    REQUIRE(std::abs(a.data<float>()[static_cast<std::size_t>(i)] - b.data<float>()[static_cast<std::size_t>(i)]) <=
            kTolerance * (1.0f + std::abs(a.data<float>()[static_cast<std::size_t>(i)])));
}

void check_folds(const Model& before, std::int64_t n_folds, const Shape& input) {
  Model after = before;
  CHECK(fold_batch_norm(after).n_changes == n_folds);
  CHECK(after.graph.nodes.size() == before.graph.nodes.size() - static_cast<std::size_t>(n_folds));
  CHECK_NOTHROW(validate(after));
  check_same_results(before, after, input);
  CHECK(fold_batch_norm(after).n_changes == 0);
}

TEST_CASE("fold_batch_norm: one channel solved by hand") {
  Graph graph;
  add(graph, "w", Tensor::of<float>({1, 1, 1, 1}, {3.0f}));
  add(graph, "b", Tensor::of<float>({1}, {1.0f}));
  add(graph, "scale", Tensor::of<float>({1}, {4.0f}));
  add(graph, "shift", Tensor::of<float>({1}, {0.5f}));
  add(graph, "mean", Tensor::of<float>({1}, {2.0f}));
  add(graph, "variance", Tensor::of<float>({1}, {3.0f}));
  graph.nodes.push_back(make_node("Conv", {"x", "w", "b"}, {"c"}));
  graph.nodes.push_back(make_node("BatchNormalization", {"c", "scale", "shift", "mean", "variance"}, {"y"},
                                  {Attribute::of_float("epsilon", 1.0f)}));
  Model model = with_io(std::move(graph), {1, 1, 2, 2});
  fold_batch_norm(model);
  // a = 4 / sqrt(3 + 1) = 2; w' = 6; b' = 1 * 2 + 0.5 - 2 * 2 = -1.5
  REQUIRE(model.graph.nodes.size() == 1);
  CHECK(model.graph.nodes[0].outputs[0] == "y");
  CHECK(model.graph.initializers.size() == 2);
  CHECK(model.graph.find_initializer("w")->load().data<float>()[0] == 6.0f);
  CHECK(model.graph.find_initializer("b")->load().data<float>()[0] == -1.5f);
}

TEST_CASE("fold_batch_norm: Conv with groups and without bias keeps its results") {
  Graph graph;
  add(graph, "w", noise({6, 2, 3, 3}, 1));
  graph.nodes.push_back(make_node("Conv", {"x", "w"}, {"c"}, {Attribute::of_int("group", 2)}));
  add_batch_norm(graph, "c", "y", 6);
  check_folds(with_io(std::move(graph), {2, 4, 5, 5}), 1, {2, 4, 5, 5});
}

TEST_CASE("fold_batch_norm: ConvTranspose with groups scales the right output channels") {
  Graph graph;
  add(graph, "w", noise({4, 3, 2, 2}, 2));
  add(graph, "b", noise({6}, 3));
  graph.nodes.push_back(make_node("ConvTranspose", {"x", "w", "b"}, {"c"}, {Attribute::of_int("group", 2)}));
  add_batch_norm(graph, "c", "y", 6);
  check_folds(with_io(std::move(graph), {1, 4, 3, 3}), 1, {1, 4, 3, 3});
}

TEST_CASE("fold_batch_norm: Gemm with beta and either layout of its weight keeps its results") {
  for (const std::int64_t is_transposed : {0, 1}) {
    Graph graph;
    add(graph, "w", noise(is_transposed ? Shape{5, 7} : Shape{7, 5}, 4));
    add(graph, "b", noise({5}, 5));
    graph.nodes.push_back(make_node("Gemm", {"x", "w", "b"}, {"c"},
                                    {Attribute::of_int("transB", is_transposed), Attribute::of_float("beta", 0.5f)}));
    add_batch_norm(graph, "c", "y", 5);
    check_folds(with_io(std::move(graph), {3, 7}), 1, {3, 7});
  }
}

TEST_CASE("fold_batch_norm: a chain of Add, Mul and batch norm folds as a whole") {
  Graph graph;
  add(graph, "w", noise({4, 3, 1, 1}, 6));
  add(graph, "addend", noise({4, 1, 1}, 7));
  add(graph, "factor", noise({1, 4, 1, 1}, 8));
  graph.nodes.push_back(make_node("Conv", {"x", "w"}, {"c"}));
  graph.nodes.push_back(make_node("Add", {"addend", "c"}, {"d"}));
  graph.nodes.push_back(make_node("Mul", {"d", "factor"}, {"e"}));
  add_batch_norm(graph, "e", "y", 4);
  check_folds(with_io(std::move(graph), {1, 3, 4, 4}), 3, {1, 3, 4, 4});
}

TEST_CASE("fold_batch_norm: a constant along the width is no constant per channel") {
  Graph graph;
  add(graph, "w", noise({4, 3, 1, 1}, 6));
  add(graph, "addend", noise({4}, 7));  // aligned with the width, which is 4 as well
  graph.nodes.push_back(make_node("Conv", {"x", "w"}, {"c"}));
  graph.nodes.push_back(make_node("Add", {"c", "addend"}, {"y"}));
  check_folds(with_io(std::move(graph), {1, 3, 4, 4}), 0, {1, 3, 4, 4});
}

TEST_CASE("fold_batch_norm: a weight that two layers share is copied") {
  Graph graph;
  add(graph, "w", noise({3, 3, 1, 1}, 9));
  graph.nodes.push_back(make_node("Conv", {"x", "w"}, {"c"}));
  add_batch_norm(graph, "c", "d", 3);
  graph.nodes.push_back(make_node("Conv", {"d", "w"}, {"y"}));
  check_folds(with_io(std::move(graph), {1, 3, 4, 4}), 1, {1, 3, 4, 4});
}

TEST_CASE("fold_batch_norm: a value that others read stays") {
  Graph graph;
  add(graph, "w", noise({3, 3, 1, 1}, 10));
  graph.nodes.push_back(make_node("Conv", {"x", "w"}, {"c"}));
  add_batch_norm(graph, "c", "d", 3);
  graph.nodes.push_back(make_node("Add", {"c", "d"}, {"y"}));
  check_folds(with_io(std::move(graph), {1, 3, 4, 4}), 0, {1, 3, 4, 4});
}

}  // namespace
}  // namespace bitwright
