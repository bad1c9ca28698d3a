#include "passes/select_nodes.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "engine/model_builder.h"

namespace bitwright {
namespace {

using tests::make_model;
using tests::make_node;

Model three_nodes() {
  Graph branch;
  branch.nodes.push_back(make_node("Gemm", {"a", "b"}, {"inner"}));
  Graph graph;
  graph.nodes.push_back(make_node("Conv", {"x", "w"}, {"a"}));
  graph.nodes.push_back(make_node("Relu", {"a"}, {"b"}));
  graph.nodes.push_back(make_node("If", {"b"}, {"c"}, {tests::make_graph_attribute("then_branch", std::move(branch))}));
  graph.nodes[1].name.clear();
  return make_model(std::move(graph));
}

Recipe recipe_of(std::vector<std::string> include, std::vector<std::string> exclude) {
  Recipe recipe;
  recipe.include = std::move(include);
  recipe.exclude = std::move(exclude);
  return recipe;
}

TEST_CASE("Selection: everything may be quantized unless excluded") {
  const Model model = three_nodes();
  const Selection selection(model, recipe_of({}, {"op:Conv"}));
  CHECK(selection.refusal(model.graph.nodes[0]) == "excluded by 'op:Conv'");
  CHECK(selection.refusal(model.graph.nodes[1]).empty());
  CHECK_FALSE(selection.is_asked_for(model.graph.nodes[1]));
}

TEST_CASE("Selection: with include patterns, only what they fit") {
  const Model model = three_nodes();
  const Selection selection(model, recipe_of({"n_*"}, {}));
  CHECK(selection.refusal(model.graph.nodes[0]).empty());
  CHECK(selection.is_asked_for(model.graph.nodes[0]));
  CHECK(selection.refusal(model.graph.nodes[1]) == "not included");
}

TEST_CASE("Selection: a node without a name goes by its first output") {
  const Model model = three_nodes();
  CHECK(Selection(model, recipe_of({"b"}, {})).is_asked_for(model.graph.nodes[1]));
}

TEST_CASE("Selection: nodes of subgraphs count as matches") {
  CHECK_NOTHROW(Selection(three_nodes(), recipe_of({}, {"op:Gemm"})));
  CHECK_NOTHROW(Selection(three_nodes(), recipe_of({}, {"n_inner"})));
}

TEST_CASE("Selection: a pattern that fits nothing is refused with the closest names") {
  try {
    Selection(three_nodes(), recipe_of({}, {"op:Convv"}));
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::pattern_unmatched);
    CHECK(error.subject() == "op:Convv");
    CHECK(std::string(error.what()).find("the closest are 'op:Conv'") != std::string::npos);
  }
}

}  // namespace
}  // namespace bitwright
