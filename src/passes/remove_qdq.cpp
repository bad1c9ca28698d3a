#include <algorithm>
#include <limits>
#include <map>

#include "base/text.h"
#include "ops/qoperators.h"
#include "passes/expand_quantized.h"
#include "passes/graph_edit.h"
#include "passes/graph_rewriter.h"
#include "quant/quant_params.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

bool is_onnx_or_microsoft(const Node& node, std::string_view op_type) {
  return node.op_type == op_type && (node.domain.empty() || node.domain == "com.microsoft");
}

/// Operators that give no negative values.
constexpr std::string_view kNotNegative[] = {"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Clip", "Abs", "Exp", "Softplus"};

/// From this opset on the bounds of Clip are inputs.
constexpr std::int64_t kClipOfInputs = 11;

class QdqRemover {
 public:
  QdqRemover(Graph& graph, NameAllocator& names, std::int64_t opset) : to_(graph, names), opset_(opset) {}

  std::int64_t run() {
    for (const Node& node : to_.graph.nodes) {
      if (is_onnx_or_microsoft(node, "QuantizeLinear"))
        take_quantize(node);
      else if (moves_codes(node) || (node.domain.empty() && node.op_type == "Concat"))
        take_mover(node);
      else if (is_onnx_or_microsoft(node, "DequantizeLinear") && take_dequantize(node))
        continue;
      to_.keep(node);
    }
    to_.finish();
    rename_uses(to_.graph, replaced_);
    return n_removed_;
  }

 private:
  /// What codes stand for.
  struct Real {
    std::string value;
    std::vector<float> scales, zero_points;
  };

  /// The real that a value was replaced by, where it was.
  const std::string& latest(const std::string& value) const {
    const auto found = replaced_.find(value);
    return found == replaced_.end() ? value : found->second;
  }

  bool is_not_negative(const std::string& value) const {
    const std::int64_t i = to_.index.producer(value);
    if (i < 0) return false;
    const Node& node = to_.graph.nodes[static_cast<std::size_t>(i)];
    return std::find(std::begin(kNotNegative), std::end(kNotNegative), node.op_type) != std::end(kNotNegative);
  }

  void take_quantize(const Node& node) {
    Real real{latest(node.inputs[0]), to_.small_values(node.inputs[1]), {}};
    if (real.scales.empty()) return;
    const TensorRecord* zeros = node.inputs.size() > 2 ? to_.constant(node.inputs[2]) : nullptr;
    if (node.inputs.size() > 2 && !node.inputs[2].empty() && zeros == nullptr) return;
    real.zero_points = zeros != nullptr ? to_.small_values(node.inputs[2]) : std::vector<float>(real.scales.size(), 0.0f);
    const DType dtype = zeros != nullptr ? zeros->dtype : DType::u8;
    if (real.scales.size() == 1 && is_integer(dtype) && dtype_bits(dtype) <= 16 && real.zero_points.size() == 1) {
      const CodeRange range = code_range(dtype);
      if (real.zero_points[0] == static_cast<float>(range.qmin) && !is_not_negative(node.inputs[0]))
        real.value = clipped(real.value, real.scales[0] * static_cast<float>(range.qmax - range.qmin),
                             to_.constant(node.inputs[1])->dtype);
    }
    reals_.emplace(node.outputs[0], std::move(real));
  }

  std::string clipped(const std::string& value, float rmax, DType dtype) {
    const auto [found, is_new] = clips_.try_emplace({value, rmax}, "");
    if (is_new) {
      found->second = to_.fresh(concat({value, "_clipped"}));
      if (opset_ < kClipOfInputs) {
        Node& clip = to_.add("Clip", {value}, found->second);
        clip.set(Attribute::of_float("min", 0.0f));
        clip.set(Attribute::of_float("max", rmax));
        return found->second;
      }
      const auto bound = [&](const char* wish, float real) {
        Tensor tensor(dtype, {});
        write_elements(tensor, 0, std::span<const float>(&real, 1));
        return to_.add_constant(wish, std::move(tensor));
      };
      const std::string rmin = bound("clip_min", 0.0f);
      to_.add("Clip", {value, rmin, bound("clip_max", rmax)}, found->second);
    }
    return found->second;
  }

  /// The same node on reals, beside the one on codes.
  void take_mover(const Node& node) {
    const std::size_t n_codes = node.op_type == "Concat" ? node.inputs.size() : std::min<std::size_t>(1, node.inputs.size());
    Node copy = node;
    const Real* first = nullptr;
    for (std::size_t i = 0; i < n_codes; ++i) {
      const auto found = reals_.find(node.inputs[i]);
      if (found == reals_.end()) return;
      if (first == nullptr) first = &found->second;
      if (found->second.scales != first->scales || found->second.zero_points != first->zero_points) return;
      copy.inputs[i] = found->second.value;
    }
    if (first == nullptr || first->scales.size() != 1) return;
    Real real = *first;
    for (std::string& output : copy.outputs) {
      if (output.empty()) continue;
      real.value = to_.fresh(concat({output, "_real"}));
      reals_.emplace(output, real);
      output = real.value;
    }
    to_.keep(copy);
  }

  /// True where the node is gone.
  bool take_dequantize(const Node& node) {
    const auto found = reals_.find(node.inputs[0]);
    if (found == reals_.end()) return take_gathered(node);
    const Real& real = found->second;
    if (to_.small_values(node.inputs[1]) != real.scales) return false;
    if (node.inputs.size() > 2 && to_.small_values(node.inputs[2]) != real.zero_points) return false;
    ++n_removed_;
    if (to_.index.is_graph_output(node.outputs[0])) {
      to_.add("Identity", {real.value}, node.outputs[0]);
      return true;
    }
    replaced_[node.outputs[0]] = real.value;
    return true;
  }

  /// Rows of a table of codes, dequantized where they were picked: picked from the dequantized table instead, which is a constant.
  bool take_gathered(const Node& node) {
    const std::int64_t producer = to_.index.producer(node.inputs[0]);
    const Node* gather = producer < 0 ? nullptr : &to_.graph.nodes[static_cast<std::size_t>(producer)];
    if (gather == nullptr || !gather->domain.empty() || gather->op_type != "Gather") return false;
    const TensorRecord *table = to_.constant(gather->inputs[0]), *scale = to_.constant(node.inputs[1]);
    if (table == nullptr || scale == nullptr || node.attr_i("block_size", 0) != 0) return false;
    if (n_elements(scale->shape) != 1 &&
        (node.attr_i("axis", 1) != -1 || gather->attr_i("axis", 0) + 1 == static_cast<std::int64_t>(table->shape.size())))
      return false;
    Node reals = node;
    reals.inputs[0] = table->name;
    reals.outputs[0] = to_.fresh(concat({table->name, "_dequantized"}));
    to_.keep(reals);
    Node picked = *gather;
    picked.name.clear();
    picked.inputs[0] = reals.outputs[0];
    picked.outputs = node.outputs;
    to_.keep(picked);
    ++n_removed_;
    return true;
  }

  GraphRewriter to_;
  std::int64_t opset_;
  std::map<std::string, Real> reals_;  // by codes
  std::map<std::string, std::string> replaced_;
  std::map<std::pair<std::string, float>, std::string> clips_;
  std::int64_t n_removed_ = 0;
};

}  // namespace

PassResult remove_qdq(Model& model) {
  PassResult result;
  NameAllocator names(model);
  visit_graphs(model, [&](Graph& graph) { result.n_changes += QdqRemover(graph, names, model.opset()).run(); });
  return result;
}

}  // namespace bitwright
