#include <cmath>
#include <map>

#include "base/float16.h"
#include "base/text.h"
#include "model/half_name.h"
#include "passes/float16.h"
#include "passes/graph_edit.h"
#include "passes/select_nodes.h"
#include "passes/weights.h"

namespace bitwright {

namespace {

constexpr float kMaxHalf = 65504.0f;
constexpr float kMinHalf = 0x1p-24f;
constexpr std::int64_t kOnnxFloat = 1;
/// Larger constants are converted when they are written, so that memory holds one at a time.
constexpr std::uint64_t kMaxHeldBytes = 1u << 20;

}  // namespace

HalfTensor to_half(const Tensor& values) {
  HalfTensor half{Tensor(DType::f16, values.shape()), 0, 0};
  const std::span<const float> in = values.data<float>();
  const std::span<std::uint16_t> out = half.values.data<std::uint16_t>();
  for (std::size_t i = 0; i < in.size(); ++i) {
    float value = in[i];
    const float magnitude = std::abs(value);
    if (magnitude > kMaxHalf && std::isfinite(value)) {
      half.n_too_large += magnitude >= 65520.0f ? 1 : 0;  // below, it rounds to the largest anyway
      value = std::copysign(kMaxHalf, value);
    } else if (magnitude < kMinHalf && magnitude > 0.0f) {
      half.n_too_small += magnitude <= kMinHalf / 2 ? 1 : 0;
      value = std::copysign(kMinHalf, value);
    }
    out[i] = f32_to_f16(value);
  }
  return half;
}

PlannedEdit float16_weights(Model& model, const Recipe& recipe, std::int64_t min_elements) {
  const Selection selection(model, recipe);
  NameAllocator names(model);
  own_subgraphs(model);
  PlannedEdit edit;
  std::map<const Node*, NodeDecision> rows;
  std::vector<const Node*> order;
  visit_nodes(model, [&](const Node& node, const std::string& graph) {
    std::string reason = selection.refusal(node);
    if (reason.empty()) reason = graph.starts_with("function ") ? "stands in a local function" : "no large constant";
    rows.emplace(&node, NodeDecision{node_key(node), node.op_type, node.domain, graph, false, "float", std::move(reason)});
    order.push_back(&node);
  });

  std::vector<Replacement> replacements;
  std::map<Graph*, std::vector<Node>> added;
  for (const ConstantWeight& weight : find_weights(model, min_elements)) {
    bool is_refused = weight.is_graph_output || weight.uses.empty();
    for (const WeightUse& use : weight.uses) is_refused |= !selection.refusal(*use.node).empty();
    if (is_refused) continue;
    const TensorRecord record = *weight.record;
    TensorRecord half;
    half.name = names.fresh(half_name(weight.name));
    half.dtype = DType::f16;
    half.shape = record.shape;
    const HalfTensor made = to_half(record.load());
    if (record.size_bytes() > kMaxHeldBytes)
      half.values = Generated{[record] { return to_half(record.load()).values; }};
    else
      half.values = made.values;
    std::string note;
    if (made.n_too_large != 0) note = concat({made.n_too_large, " values of ", weight.name, " beyond 65504 were clipped"});
    if (!note.empty()) edit.result.messages.push_back(note);
    for (const WeightUse& use : weight.uses) {
      NodeDecision& row = rows.at(use.node);
      row.is_quantized = true;
      row.mode = "weights only float16";
      row.reason = note.empty() ? "size only: computed in float" : note;
    }
    Node cast;
    cast.name = names.fresh(concat({weight.name, "_Cast"}));
    cast.op_type = "Cast";
    cast.inputs = {half.name};
    cast.outputs = {weight.name};
    cast.set(Attribute::of_int("to", kOnnxFloat));
    added[weight.graph].push_back(std::move(cast));
    replacements.push_back({weight.graph, weight.name, {std::move(half)}});
  }
  for (const Node* node : order) edit.plan.nodes.push_back(std::move(rows.at(node)));
  edit.result.n_changes = static_cast<std::int64_t>(replacements.size());
  replace_constants(model, std::move(replacements));
  for (auto& [graph, nodes] : added) {
    nodes.insert(nodes.end(), std::make_move_iterator(graph->nodes.begin()), std::make_move_iterator(graph->nodes.end()));
    graph->nodes = std::move(nodes);
  }
  return edit;
}

}  // namespace bitwright
