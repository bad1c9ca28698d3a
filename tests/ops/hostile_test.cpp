// What the fuzzers found in operators.
#include <doctest/doctest.h>

#include "base/error.h"
#include "engine/model_builder.h"
#include "engine/session.h"

namespace bitwright::tests {
namespace {

/// The code that a run of one node on float inputs of these shapes ends with; nothing where it ends well.
std::optional<ErrorCode> refusal(Node node, std::vector<std::pair<std::string, Shape>> inputs, std::int64_t opset) {
  Graph graph;
  std::map<std::string, Tensor> feeds;
  for (auto& [name, shape] : inputs) {
    graph.inputs.push_back(ValueInfo::of(name, DType::f32, shape));
    feeds.emplace(name, Tensor(DType::f32, shape));
  }
  for (const std::string& output : node.outputs) {
    if (output.empty()) continue;
    ValueInfo info;
    info.name = output;
    graph.outputs.push_back(info);
  }
  graph.nodes = {std::move(node)};
  try {
    Session session(share(make_model(std::move(graph), opset)));
    static_cast<void>(session.run(feeds));
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
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

TEST_CASE("nodes with an input too few, or an output too many, are refused as such") {
  CHECK(refusal(make_node("Range", {"a", "b"}, {"y"}), {{"a", {}}, {"b", {}}}, 13) == ErrorCode::bad_graph);
  CHECK(refusal(make_node("Relu", {"x"}, {"y", "z"}), {{"x", {2}}}, 14) == ErrorCode::bad_graph);
}

}  // namespace
}  // namespace bitwright::tests
