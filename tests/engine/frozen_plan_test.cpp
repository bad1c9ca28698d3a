#include "engine/frozen_plan.h"

#include <doctest/doctest.h>

#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright::tests {
namespace {

Tensor ramp(Shape shape, float first) {
  Tensor tensor(DType::f32, std::move(shape));
  for (float& value : tensor.data<float>()) value = first++;
  return tensor;
}

/// The frozen runs of one session against sessions that run once: every run must give the same bytes.
void check_runs_as_fresh(const std::shared_ptr<const Model>& model, const std::vector<std::map<std::string, Tensor>>& samples) {
  Session session(model);
  for (const auto& feeds : samples) {
    Session fresh(model);
    const auto expected = fresh.run(feeds);
    const auto got = session.run(feeds);
    REQUIRE(got.size() == expected.size());
    for (const auto& [name, tensor] : expected) {
      const std::string shown = name;
      CAPTURE(shown);
      CHECK(got.at(name).shape() == tensor.shape());
      const auto a = got.at(name).bytes(), b = tensor.bytes();
      CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    }
  }
}

/// A chain with a view, shape arithmetic, a value that lives long, and a value used twice.
Graph reshaping() {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {kUnknownDim, 4})};
  graph.initializers.push_back(TensorRecord::of("minus1", Tensor::of<std::int64_t>({1}, {-1})));
  graph.initializers.push_back(TensorRecord::of("w", ramp({4}, 0.5f)));
  graph.nodes = {make_node("Shape", {"x"}, {"shape"}),
                 make_node("Mul", {"x", "w"}, {"scaled"}),
                 make_node("Reshape", {"scaled", "minus1"}, {"flat"}),
                 make_node("Neg", {"flat"}, {"negated"}),
                 make_node("Reshape", {"negated", "shape"}, {"back"}),
                 make_node("Relu", {"back"}, {"unused"}),
                 make_node("Add", {"back", "scaled"}, {"zero"}),
                 make_node("Add", {"zero", "x"}, {"y"}),
                 make_node("Identity", {"scaled"}, {"z"})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {}), ValueInfo::of("z", DType::f32, {}),
                   ValueInfo::of("shape", DType::i64, {})};
  return graph;
}

/// Views by a shape that is fed: what they share must outlive them, to the last reader, through an If and to an output.
TEST_CASE("FrozenPlan: memory that a view of an unbound step shares is not given to others") {
  Graph then_branch;
  then_branch.nodes = {make_node("Identity", {"again"}, {"t"})};
  then_branch.outputs = {ValueInfo::of("t", DType::f32, {})};
  Graph else_branch;
  else_branch.nodes = {make_node("Neg", {"again"}, {"e"})};
  else_branch.outputs = {ValueInfo::of("e", DType::f32, {})};
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {6}), ValueInfo::of("shape", DType::i64, {2}),
                  ValueInfo::of("is_plain", DType::boolean, {})};
  graph.nodes = {make_node("Neg", {"x"}, {"a"}),
                 make_node("Reshape", {"a", "shape"}, {"view"}),  // a has no other reader
                 make_node("Reshape", {"view", "shape"}, {"again"}),
                 make_node("If", {"is_plain"}, {"chosen"},
                           {make_graph_attribute("then_branch", std::move(then_branch)),
                            make_graph_attribute("else_branch", std::move(else_branch))}),
                 make_node("Abs", {"x"}, {"b"}),
                 make_node("Exp", {"b"}, {"c"}),
                 make_node("Neg", {"c"}, {"d"}),
                 make_node("Reshape", {"d", "shape"}, {"late"}),
                 make_node("Add", {"chosen", "late"}, {"y"}),
                 make_node("Log", {"b"}, {"z"})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {}), ValueInfo::of("z", DType::f32, {}), ValueInfo::of("late", DType::f32, {})};
  const auto model = share(make_model(std::move(graph)));
  std::vector<std::map<std::string, Tensor>> samples;
  for (int i = 0; i < 6; ++i)
    samples.push_back({{"x", ramp({6}, static_cast<float>(i))},
                       {"shape", Tensor::of<std::int64_t>({2}, i < 3 ? std::initializer_list<std::int64_t>{2, 3}
                                                                     : std::initializer_list<std::int64_t>{3, 2})},
                       {"is_plain", Tensor::scalar<bool>(i % 2 == 0)}});
  check_runs_as_fresh(model, samples);
}

