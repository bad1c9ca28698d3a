#include "report/comparison.h"

#include <doctest/doctest.h>

#include "api/quantize.h"
#include "api/small_network.h"

namespace bitwright {
namespace {

/// 11 bits of mantissa: 66 dB and more for one rounding, and a few of them add up.
constexpr double kHalfDb = 50.0;

std::vector<std::string> compared_with_half(const Model& model, const std::map<std::string, Tensor>& feeds) {
  Recipe recipe;
  recipe.mode = QuantMode::float16;
  const QuantizeResult half = quantize(model, recipe, nullptr, "", {}, {.allows_larger = true});
  Comparison comparison(std::make_shared<Model>(model), half.model);
  comparison.feed(feeds, -1);
  std::vector<std::string> names;
  for (const ValueComparison& row : comparison.finish().values) {
    INFO(row.value);
    CHECK(row.sqnr_db > kHalfDb);
    names.push_back(row.value);
  }
  return names;
}

}  // namespace

TEST_CASE("comparison: float values are paired with what they became in half precision") {
  // "c" went into the batch norm behind it.
  CHECK(compared_with_half(tests::small_network(), tests::small_network_feeds()) ==
        std::vector<std::string>{"n", "r", "flat", "chosen", "y"});
}

TEST_CASE("comparison: a float value that is called as another one's half is not taken for it") {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, 16})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {1, 16})};
  graph.nodes = {tests::make_node("Relu", {"x"}, {"a"}), tests::make_node("Exp", {"a"}, {"a_float16"}),
                 tests::make_node("Add", {"a", "a_float16"}, {"y"})};
  CHECK(compared_with_half(tests::make_model(std::move(graph)), {{"x", tests::ramp({1, 16}, 0.13f)}}) ==
        std::vector<std::string>{"a_float16", "y"});
}

}  // namespace bitwright
