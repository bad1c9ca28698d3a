#include "passes/weight_only.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "passes/dequantize_node.h"
#include "passes/graph_edit.h"
#include "passes/select_nodes.h"
#include "passes/weights.h"
#include "quant/quantize.h"

namespace bitwright {

namespace {

/// What a node and three tensors take in a file besides their values: names, types, tags.
constexpr std::uint64_t kOverheadBytes = 300;

struct Verdict {
  std::string refusal;  // why the weight stays in float; empty: it does not
  WeightAxes axes;
};

Verdict judge(const ConstantWeight& weight, const Selection& selection) {
  if (weight.is_graph_output) return {"its weight is an output of the graph", {}};
  if (weight.uses.empty()) return {"nothing reads it", {}};
  Verdict verdict;
  bool is_first = true;
  for (const WeightUse& use : weight.uses) {
    const std::optional<WeightAxes> axes = weight_axes(use);
    const std::string shared = weight.uses.size() > 1 ? " (" + node_key(*use.node) + ", which shares the weight)" : "";
    if (!axes) return {"no weight of " + use.node->op_type + " is stored as codes" + shared, {}};
    if (std::string refusal = selection.refusal(*use.node); !refusal.empty()) return {refusal + shared, {}};
    if (is_first) verdict.axes = *axes;
    is_first = false;
  }
  return verdict;
}

/// Rows of a table shorter than this share one scale with all others: a scale each would outweigh the codes.
constexpr std::int64_t kMinRowLength = 16;

/// The scheme fitted to this tensor: blocks need an axis at least as long, else one scale per channel.
TensorScheme fitted(TensorScheme scheme, const Shape& shape, const WeightAxes& axes, bool is_table) {
  if (is_table && scheme.grain == TensorScheme::Grain::per_channel &&
      n_elements(shape) / shape[static_cast<std::size_t>(axes.channel)] < kMinRowLength)
    scheme.grain = TensorScheme::Grain::per_tensor;
  if (scheme.grain == TensorScheme::Grain::per_block && shape[static_cast<std::size_t>(axes.reduction)] < scheme.block_size)
    scheme.grain = TensorScheme::Grain::per_channel;
  return scheme;
}

bool saves_bytes(const Shape& shape, const TensorScheme& scheme, std::int64_t axis) {
  const auto n = static_cast<std::uint64_t>(n_elements(shape));
  const auto n_scales = static_cast<std::uint64_t>(n_elements(scale_shape(granularity_of(scheme, axis, shape.size()), shape)));
  const std::uint64_t after =
      packed_bytes(scheme.dtype, n) + 4 * n_scales + packed_bytes(scheme.dtype, n_scales) + kOverheadBytes;
  return after < 4 * n;
}

/// One weight on its way into codes, with everything that is needed after the graph was touched.
struct Edit {
  ConstantWeight weight;
  DequantizedConstant made;
};

class WeightOnly {
 public:
  WeightOnly(Model& model, const Recipe& recipe, const WeightOnlyOptions& options)
      : model_(model),
        recipe_(recipe),
        options_(options),
        selection_(options.selection != nullptr ? *options.selection : Selection(model, recipe)),
        names_(model) {}

  PlannedEdit run() {
    own_subgraphs(model_);
    visit_nodes(model_, [&](const Node& node, const std::string& graph) {
      rows_.emplace(&node, undecided(node, graph, selection_));
      order_.push_back(&node);
    });
    std::vector<Edit> edits;
    for (ConstantWeight& weight : find_weights(model_, options_.min_elements)) decide(weight, edits);
    for (const Node* node : order_) edit_.plan.nodes.push_back(std::move(rows_.at(node)));
    apply(edits);
    return std::move(edit_);
  }

 private:
  void refuse(const ConstantWeight& weight, const std::string& reason) {
    for (const WeightUse& use : weight.uses) {
      NodeDecision& row = rows_.at(use.node);
      if (!row.is_quantized && selection_.refusal(*use.node).empty()) row.reason = reason;
    }
  }

  void decide(ConstantWeight& weight, std::vector<Edit>& edits) {
    const Verdict verdict = judge(weight, selection_);
    if (!verdict.refusal.empty()) return refuse(weight, verdict.refusal);
    const TensorRecord record = *weight.record;
    const TensorScheme scheme = fitted(recipe_.weight, record.shape, verdict.axes, weight.uses[0].node->op_type == "Gather");
    const bool is_block = scheme.grain == TensorScheme::Grain::per_block;
    const std::int64_t axis = is_block ? verdict.axes.reduction : verdict.axes.channel;
    if (!saves_bytes(record.shape, scheme, axis)) return refuse(weight, "codes and scales of its weight would be no smaller");

    std::uint64_t n_not_finite = 0;
    QuantParams params;
    Values codes;
    {
      const Tensor values = record.load();
      params = choose_params(values, scheme, axis, &n_not_finite);
      if (n_not_finite != 0)
        return refuse(weight,
                      "its weight " + quoted(weight.name) + " holds " + std::to_string(n_not_finite) + " NaN or infinities");
      const std::uint64_t n_bytes = packed_bytes(scheme.dtype, static_cast<std::uint64_t>(values.n_elements()));
      if (n_bytes <= options_.max_held_bytes - held_bytes_) {
        held_bytes_ += n_bytes;
        codes = quantize(values, params);
      } else {
        codes = Generated{[record, params] { return quantize(record.load(), params); }};
      }
    }
    const std::string domain = dequantize_domain(model_, scheme, recipe_.target);
    if (!domain.empty() && !is_told_) {
      is_told_ = true;
      edit_.result.messages.push_back("opset " + std::to_string(model_.opset()) +
                                      " kept: weights use com.microsoft DequantizeLinear, which onnxruntime runs");
    }
    TensorPlan plan{weight.name, TensorRole::weight, params, {}};
    for (const WeightUse& use : weight.uses) {
      NodeDecision& row = rows_.at(use.node);
      row.is_quantized = true;
      row.mode = "weights only " + code_name(scheme.dtype);
      row.reason = "size only: computed in float";
      plan.consumers.push_back({node_key(*use.node), static_cast<std::int64_t>(use.input)});
    }
    edit_.plan.tensors.push_back(std::move(plan));
    edits.push_back({weight, dequantized_constant(weight.name, record.shape, params, std::move(codes), domain, names_)});
  }

  void apply(std::vector<Edit>& edits) {
    std::map<Graph*, std::vector<Node>> added;
    for (Edit& edit : edits) {
      replace_constant(model_, edit.weight, std::move(edit.made.records));
      added[edit.weight.graph].push_back(std::move(edit.made.node));
    }
    for (auto& [graph, nodes] : added) {
      nodes.insert(nodes.end(), std::make_move_iterator(graph->nodes.begin()), std::make_move_iterator(graph->nodes.end()));
      graph->nodes = std::move(nodes);
    }
    edit_.result.n_changes = static_cast<std::int64_t>(edits.size());
  }

  Model& model_;
  const Recipe& recipe_;
  const WeightOnlyOptions& options_;
  Selection selection_;
  NameAllocator names_;
  std::map<const Node*, NodeDecision> rows_;
  std::vector<const Node*> order_;
  PlannedEdit edit_;
  std::uint64_t held_bytes_ = 0;
  bool is_told_ = false;
};

}  // namespace

PlannedEdit weight_only(Model& model, const Recipe& recipe, const WeightOnlyOptions& options) {
  return WeightOnly(model, recipe, options).run();
}

}  // namespace bitwright
