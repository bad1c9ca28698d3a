#include "passes/lint.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/sorted_order.h"
#include "base/text.h"
#include "passes/graph_edit.h"
#include "passes/static_ops.h"

namespace bitwright {

namespace {

/// A Concat whose inputs' ranges differ by more than this loses most codes of the narrow one (5 bits of 8).
constexpr double kMaxRangeRatio = 32.0;

/// Fewer stretches of float nodes, or longer quantized ones between them, leave a gain.
constexpr std::size_t kManyIslands = 4;
constexpr std::size_t kLayersPerIsland = 4;

std::string count(std::size_t n, const std::string& what) { return concat({n, " ", what, (n == 1 ? "" : "s")}); }

class Linter {
 public:
  Linter(const Model& model, const QuantPlan& plan, const Recipe& recipe)
      : plan_(plan), recipe_(recipe), graph_(model.graph), index_(model.graph) {
    for (const Node& node : model.graph.nodes) nodes_[node_key(node)] = &node;
    for (const TensorPlan& tensor : plan.tensors)
      if (tensor.role == TensorRole::activation) activations_[tensor.value] = &tensor;
  }

  std::vector<LintRow> run() {
    const bool is_float_between = computes_in_float();
    if (recipe_.target != Target::portable && !is_float_between) codes_of_the_target();
    for (const NodeDecision& decision : plan_.nodes)
      if (decision.is_quantized && decision.graph.empty()) node_rows(decision);
    shared_with_float();
    if (!is_float_between) depthwise();
    dequantized_on_every_run();
    if (!is_float_between) float_islands();
    sort_list(rows_, [](const LintRow& a, const LintRow& b) { return a.severity > b.severity; });
    return std::move(rows_);
  }

 private:
  void add(Severity severity, std::string node, std::string message) {
    rows_.push_back({severity, std::move(node), std::move(message)});
  }

  /// Integer kernels of runtimes take codes of 8 bits.
  bool computes_in_float() {
    if (recipe_.mode != QuantMode::static_) return false;
    for (const TensorPlan& tensor : plan_.tensors)
      if (tensor.role != TensorRole::bias && dtype_bits(tensor.params.dtype) != 8) {
        add(Severity::warning, "",
            concat({dtype_name(tensor.params.dtype),
                    " codes: runtimes compute the layers between such pairs in float, no faster than the float ",
                    "model; choose 8 bits for speed"}));
        return true;
      }
    return false;
  }

  void codes_of_the_target() {
    const bool has_layers =
        std::any_of(plan_.tensors.begin(), plan_.tensors.end(), [](const TensorPlan& t) { return t.role == TensorRole::weight; });
    if (!has_layers) return;
    if (recipe_.activation.dtype == DType::i8)
      add(Severity::warning, "",
          "i8 activations: onnxruntime-web has fast integer kernels for u8 only (MatMul 15 times slower, Conv not fused); choose "
          "u8");
    if (recipe_.activation.is_symmetric)
      add(Severity::warning, "",
          "symmetric activations: Relu and Clip cannot be absorbed, so the layers in front of them run in float; choose "
          "asymmetric");
    if (recipe_.weight.dtype == DType::u8 && recipe_.activation.dtype == DType::i8)
      add(Severity::error, "", "i8 activations with u8 weights: onnxruntime refuses such layers");
  }

  void node_rows(const NodeDecision& decision) {
    const auto found = nodes_.find(decision.node);
    if (found == nodes_.end()) return;
    const Node& node = *found->second;
    if (node.op_type == "Conv" && decision.mode.starts_with("QDQ"))
      if (const TensorRecord* weight = index_.initializer(node.inputs[1]); weight != nullptr && is_depthwise(node, weight->shape))
        depthwise_.push_back(decision.node);
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
      add(Severity::warning, node_key(node),
          concat({"joins values of very different ranges (1 to ", static_cast<std::int64_t>(wide / narrow),
                  "), whose one scale leaves few codes to the narrow ones; exclude it if the model's outputs suffer"}));
  }

  /// A weight that a float node reads too stays in the file twice.
  void shared_with_float() {
    for (const TensorPlan& tensor : plan_.tensors) {
      if (tensor.role != TensorRole::weight) continue;
      const auto readers = index_.consumers(tensor.value);
      if (readers.size() > tensor.consumers.size())
        add(Severity::warning, tensor.consumers[0].node,
            concat({"its weight '", tensor.value, "' is read in float by another node too, so the file holds it twice"}));
    }
  }

  void depthwise() {
    const bool is_integer = recipe_.mode == QuantMode::static_ || recipe_.mode == QuantMode::dynamic;
    if (depthwise_.empty() || !is_integer || recipe_.target != Target::onnxruntime_web) return;
    add(Severity::info, depthwise_[0],
        concat({count(depthwise_.size(), "depthwise Conv"),
                " quantized for size: onnxruntime-web runs them about 2.7 times slower than in float, "
                "while exchanging codes with their neighbours saves converting; exclude them where only speed counts"}));
  }