TEST_CASE("FrozenPlan: a long chain of views by fed shapes is right, and laid out in linear time") {
  constexpr int kLinks = 2000;
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {6}), ValueInfo::of("shape", DType::i64, {2})};
  std::vector<std::string> parts;
  for (int i = 0; i < kLinks; ++i) {
    const std::string n = std::to_string(i);
    graph.nodes.push_back(make_node("Neg", {"x"}, {"a" + n}));
    graph.nodes.push_back(make_node("Reshape", {"a" + n, "shape"}, {"v" + n}));
    parts.push_back("v" + n);
  }
  Node concat = make_node("Concat", parts, {"y"}, {Attribute::of_int("axis", 0)});
  graph.nodes.push_back(std::move(concat));
  graph.outputs = {ValueInfo::of("y", DType::f32, {})};
  const auto model = share(make_model(std::move(graph)));
  const std::map<std::string, Tensor> feeds = {{"x", ramp({6}, 1)}, {"shape", Tensor::of<std::int64_t>({2}, {2, 3})}};
  check_runs_as_fresh(model, {feeds, feeds, feeds});
}

TEST_CASE("FrozenPlan: repeated runs give what a first run gives, with views, shape arithmetic and shapes that change") {
  const auto model = share(make_model(reshaping()));
  check_runs_as_fresh(model, {{{"x", ramp({2, 4}, 1)}},
                              {{"x", ramp({2, 4}, 9)}},
                              {{"x", ramp({2, 4}, -3)}},
                              {{"x", ramp({3, 4}, 2)}},
                              {{"x", ramp({3, 4}, 5)}},
                              {{"x", ramp({3, 4}, 6)}},
                              {{"x", ramp({2, 4}, 7)}}});
}

TEST_CASE("FrozenPlan: steps whose shapes depend on data run as before among steps that are bound") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {6})};
  graph.initializers.push_back(TensorRecord::of("one", Tensor::of<float>({1}, {1.0f})));
  graph.nodes = {make_node("Relu", {"x"}, {"positive"}),         make_node("NonZero", {"positive"}, {"where"}),
                 make_node("Shape", {"where"}, {"n_where"}),     make_node("Add", {"positive", "one"}, {"more"}),
                 make_node("Transpose", {"where"}, {"turned"}),  make_node("GatherND", {"more", "turned"}, {"picked"}),
                 make_node("Add", {"more", "positive"}, {"sum"})};
  graph.outputs = {ValueInfo::of("picked", DType::f32, {}), ValueInfo::of("sum", DType::f32, {}),
                   ValueInfo::of("n_where", DType::i64, {})};
  check_runs_as_fresh(share(make_model(std::move(graph))), {{{"x", Tensor::of<float>({6}, {1, -1, 2, 0, 3, 4})}},
                                                            {{"x", Tensor::of<float>({6}, {-1, -1, 2, 0, 0, 0})}},
                                                            {{"x", Tensor::of<float>({6}, {1, 1, 2, 7, 3, 4})}}});
}

TEST_CASE("FrozenPlan: a branch is chosen anew in each run") {
  Graph yes, no, graph;
  yes.nodes = {make_node("Add", {"doubled", "doubled"}, {"a"})};
  yes.outputs = {ValueInfo::of("a", DType::f32, {})};
  no.nodes = {make_node("Neg", {"doubled"}, {"b"})};
  no.outputs = {ValueInfo::of("b", DType::f32, {})};
  graph.inputs = {ValueInfo::of("x", DType::f32, {2}), ValueInfo::of("flag", DType::boolean, {})};
  graph.nodes = {
      make_node("Add", {"x", "x"}, {"doubled"}),
      make_node("If", {"flag"}, {"y"}, {make_graph_attribute("then_branch", yes), make_graph_attribute("else_branch", no)}),
      make_node("Relu", {"x"}, {"z"})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {}), ValueInfo::of("z", DType::f32, {})};
  const auto feeds = [](bool flag, float first) {
    return std::map<std::string, Tensor>{{"x", ramp({2}, first)}, {"flag", Tensor::scalar<bool>(flag)}};
  };
  check_runs_as_fresh(share(make_model(std::move(graph))), {feeds(true, 1), feeds(false, 2), feeds(true, -4), feeds(false, 5)});
}

TEST_CASE("Session::run_into: results of the right type are written in place, others are made") {
  Session session(share(make_model(reshaping())));
  const std::vector<Tensor> feeds{ramp({2, 4}, 1)};
  std::vector<Tensor> results(3);
  session.run_into(feeds, results);
  const std::vector<Tensor> first{results[0].clone(), results[1].clone()};
  const void* places[] = {results[0].bytes().data(), results[1].bytes().data()};
  for (int i = 0; i < 2; ++i) {
    for (Tensor* tensor : {&results[0], &results[1]}) std::fill(tensor->bytes().begin(), tensor->bytes().end(), std::uint8_t{7});
    session.run_into(feeds, results);
    for (std::size_t k = 0; k < 2; ++k) {
      CHECK(static_cast<const void*>(results[k].bytes().data()) == places[k]);
      CHECK(values_of<float>(results[k]) == values_of<float>(first[k]));
    }
  }
}

}  // namespace
}  // namespace bitwright::tests
