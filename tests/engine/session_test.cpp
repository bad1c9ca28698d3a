#include "engine/session.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/error.h"
#include "engine/model_builder.h"

namespace bitwright::tests {
namespace {

const Tensor kTwo = Tensor::of<float>({2}, {1.0f, 2.0f});

/// y = (x + w) * w, with w = {10, 20}.
Graph chain() {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {2})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {2})};
  graph.initializers.push_back(TensorRecord::of("w", Tensor::of<float>({2}, {10.0f, 20.0f})));
  graph.nodes = {make_node("Add", {"x", "w"}, {"sum"}), make_node("Mul", {"sum", "w"}, {"y"})};
  return graph;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST_CASE("Session: a chain of two nodes gives the values worked by hand") {
  Session session(share(make_model(chain())));
  CHECK(values_of<float>(session.run({{"x", kTwo}}).at("y")) == std::vector<float>{110.0f, 440.0f});
}

TEST_CASE("Session: observers see every value of the main graph in its order") {
  Session session(share(make_model(chain())));
  std::vector<std::string> seen;
  session.run({{"x", kTwo}}, [&](const std::string& name, const Tensor& tensor) {
    seen.push_back(name);
    CHECK(tensor.n_elements() == 2);
  });
  CHECK(seen == std::vector<std::string>{"sum", "y"});
  seen.clear();
  session.observe({"y"});
  session.run({{"x", kTwo}}, [&](const std::string& name, const Tensor&) { seen.push_back(name); });
  CHECK(seen == std::vector<std::string>{"y"});
}

TEST_CASE("Session: feeds of wrong name, type and shape are refused by name") {
  Session session(share(make_model(chain())));
  CHECK(message_of([&] { session.run({}); }) == "input 'x' is missing; feed f32[2]");
  CHECK(message_of([&] {
          session.run({{"x", Tensor::of<float>({3}, {1, 2, 3})}});
        }) == "input 'x': f32[2] is expected, f32[3] was given");
  CHECK(message_of([&] {
          session.run({{"x", Tensor::of<double>({2}, {1, 2})}});
        }) == "input 'x': f32[2] is expected, f64[2] was given");
  CHECK(message_of([&] { session.run({{"x", kTwo}, {"z", kTwo}}); }) == "the model has no input 'z'; it has 'x'");
}

TEST_CASE("Session: an initializer that is an input too may be fed, and comes back without") {
  Graph graph = chain();
  graph.inputs.insert(graph.inputs.begin(), ValueInfo::of("w", DType::f32, {2}));
  Session session(share(make_model(std::move(graph))));
  CHECK(session.inputs().front().name == "x");
  CHECK(session.inputs().back().name == "w");
  const std::vector<float> usual{110.0f, 440.0f};
  CHECK(values_of<float>(session.run({{"x", kTwo}}).at("y")) == usual);
  CHECK(values_of<float>(session.run({{"x", kTwo}, {"w", kTwo}}).at("y")) == std::vector<float>{2.0f, 8.0f});
  CHECK(values_of<float>(session.run({{"x", kTwo}}).at("y")) == usual);
}

TEST_CASE("Session: repeated runs take no more memory, and activations are freed after their last use") {
  Graph graph;
  graph.inputs = {ValueInfo::of("v0", DType::f32, {1000})};
  for (int i = 0; i < 20; ++i) graph.nodes.push_back(make_node("Relu", {"v" + std::to_string(i)}, {"v" + std::to_string(i + 1)}));
  graph.outputs = {ValueInfo::of("v20", DType::f32, {1000})};
  Session session(share(make_model(std::move(graph))));
  const Tensor feed(DType::f32, {1000});
  for (int i = 0; i < 2; ++i) session.run({{"v0", feed}});
  const std::uint64_t held = session.arena_bytes();
  for (int i = 0; i < 5; ++i) session.run({{"v0", feed}});
  CHECK(session.arena_bytes() == held);
  CHECK(session.peak_activation_bytes() == 2 * 4000);
  CHECK(held < 3 * 4000);
}

TEST_CASE("Session: outputs share no bytes with feeds or constants") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {2})};
  graph.initializers.push_back(TensorRecord::of("w", Tensor::of<float>({2}, {5.0f, 6.0f})));
  graph.nodes = {make_node("Identity", {"x"}, {"y"}), make_node("Identity", {"w"}, {"z"})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {2}), ValueInfo::of("z", DType::f32, {2})};
  Session session(share(make_model(std::move(graph))));
  Tensor feed = kTwo.clone();
  auto results = session.run({{"x", feed}});
  results.at("y").data<float>()[0] = 99.0f;
  results.at("z").data<float>()[0] = 99.0f;
  CHECK(feed.data<float>()[0] == 1.0f);
  CHECK(session.run({{"x", feed}}).at("z").data<float>()[0] == 5.0f);
}

TEST_CASE("Session: an unknown operator and a missing value are refused by name before any run") {
  Graph graph = chain();
  graph.nodes[1].op_type = "Frobnicate";
  CHECK(message_of([&] { Session session(share(make_model(graph))); }) ==
        "node 'n_y' (Frobnicate): the operator is not supported");
  graph = chain();
  graph.nodes[1].inputs[1] = "ghost";
  CHECK(message_of([&] { Session session(share(make_model(graph))); }) ==
        "node 'n_y' (Mul): its input 'ghost' is made by no node before it");
}

TEST_CASE("Session: nodes of constants are computed once, huge ones are not") {
  Graph graph;
  graph.initializers.push_back(TensorRecord::of("a", kTwo));
  graph.initializers.push_back(TensorRecord::of("big", Tensor::of<std::int64_t>({2}, {100000, 100000})));
  graph.nodes = {make_node("Add", {"a", "a"}, {"sum"}), make_node("Expand", {"a", "big"}, {"bomb"}),
                 make_node("Identity", {"sum"}, {"y"})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {2})};
  if (find_op("", "Expand") == nullptr) graph.nodes.erase(graph.nodes.begin() + 1);
  Session session(share(make_model(std::move(graph))));
  for (const NodeProfile& row : session.profile()) CHECK(row.op_type == "Expand");
}

TEST_CASE("Session: the same bits come at any number of threads") {
  Graph graph;
  graph.inputs = {ValueInfo::of("a", DType::f32, {65, 33}), ValueInfo::of("b", DType::f32, {33, 129})};
  graph.nodes = {make_node("MatMul", {"a", "b"}, {"y"})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {65, 129})};
  Tensor a(DType::f32, {65, 33});
  Tensor b(DType::f32, {33, 129});
  std::uint32_t seed = 1;
  for (Tensor* tensor : {&a, &b})
    for (float& value : tensor->data<float>()) {
      seed = seed * 1664525u + 1013904223u;
      value = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
    }
  const auto model = share(make_model(std::move(graph)));
  const auto run = [&](int n_threads) {
    Session session(model, {.n_threads = n_threads});
    return values_of<float>(session.run({{"a", a}, {"b", b}}).at("y"));
  };
  const std::vector<float> alone = run(1);
  CHECK(run(2) == alone);
  CHECK(run(5) == alone);
}

}  // namespace
}  // namespace bitwright::tests