  void dequantized_on_every_run() {
    std::vector<const NodeDecision*> nodes;
    for (const NodeDecision& decision : plan_.nodes)
      // Static plans gather codes: only the rows that were picked are dequantized.
      if (decision.mode.starts_with("weights only") && !(decision.op_type == "Gather" && recipe_.mode == QuantMode::static_))
        nodes.push_back(&decision);
    if (nodes.empty()) return;
    const std::string of_nodes = concat({"weights of ", count(nodes.size(), "node"), " are dequantized at every run"});
    if (recipe_.target != Target::onnxruntime_web)
      return add(Severity::info, nodes[0]->node, concat({of_nodes, ": a smaller file, not a faster model"}));
    add(recipe_.mode == QuantMode::weight_only ? Severity::warning : Severity::info, nodes[0]->node,
        concat({"download saving only: ", of_nodes,
                "; on onnxruntime-web MatMul by a single row takes about 15 times as long as in float, by 64 rows 1.5 times"}));
  }

  /// Float nodes with codes before and behind them, counted as connected stretches, and HardSwish in one piece or written out.
  void float_islands() {
    if (recipe_.mode != QuantMode::static_ || recipe_.target == Target::portable) return;
    std::map<std::string, std::size_t> places;  // of float nodes
    std::size_t n_quantized = 0;
    std::size_t n_hard_swish = 0;
    for (const NodeDecision& decision : plan_.nodes) {
      const auto found = nodes_.find(decision.node);
      if (!decision.graph.empty() || found == nodes_.end()) continue;
      if (decision.mode.starts_with("QDQ"))
        n_quantized += has_kernel_of_its_own(*found->second);
      else
        places.emplace(decision.node, places.size());
      n_hard_swish += is_hard_swish(*found->second);
    }
    std::vector<std::size_t> parents(places.size());
    for (std::size_t i = 0; i < parents.size(); ++i) parents[i] = i;
    const auto root = [&](std::size_t i) {
      while (parents[i] != i) i = parents[i] = parents[parents[i]];
      return i;
    };
    std::set<std::string> entered;
    std::set<std::string> left;
    for (const auto& [name, place] : places) {
      const Node& node = *nodes_.at(name);
      for (const std::string& input : node.inputs) {
        const std::int64_t producer = index_.producer(input);
        const auto before = producer < 0 ? places.end() : places.find(node_key(graph_.nodes[static_cast<std::size_t>(producer)]));
        if (before != places.end())
          parents[root(place)] = root(before->second);
        else if (producer >= 0 && activations_.contains(input))
          entered.insert(name);
      }
      for (const std::string& output : node.outputs)
        if (activations_.contains(output)) left.insert(name);
    }
    std::set<std::size_t> with_entry;
    std::set<std::size_t> islands;
    for (const std::string& name : entered) with_entry.insert(root(places.at(name)));
    for (const std::string& name : left)
      if (with_entry.contains(root(places.at(name)))) islands.insert(root(places.at(name)));
    if (islands.size() < kManyIslands || islands.size() * kLayersPerIsland < n_quantized) return;
    constexpr const char* kAdvice =
        ": each converts codes to float and back, which may take longer than integers save; compare times with the float "
        "model, or choose mode weight_only or float16 for size alone";
    add(Severity::warning, "",
        concat({islands.size(), " stretches of float nodes between ", n_quantized, " quantized layers",
                (n_hard_swish > 0 ? concat({", with ", n_hard_swish, " HardSwish, which onnxruntime has no integer kernel for"})
                                  : ""),
                kAdvice}));
  }

  static bool has_kernel_of_its_own(const Node& node) {
    return node.op_type == "Conv" || node.op_type == "ConvTranspose" || node.op_type == "Gemm" || node.op_type == "MatMul";
  }

  /// x * clip(x + 3, 0, 6) / 6: the Clip behind the Add stands for all of it.
  bool is_hard_swish(const Node& node) const {
    if (node.op_type == "HardSwish") return true;
    const std::int64_t producer = node.op_type == "Clip" ? index_.producer(node.inputs[0]) : -1;
    if (producer < 0) return false;
    const Node& add = graph_.nodes[static_cast<std::size_t>(producer)];
    return add.op_type == "Add" && std::any_of(add.inputs.begin(), add.inputs.end(), [&](const std::string& input) {
             const auto three = small_constant(index_, input, 1);
             return three && three->size() == 1 && (*three)[0] == 3.0f;
           });
  }

  const QuantPlan& plan_;
  const Recipe& recipe_;
  const Graph& graph_;
  const GraphIndex index_;
  std::map<std::string, const Node*> nodes_;
  std::map<std::string, const TensorPlan*> activations_;
  std::vector<std::string> depthwise_;
  std::vector<LintRow> rows_;
};

}  // namespace

std::vector<LintRow> lint_plan(const Model& model, const QuantPlan& plan, const Recipe& recipe) {
  return Linter(model, plan, recipe).run();
}

}  // namespace bitwright
