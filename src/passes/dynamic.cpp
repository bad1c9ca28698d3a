#include "passes/dynamic.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "passes/dynamic_nodes.h"
#include "passes/graph_edit.h"
#include "passes/select_nodes.h"
#include "passes/weight_only.h"
#include "passes/weights.h"

namespace bitwright {

namespace {

class Dynamic {
 public:
  Dynamic(Model& model, const Recipe& recipe, Selection selection, bool takes_lstms_only)
      : model_(model),
        recipe_(recipe),
        selection_(std::move(selection)),
        takes_lstms_only_(takes_lstms_only),
        maker_(model, recipe) {}

  PlannedEdit run() {
    own_subgraphs(model_);
    visit_nodes(model_, [&](const Node& node, const std::string& graph) {
      places_[&node] = edit_.plan.nodes.size();
      edit_.plan.nodes.push_back(undecided(node, graph, selection_));
    });
    weights_ = find_weights(model_, 1);
    for (std::size_t i = 0; i < weights_.size(); ++i)
      for (const WeightUse& use : weights_[i].uses) constant_inputs_[{use.node, use.input}] = i;
    for (const ConstantWeight& weight : weights_)
      if (n_elements(weight.record->shape) >= recipe_.min_weight_elements())
        for (const WeightUse& use : weight.uses) decide(weight, use);
    apply();
    if (!takes_lstms_only_) store_the_rest();
    return std::move(edit_);
  }

 private:
  const ConstantWeight* constant_at(const Node* node, std::size_t input) const {
    const auto found = constant_inputs_.find({node, input});
    return found == constant_inputs_.end() ? nullptr : &weights_[found->second];
  }

  /// The constant of three axes that the node reads as it stands: not transposed, not put together by other nodes.
  const ConstantWeight* stack_at(const Node* node, std::size_t input) const {
    const ConstantWeight* weight = constant_at(node, input);
    if (weight == nullptr) return nullptr;
    const bool is_read_as_is = std::all_of(weight->uses.begin(), weight->uses.end(), [&](const WeightUse& use) {
      return use.node != node || use.input != input || use.axes == std::vector<std::int64_t>{0, 1, 2};
    });
    return is_read_as_is ? weight : nullptr;
  }

  void decide(const ConstantWeight& weight, const WeightUse& use) {
    NodeDecision& row = edit_.plan.nodes[places_.at(use.node)];
    if (!selection_.refusal(*use.node).empty() || made_.contains(use.node)) return;
    if (use.node->op_type == "LSTM" && use.node->domain.empty()) return decide_lstm(use, row);
    if (takes_lstms_only_) return;
    const ConstantWeight* bias = constant_at(use.node, 2);
    const TensorRecord* bias_record = bias == nullptr ? nullptr : bias->record;
    if (std::string refusal = maker_.refusal(use, *weight.record, bias_record); !refusal.empty()) {
      row.reason = std::move(refusal);
      refused_.insert(&row);
      return;
    }
    // A node of a subgraph may read a weight from outside: its codes then stand beside the weight.
    DynamicNode made = maker_.make(scope_of(use), weight.graph, use, named(weight), bias_record);
    if (made.nodes.empty()) {
      row.reason = concat({"its weight ", in_quotes(weight.name), " holds NaN or infinities"});
      return;
    }
    row.reason.clear();
    accept(weight, use, std::move(made), row, "dynamic int8");
  }

  void decide_lstm(const WeightUse& use, NodeDecision& row) {
    const ConstantWeight* w = stack_at(use.node, 1);
    const ConstantWeight* r = stack_at(use.node, 2);
    const bool is_supported =
        recipe_.target == Target::onnxruntime && w != nullptr && r != nullptr && use.node->attr_i("layout", 0) == 0;
    if (!is_supported) return;
    DynamicNode made = maker_.make_lstm(*use.node, named(*w), named(*r));
    if (made.nodes.empty()) return;
    if (model_.opset("com.microsoft") == 0) model_.set_opset("com.microsoft", 1);
    row.reason = "com.microsoft DynamicQuantizeLSTM";
    accept(*w, use, std::move(made), row, "dynamic int8");
  }

  /// The record under the name its graph knows it by: a Constant node's tensor has none.
  TensorRecord named(const ConstantWeight& weight) const {
    TensorRecord record = *weight.record;
    record.name = weight.name;
    return record;
  }

  const void* scope_of(const WeightUse& use) {
    auto [found, is_new] = scopes_.try_emplace(use.graph, 0);
    return &found->first;
  }

