#include "passes/plan_static.h"

#include "base/error.h"
#include "passes/graph_edit.h"
#include "passes/static_planner.h"
#include "quant/encodings/encoding.h"

namespace bitwright {

namespace {

void check_schemes(const Recipe& recipe) {
  const int bits = dtype_bits(recipe.activation.dtype);
  if ((bits != 8 && bits != 16) || !is_integer(recipe.activation.dtype) ||
      recipe.activation.grain != TensorScheme::Grain::per_tensor)
    throw_error(ErrorCode::bad_recipe, {"static mode quantizes activations to 8 or 16 bits with one scale per tensor"});
  if (recipe.weight.encoding != Encoding::uniform || !is_integer(recipe.weight.dtype) || dtype_bits(recipe.weight.dtype) > 16 ||
      recipe.weight.grain == TensorScheme::Grain::per_block)
    throw_error(ErrorCode::bad_recipe,
                {"static mode quantizes weights to integers, per_tensor or per_channel; other weights need mode weight_only"});
}

}  // namespace

StaticPlanner::StaticPlanner(const Model& model, const Recipe& recipe, const Selection& selection, const ValueTypes& types,
                             const ValueRanges* ranges, const InputsOfWeights* inputs, const OnProgress& on_progress)
    : model_(model),
      graph_(model.graph),
      recipe_(recipe),
      selection_(selection),
      types_(types),
      ranges_(ranges),
      inputs_(inputs),
      on_progress_(on_progress),
      index_(model.graph) {}

QuantPlan StaticPlanner::plan() {
  check_schemes(recipe_);
  find_candidates();
  do {
    for (State& state : states_) state.absorbs = state.absorbed_into = -1;
    absorb_bounds();
    keep_regions();
    absorb_biases();
    collect_values();
  } while (drop_uncalibrated());

  QuantPlan plan;
  std::map<const Node*, std::size_t> place;
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) place[&graph_.nodes[i]] = i;
  const std::string dtype = code_name(complete_scheme(recipe_.weight).dtype);
  visit_nodes(model_, [&](const Node& node, const std::string& graph) {
    NodeDecision decision{node_key(node), node.op_type, node.domain, graph, false, "float", ""};
    const auto found = place.find(&node);
    if (found == place.end()) {
      decision.reason = selection_.refusal(node);
      if (decision.reason.empty()) decision.reason = "in a subgraph or local function, whose values calibration does not see";
    } else if (const State& state = states_[found->second]; state.absorbed_into >= 0 && state.is_quantized &&
                                                            !is_output_quantized(static_cast<std::size_t>(state.absorbed_into))) {
      decision.reason = "its result is used in float only";
    } else if (state.is_quantized || state.is_weights_only) {
      decision.is_quantized = true;
      decision.mode = concat({(state.is_quantized ? "QDQ " : "weights only "), dtype});
      decision.reason = state.note;
      if (state.is_quantized && state.is_layer() && !is_output_quantized(found->second))
        decision.reason = "gives float: its result is used in float only";
    } else {
      decision.reason = state.refusal.empty() ? "does not lie between quantized nodes" : state.refusal;
    }
    plan.nodes.push_back(std::move(decision));
  });
  plan_activations(plan);
  plan_constants(plan);
  if (ranges_ != nullptr) plan_weights(plan);
  return plan;
}

QuantPlan plan_static(const Model& model, const Recipe& recipe, const Selection& selection, const ValueTypes& types,
                      const ValueRanges* ranges, const InputsOfWeights* inputs, const OnProgress& on_progress) {
  return StaticPlanner(model, recipe, selection, types, ranges, inputs, on_progress).plan();
}

std::vector<std::string> needs_calibration(const Model& model, const QuantPlan& plan) {
  const GraphIndex index(model.graph);
  std::vector<std::string> values;
  for (const TensorPlan& tensor : plan.tensors) {
    if (tensor.role != TensorRole::activation) continue;
    const std::int64_t producer = index.producer(tensor.value);
    if (producer < 0 || !known_range(model.graph.nodes[static_cast<std::size_t>(producer)])) values.push_back(tensor.value);
  }
  return values;
}

}  // namespace bitwright
