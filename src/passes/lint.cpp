#include "passes/lint.h"

#include <algorithm>
#include <map>

#include "passes/graph_edit.h"
#include "passes/static_ops.h"

namespace bitwright {

namespace {

/// A Concat whose inputs' ranges differ by more than this loses most codes of the narrow one (5 bits of 8).
constexpr double kMaxRangeRatio = 32.0;

std::string count(std::size_t n, const std::string& what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

class Linter {
 public:
  Linter(const Model& model, const QuantPlan& plan, const Recipe& recipe) : plan_(plan), recipe_(recipe), index_(model.graph) {
    for (const Node& node : model.graph.nodes) nodes_[node_key(node)] = &node;
    for (const TensorPlan& tensor : plan.tensors)
      if (tensor.role == TensorRole::activation) activations_[tensor.value] = &tensor;
  }

  std::vector<LintRow> run() {
    if (recipe_.target != Target::portable) codes_of_the_target();
    for (const NodeDecision& decision : plan_.nodes)
      if (decision.is_quantized && decision.graph.empty()) node_rows(decision);
    shared_with_float();
    depthwise();
    std::stable_sort(rows_.begin(), rows_.end(), [](const LintRow& a, const LintRow& b) { return a.severity > b.severity; });
    return std::move(rows_);
  }

 private:
  void add(Severity severity, std::string node, std::string message) { rows_.push_back({severity, std::move(node), std::move(message)}); }

  void codes_of_the_target() {
    const bool has_layers = std::any_of(plan_.tensors.begin(), plan_.tensors.end(), [](const TensorPlan& t) { return t.role == TensorRole::weight; });
    if (!has_layers) return;
    if (recipe_.activation.dtype == DType::i8)
      add(Severity::warning, "", "i8 activations: onnxruntime-web has fast integer kernels for u8 only (MatMul 15 times slower, Conv not fused); choose u8");
    if (recipe_.activation.is_symmetric)
      add(Severity::warning, "", "symmetric activations: Relu and Clip cannot be absorbed, so the layers in front of them run in float; choose asymmetric");
    if (recipe_.weight.dtype == DType::u8 && recipe_.activation.dtype == DType::i8)
      add(Severity::error, "", "i8 activations with u8 weights: onnxruntime refuses such layers");
  }

  void node_rows(const NodeDecision& decision) {
    const auto found = nodes_.find(decision.node);
    if (found == nodes_.end()) return;
    const Node& node = *found->second;
    if (decision.mode.starts_with("weights only") && node.op_type != "Gather")
      add(Severity::info, decision.node, "weights are dequantized on every run: a smaller file, not a faster model");
    if (node.op_type == "Conv")
      if (const TensorRecord* weight = index_.initializer(node.inputs[1]); weight != nullptr && is_depthwise(node, weight->shape)) depthwise_.push_back(decision.node);
    if (node.op_type == "Concat") mixed_ranges(node);
  }

  void mixed_ranges(const Node& node) {
    double narrow = 0.0;
    double wide = 0.0;
    for (const std::string& input : node.inputs) {
      const auto found = activations_.find(input);
      if (found == activations_.end()) return;
      const double scale = found->second->params.scales[0];
      narrow = narrow == 0.0 ? scale : std::min(narrow, scale);
      wide = std::max(wide, scale);
    }
    if (wide > kMaxRangeRatio * narrow)
      add(Severity::warning, node_key(node), "joins values of very different ranges (1 to " + std::to_string(static_cast<std::int64_t>(wide / narrow)) +
                                                 "), whose one scale leaves few codes to the narrow ones; exclude it if the model's outputs suffer");
  }

  /// A weight that a float node reads too stays in the file twice.
  void shared_with_float() {
    for (const TensorPlan& tensor : plan_.tensors) {
      if (tensor.role != TensorRole::weight) continue;
      const auto readers = index_.consumers(tensor.value);
      if (readers.size() > tensor.consumers.size())
        add(Severity::warning, tensor.consumers[0].node, "its weight '" + tensor.value + "' is read in float by another node too, so the file holds it twice");
    }
  }

  void depthwise() {
    const bool is_integer = recipe_.mode == QuantMode::static_ || recipe_.mode == QuantMode::dynamic;
    if (depthwise_.empty() || !is_integer || recipe_.target != Target::onnxruntime_web) return;
    add(Severity::info, depthwise_[0], count(depthwise_.size(), "depthwise Conv") + " quantized for size: onnxruntime-web runs them about 2.7 times slower than in float, "
                                       "while exchanging codes with their neighbours saves converting; exclude them where only speed counts");
  }

  const QuantPlan& plan_;
  const Recipe& recipe_;
  const GraphIndex index_;
  std::map<std::string, const Node*> nodes_;
  std::map<std::string, const TensorPlan*> activations_;
  std::vector<std::string> depthwise_;
  std::vector<LintRow> rows_;
};

}  // namespace

std::vector<LintRow> lint_plan(const Model& model, const QuantPlan& plan, const Recipe& recipe) { return Linter(model, plan, recipe).run(); }

}  // namespace bitwright