  void accept(const ConstantWeight& weight, const WeightUse& use, DynamicNode made, NodeDecision& row, std::string mode) {
    row.is_quantized = true;
    row.mode = std::move(mode);
    edit_.plan.tensors.push_back(
        {weight.name, TensorRole::weight, made.params, {{row.node, static_cast<std::int64_t>(use.input)}}});
    for (TensorRecord& record : made.records) records_[weight.graph].push_back(std::move(record));
    made_.emplace(use.node, std::move(made.nodes));
    ++edit_.result.n_changes;
  }

  void rebuild(std::vector<Node>& nodes) {
    std::vector<Node> rebuilt;
    for (Node& node : nodes) {
      for (Attribute& attribute : node.attributes) {
        if (attribute.g) rebuild(attribute.g->nodes);
        for (auto& graph : attribute.graphs)
          if (graph) rebuild(graph->nodes);
      }
      const auto found = made_.find(&node);
      if (found == made_.end()) {
        rebuilt.push_back(std::move(node));
        continue;
      }
      for (Node& quantize_node : maker_.take_quantize_nodes(found->second.front().inputs[0]))
        rebuilt.push_back(std::move(quantize_node));
      std::move(found->second.begin(), found->second.end(), std::back_inserter(rebuilt));
    }
    nodes = std::move(rebuilt);
  }

  void apply() {
    std::vector<ConstantWeight> used;
    for (const ConstantWeight& weight : weights_)
      if (std::any_of(weight.uses.begin(), weight.uses.end(), [&](const WeightUse& use) { return made_.contains(use.node); }))
        used.push_back(weight);
    rebuild(model_.graph.nodes);
    std::set<std::string> read;
    visit_graphs(model_, [&](const Graph& graph) {
      for (const ValueInfo& output : graph.outputs) read.insert(output.name);
      for (const Node& node : graph.nodes) read.insert(node.inputs.begin(), node.inputs.end());
    });
    std::vector<Replacement> unused;
    for (const ConstantWeight& weight : used)
      if (!read.contains(weight.name)) unused.push_back({weight.graph, weight.name, {}});
    replace_constants(model_, std::move(unused));
    for (auto& [graph, records] : records_)
      for (TensorRecord& record : records) {
        if (model_.ir_version < 4 && graph == &model_.graph)
          graph->inputs.push_back(ValueInfo::of(record.name, record.dtype, record.shape));
        graph->initializers.push_back(std::move(record));
      }
  }

  void store_the_rest() {
    Recipe recipe = recipe_;
    recipe.weight = dynamic_weight_scheme(recipe_, DType::i8);
    WeightOnlyOptions options;
    options.selection = &selection_;
    PlannedEdit stored = weight_only(model_, recipe, options);
    edit_.result += stored.result;
    edit_.plan.tensors.insert(edit_.plan.tensors.end(), stored.plan.tensors.begin(), stored.plan.tensors.end());
    std::map<std::pair<std::string, std::string>, const NodeDecision*> by_name;
    for (const NodeDecision& row : stored.plan.nodes)
      if (row.is_quantized) by_name[{row.graph, row.node}] = &row;
    for (NodeDecision& row : edit_.plan.nodes) {
      const auto found = by_name.find({row.graph, row.node});
      if (row.is_quantized || found == by_name.end()) continue;
      const std::string why = refused_.contains(&row) ? concat({"size only: ", row.reason}) : std::string();
      row = *found->second;
      if (!why.empty()) row.reason = why;
    }
  }

  Model& model_;
  const Recipe& recipe_;
  Selection selection_;
  bool takes_lstms_only_;
  DynamicNodes maker_;
  PlannedEdit edit_;
  std::set<const NodeDecision*> refused_;  // by the maker, which says why
  std::map<const Node*, std::size_t> places_;
  std::vector<ConstantWeight> weights_;
  std::map<std::pair<const Node*, std::size_t>, std::size_t> constant_inputs_;
  std::map<const Node*, std::vector<Node>> made_;
  std::map<Graph*, std::vector<TensorRecord>> records_;
  std::map<std::string, int> scopes_;  // paths of graphs: their addresses tell graphs apart
};

}  // namespace

PlannedEdit quantize_dynamic(Model& model, const Recipe& recipe) {
  if (model.opset() < kDynamicOpset)
    throw_error(ErrorCode::unsupported, {"dynamic mode needs opset ", kDynamicOpset, ", the model has ", model.opset(),
                                         "; upgrade it, or choose weight_only"});
  return Dynamic(model, recipe, Selection(model, recipe), false).run();
}

PlannedEdit quantize_lstms(Model& model, const Recipe& recipe, const Selection& selection) {
  return Dynamic(model, recipe, selection, true).run();
}

}  // namespace bitwright
