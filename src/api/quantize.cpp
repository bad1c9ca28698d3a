#include "api/quantize.h"

#include <algorithm>
#include <map>
#include <optional>

#include "api/prepare.h"
#include "api/tensor_reports.h"
#include "api/version.h"
#include "base/error.h"
#include "base/sorted_order.h"
#include "engine/session.h"
#include "files/onnx/onnx.h"
#include "ops/qoperators.h"
#include "passes/clean_graph.h"
#include "passes/dynamic.h"
#include "passes/float16.h"
#include "passes/fold_batch_norm.h"
#include "passes/fuse_qoperators.h"
#include "passes/graph_edit.h"
#include "passes/insert_qdq.h"
#include "passes/keep_float_weights.h"
#include "passes/lint.h"
#include "passes/plan_static.h"
#include "passes/static_rest.h"
#include "passes/weight_only.h"

namespace bitwright {

namespace {

void say(const OnProgress& on_progress, const char* stage) { tell_progress(on_progress, stage, 0, 1); }

/// The range of each calibrated value. Values that held NaN or infinity, or that only a mask can be, get none, and a lint row.
ValueRanges ranges_from(const Statistics& statistics, const std::vector<std::string>& values, const Recipe& recipe,
                        std::vector<LintRow>& lint) {
  const CodeRange codes = code_range(recipe.activation.dtype, recipe.activation.narrow_range);
  ValueRanges ranges;
  bool is_any_finite = false;
  std::int64_t first_not_finite_sample = -1;
  for (const std::string& value : values) {
    const auto found = statistics.find(value);
    if (found == statistics.end() || found->second.n_samples == 0) continue;
    const TensorStatistics& seen = found->second;
    ValueRange& row = ranges[value];
    if (seen.n_not_finite == 0)
      is_any_finite = true;
    else if (first_not_finite_sample < 0)
      first_not_finite_sample = seen.first_not_finite_sample;
    if (seen.n_not_finite > 0)
      row.refusal =
          concat({"held NaN or infinity ", seen.n_not_finite, " times, first in sample ", seen.first_not_finite_sample});
    else if (seen.rmax > kLargestReal || seen.rmin < -kLargestReal)
      row.refusal = "holds values beyond 1e7, which leave no codes for the rest";
    else
      row.range = choose_range(seen, recipe.calibration, codes, recipe.activation.is_symmetric);
    if (!row.refusal.empty())
      lint.push_back({Severity::warning, "", concat({"value ", in_quotes(value), " ", row.refusal, "; it stays in float"})});
  }
  if (!is_any_finite && first_not_finite_sample >= 0)
    throw_error(ErrorCode::bad_data, {"every calibrated value held NaN or infinity, first in sample ", first_not_finite_sample,
                                      "; check the samples and how they are normalized"});
  return ranges;
}

/// "12 nodes: already quantized; 3 nodes: no integer form of Erf"
std::string reasons_of(const std::vector<NodeDecision>& nodes) {
  std::map<std::string, std::size_t> counts;
  for (const NodeDecision& node : nodes) ++counts[node.reason];
  std::vector<std::pair<std::size_t, std::string>> ranked;
  ranked.reserve(counts.size());
  for (const auto& [reason, n] : counts) ranked.emplace_back(n, reason);
  sort_list(ranked, [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, ranked.size()); ++i)
    text += concat({(i == 0 ? "" : "; "), ranked[i].first, (ranked[i].first == 1 ? " node: " : " nodes: "), ranked[i].second});
  return text;
}

[[noreturn]] void throw_nothing_quantized(const Model& model, const Recipe& recipe, const QuantizeResult& result) {
  const std::string before = recipe.include.empty() && recipe.exclude.empty() ? quantized_operators_of(model) : "";
  if (!before.empty())
    throw_error(ErrorCode::nothing_quantized, {"nothing was quantized: the model is quantized already (", before,
                                               "); dequantize it first, or give the float model that it was made from"});
  throw_error(ErrorCode::nothing_quantized, {"nothing was quantized (", reasons_of(result.nodes), ")"});
}

/// Every node of the input in its order, then nodes that were added.
std::vector<NodeDecision> table_of(const Model& input, const std::vector<NodeDecision>& planned,
                                   const std::vector<NodeDecision>& removed) {
  std::multimap<std::pair<std::string, std::string>, const NodeDecision*> by_name;
  for (const NodeDecision& row : planned) by_name.emplace(std::pair(row.graph, row.node), &row);
  for (const NodeDecision& row : removed) by_name.emplace(std::pair(row.graph, row.node), &row);
  std::vector<NodeDecision> rows;
  visit_nodes(input, [&](const Node& node, const std::string& graph) {
    const auto found = by_name.find({graph, node_key(node)});
    if (found == by_name.end()) {
      rows.push_back(
          {node_key(node), node.op_type, node.domain, graph, false, "folded", "replaced while the graph was prepared"});
      return;
    }
    rows.push_back(*found->second);
    rows.back().op_type = node.op_type;  // a MatMul that became Gemm
    by_name.erase(found);
  });
  for (const NodeDecision& row : planned) {
    const auto [first, last] = by_name.equal_range({row.graph, row.node});
    if (std::any_of(first, last, [&](const auto& left) { return left.second == &row; })) rows.push_back(row);
  }
  return rows;
}

/// In the place of what an earlier quantization left there; nothing for an empty value.
void put_metadata(Model& model, const std::string& key, const std::string& value) {
  std::erase_if(model.metadata, [&](const auto& entry) { return entry.first == key; });
  if (!value.empty()) model.metadata.emplace_back(key, value);
}

void take_result(QuantizeResult& result, const PassResult& pass) {
  result.messages.insert(result.messages.end(), pass.messages.begin(), pass.messages.end());
}

bool weighs_errors(const Recipe& recipe) {
  return (recipe.mode == QuantMode::weight_only || recipe.mode == QuantMode::static_) &&
         recipe.weight.clipping == CalibrationMethod::output_error;
}

/// Empty where the recipe does not weigh errors.
InputsOfWeights weighed_inputs(Model& model, const Recipe& recipe, const Statistics* statistics) {
  InputsOfWeights inputs;
  if (!weighs_errors(recipe)) return inputs;
  if (statistics == nullptr)
    throw_error(ErrorCode::invalid_argument, {"clipping output_error weighs errors by samples: give some, or choose mse"});
  inputs = inputs_of_weights(model, recipe);
  weigh(inputs, [&](const ChannelRequest& request) -> const ChannelStatistics* {
    const auto row = statistics->find(request.value);
    if (row == statistics->end()) return nullptr;
    // Statistics of another recipe may have the mean squares without the rows.
    const ChannelStatistics* found = nullptr;
    for (const ChannelStatistics& seen : row->second.channels)
      if (seen.request == request || (found == nullptr && seen.request.axis == request.axis)) found = &seen;
    return found;
  });
  return inputs;
}

QuantizeResult quantize_static(const Model& model, const Recipe& recipe, const Statistics* statistics, bool measures_weights,
                               const OnProgress& on_progress) {
  if (statistics == nullptr)
    throw_error(ErrorCode::invalid_argument,
                {"static mode needs calibration: give samples, or choose mode dynamic or weight_only"});
  QuantizeResult result;
  const Selection selection(model, recipe);
  say(on_progress, "prepare");
  Prepared prepared = prepare_static(model, recipe);
  const QuantPlan wanted = plan_static(*prepared.model, recipe, selection, prepared.types, nullptr);
  const ValueRanges ranges = ranges_from(*statistics, needs_calibration(*prepared.model, wanted), recipe, result.lint);
  const InputsOfWeights inputs = weighed_inputs(*prepared.model, recipe, statistics);
  say(on_progress, "plan");
  QuantPlan plan = plan_static(*prepared.model, recipe, selection, prepared.types, &ranges, &inputs, on_progress);
  const Model planned = *prepared.model;  // what the plan speaks of
  say(on_progress, "insert");
  take_result(result, prepared.result);
  take_result(result, insert_qdq(*prepared.model, plan, recipe));
  take_result(result, store_static_rest(*prepared.model, recipe, selection, &inputs, plan));
  result.nodes = table_of(model, plan.nodes, prepared.result.removed);
  const std::vector<LintRow> lint = lint_plan(planned, plan, recipe);
  result.lint.insert(result.lint.end(), lint.begin(), lint.end());
  result.tensors = tensor_reports(planned, plan, statistics, measures_weights, on_progress);
  take_result(result, keep_float_weights(*prepared.model, recipe));
  if (recipe.format == QuantFormat::qoperator) take_result(result, fuse_qoperators(*prepared.model, recipe.target));
  result.model = prepared.model;
  return result;
}

PlannedEdit convert_to_half(Model& model, const Recipe& recipe, const Statistics* statistics) {
  if (statistics == nullptr || statistics->empty()) return float16(model, recipe, infer_types(model));
  Peaks peaks;
  for (const auto& [value, seen] : *statistics) peaks[value] = std::max(seen.rmax, -seen.rmin);
  return float16(model, recipe, infer_types(model), &peaks);
}

/// Activations become float16.
bool computes_halves(const Recipe& recipe) {
  return recipe.mode == QuantMode::float16 ? !recipe.float16_weights_only
                                           : recipe.mode == QuantMode::weight_only && recipe.float16_rest;
}

PlannedEdit edit_in_place(Model& model, const Recipe& recipe, const Statistics* statistics, const InputsOfWeights& inputs,
                          const OnProgress& on_progress) {
  switch (recipe.mode) {
    case QuantMode::float16:
      return convert_to_half(model, recipe, statistics);
    case QuantMode::dynamic:
      return quantize_dynamic(model, recipe);
    default:
      return weight_only(model, recipe, {.inputs = &inputs, .on_progress = on_progress});
  }
}

/// Rows of nodes that became float16; those whose weights became codes besides say so.
std::vector<NodeDecision> merged(std::vector<NodeDecision> halves, const std::vector<NodeDecision>& codes) {
  std::map<std::pair<std::string, std::string>, const NodeDecision*> by_name;
  for (const NodeDecision& row : codes)
    if (row.is_quantized) by_name[{row.graph, row.node}] = &row;
  for (NodeDecision& row : halves)
    if (const auto found = by_name.find({row.graph, row.node}); found != by_name.end()) {
      row.mode = concat({found->second->mode, (row.is_quantized ? ", float16" : "")});
      row.reason = found->second->reason;
      row.is_quantized = true;
    }
  return halves;
}

QuantizeResult quantize_in_place(const Model& model, const Recipe& recipe, const Statistics* statistics, bool measures_weights,
                                 const OnProgress& on_progress) {
  QuantizeResult result;
  result.model = std::make_shared<Model>(model);
  own_subgraphs(*result.model);
  PassResult prepared;
  if (computes_halves(recipe) && recipe.fold_batch_norm) {  // runtimes fold too, but from what was rounded
    prepared += freeze_initializers(*result.model);
    prepared += lift_constants(*result.model);
    prepared += fold_constant_views(*result.model);
    prepared += fold_batch_norm(*result.model);
  }
  const InputsOfWeights inputs = weighed_inputs(*result.model, recipe, statistics);
  prepared += raise_opset(*result.model, recipe);
  take_result(result, prepared);
  std::vector<NodeDecision> halves;
  if (recipe.mode == QuantMode::weight_only && recipe.float16_rest) {
    Recipe rest = recipe;
    rest.mode = QuantMode::float16;
    const PlannedEdit edit = convert_to_half(*result.model, rest, statistics);
    halves = edit.plan.nodes;
    take_result(result, edit.result);
  }
  // What the plan speaks of: the input, unless it was prepared or its weights were halved.
  std::optional<Model> copy;
  if (prepared.n_changes != 0 || !halves.empty()) copy = *result.model;
  const Model& raised = copy ? *copy : model;
  say(on_progress, "plan");
  PlannedEdit edit = edit_in_place(*result.model, recipe, statistics, inputs, on_progress);
  if (!halves.empty()) edit.plan.nodes = merged(std::move(halves), edit.plan.nodes);
  prepared += edit.result;
  result.nodes = table_of(model, edit.plan.nodes, prepared.removed);
  result.lint = lint_plan(raised, edit.plan, recipe);
  result.tensors = tensor_reports(raised, edit.plan, nullptr, measures_weights, on_progress);
  take_result(result, edit.result);
  if (recipe.format == QuantFormat::qoperator) take_result(result, fuse_qoperators(*result.model, recipe.target));
  return result;
}

/// Inputs of the main graph and what its nodes make.
std::vector<std::string> float_values_of(const Model& model) {
  const auto types = infer_types(model);
  std::vector<std::string> values;
  const auto add = [&](const std::string& value) {
    const auto found = types.find(value);
    if (found != types.end() && found->second.dtype == DType::f32) values.push_back(value);
  };
  for (const ValueInfo& input : model.graph.inputs)
    if (model.graph.find_initializer(input.name) == nullptr) add(input.name);
  for (const Node& node : model.graph.nodes)
    for (const std::string& output : node.outputs) add(output);
  return values;
}

}  // namespace

std::vector<std::string> values_to_calibrate(const Model& model, const Recipe& recipe) {
  std::vector<std::string> values;
  if (recipe.mode == QuantMode::static_) {
    const Selection selection(model, recipe);
    const Prepared prepared = prepare_static(model, recipe);
    values = needs_calibration(*prepared.model, plan_static(*prepared.model, recipe, selection, prepared.types, nullptr));
  } else if (computes_halves(recipe)) {
    values = float_values_of(model);
  }
  for (ChannelRequest& request : channels_to_calibrate(model, recipe)) values.push_back(std::move(request.value));
  return values;
}

std::vector<ChannelRequest> channels_to_calibrate(const Model& model, const Recipe& recipe) {
  std::vector<ChannelRequest> requests;
  if (!weighs_errors(recipe)) return requests;
  Model copy = recipe.mode == QuantMode::static_ ? *prepare_static(model, recipe).model : model;
  own_subgraphs(copy);
  for (auto& [weight, inputs] : inputs_of_weights(copy, recipe))
    for (const ChannelRequest& request : inputs.requests) requests.push_back(request);
  return requests;
}

QuantizeResult quantize(const Model& model, const Recipe& recipe, const Statistics* statistics, const std::string& input_xxh64,
                        const OnProgress& on_progress, QuantizeLimits limits) {
  QuantizeResult result = recipe.mode == QuantMode::static_
                              ? quantize_static(model, recipe, statistics, limits.measures_weights, on_progress)
                              : quantize_in_place(model, recipe, statistics, limits.measures_weights, on_progress);
  const bool is_any =
      std::any_of(result.nodes.begin(), result.nodes.end(), [](const NodeDecision& node) { return node.is_quantized; });
  if (!is_any) throw_nothing_quantized(model, recipe, result);
  put_metadata(*result.model, "bitwright.recipe", recipe.canonical_json);
  put_metadata(*result.model, "bitwright.version", std::string(kVersion));
  put_metadata(*result.model, "bitwright.input_xxh64", input_xxh64);
  result.bytes_before = model.file_bytes > 0 ? model.file_bytes + model.external_bytes : onnx_size_bytes(model);
  set_file_bytes(*result.model);
  result.bytes_after = result.model->file_bytes;
  if (!limits.allows_larger && result.bytes_after >= result.bytes_before)
    throw_error(ErrorCode::not_smaller, {"the result would take ", result.bytes_after, " bytes, the input takes ",
                                         result.bytes_before, "; the model has too few weights for this recipe"});
  return result;
}

}  // namespace bitwright
