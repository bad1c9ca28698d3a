#include <doctest/doctest.h>

#include <vector>

#include "allocations.h"
#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright::tests {
namespace {

/// Two convolutions, a sum and a function of one value, between one quantization and one dequantization.
Graph small_island() {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, 4, 10, 10})};
  graph.initializers.push_back(TensorRecord::of("s", Tensor::scalar<float>(0.02f)));
  graph.initializers.push_back(TensorRecord::of("z", Tensor::scalar<std::uint8_t>(128)));
  for (const char* name : {"w1", "w2"}) {
    Tensor codes(DType::i8, {4, 4, 3, 3});
    std::int8_t code = 1;
    for (std::int8_t& value : codes.data<std::int8_t>()) value = code = static_cast<std::int8_t>(code * 7 + 3);
    graph.initializers.push_back(TensorRecord::of(name, std::move(codes)));
    graph.nodes.push_back(make_node("DequantizeLinear", {name, "ws"}, {std::string(name) + "_d"}));
  }
  graph.initializers.push_back(TensorRecord::of("ws", Tensor::scalar<float>(0.002f)));
  const auto pair = [&](const std::string& value) {
    graph.nodes.push_back(make_node("QuantizeLinear", {value, "s", "z"}, {value + "_q"}));
    graph.nodes.push_back(make_node("DequantizeLinear", {value + "_q", "s", "z"}, {value + "_d"}));
    return value + "_d";
  };
  const std::vector<Attribute> padded{Attribute::of_ints("pads", {1, 1, 1, 1})};
  const std::string x = pair("x");
  graph.nodes.push_back(make_node("Conv", {x, "w1_d"}, {"c1"}, padded));
  graph.nodes.push_back(make_node("Conv", {pair("c1"), "w2_d"}, {"c2"}, padded));
  graph.nodes.push_back(make_node("Add", {pair("c2"), x}, {"sum"}));
  graph.nodes.push_back(make_node("Sigmoid", {pair("sum")}, {"y"}));
  graph.outputs = {ValueInfo::of(pair("y"), DType::f32, {})};
  return graph;
}

TEST_CASE("Session: from the second run of a shape on, runs on codes allocate nothing, with one thread and with two") {
  for (const int n_threads : {1, 2})
    for (const SessionArithmetic arithmetic : {SessionArithmetic::fast, SessionArithmetic::integer_only}) {
      Session session(share(make_model(small_island())), {.arithmetic = arithmetic, .n_threads = n_threads});
      const std::vector<Tensor> feeds{Tensor(DType::f32, {1, 4, 10, 10})};
      std::vector<Tensor> results(1);
      session.run_into(feeds, results);
      const std::uint64_t before = n_allocations();
      for (int i = 0; i < 10; ++i) session.run_into(feeds, results);
      CHECK(n_allocations() == before);
    }
}

TEST_CASE("Session: ten thousand runs leave no more memory taken than the second") {
  Session session(share(make_model(small_island())), {.arithmetic = SessionArithmetic::fast});
  const std::map<std::string, Tensor> feeds{{"x", Tensor(DType::f32, {1, 4, 10, 10})}};
  for (int i = 0; i < 2; ++i) session.run(feeds);
  const std::uint64_t before = live_bytes();
  for (int i = 0; i < 10'000; ++i) session.run(feeds);
  CHECK(live_bytes() == before);
}

}  // namespace
}  // namespace bitwright::tests
