#include "passes/static_rest.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "passes/dynamic.h"
#include "passes/weight_only.h"

namespace bitwright {

namespace {

constexpr std::string_view kWeightsOnly = "weights only";
constexpr std::string_view kDynamic = "dynamic";

/// Rows that the edit quantized take the place of float ones.
void merge(QuantPlan& plan, QuantPlan edit) {
  std::map<std::pair<std::string, std::string>, NodeDecision*> by_name;
  for (NodeDecision& row : edit.nodes)
    if (row.is_quantized) by_name[{row.graph, row.node}] = &row;
  for (NodeDecision& row : plan.nodes) {
    const auto found = by_name.find({row.graph, row.node});
    if (row.is_quantized || found == by_name.end()) continue;
    const std::string why = std::move(row.reason);
    row.is_quantized = true;
    row.mode = found->second->mode;
    row.reason = found->second->reason;
    if (row.mode.starts_with(kWeightsOnly) && !why.empty()) row.reason += concat({" (", why, ")"});
  }
  std::move(edit.tensors.begin(), edit.tensors.end(), std::back_inserter(plan.tensors));
}

/// "3 Conv, 2 LSTM" of the rows in this mode; empty where there are none.
std::string kinds_of(const QuantPlan& plan, std::string_view mode, std::size_t& n) {
  std::map<std::string, std::size_t> kinds;
  n = 0;
  for (const NodeDecision& row : plan.nodes)
    if (row.is_quantized && row.mode.starts_with(mode)) {
      ++kinds[row.op_type];
      ++n;
    }
  std::string text;
  for (const auto& [kind, n_nodes] : kinds) text += concat({(text.empty() ? "" : ", "), n_nodes, " ", kind});
  return text;
}

}  // namespace

PassResult store_static_rest(Model& model, const Recipe& recipe, const Selection& selection, const InputsOfWeights* inputs,
                             QuantPlan& plan) {
  PassResult result;
  const auto take = [&](PlannedEdit edit) {
    result.n_changes += edit.result.n_changes;
    // insert_qdq has said the same of its own nodes.
    if (plan.tensors.empty()) result.messages = std::move(edit.result.messages);
    merge(plan, std::move(edit.plan));
  };
  if (recipe.target == Target::onnxruntime) take(quantize_lstms(model, recipe, selection));
  WeightOnlyOptions options;
  options.selection = &selection;
  options.inputs = inputs;
  take(weight_only(model, recipe, options));

  std::size_t n = 0;
  if (const std::string kinds = kinds_of(plan, kDynamic, n); n > 0)
    result.messages.push_back(concat({kinds, " quantized dynamically: static codes do not reach into it"}));
  if (const std::string kinds = kinds_of(plan, kWeightsOnly, n); n > 0)
    result.messages.push_back(concat({n, (n == 1 ? " node that computes" : " nodes that compute"),
                                      " in float had weights stored as codes, for size only: ", kinds}));
  return result;
}

}  // namespace bitwright
