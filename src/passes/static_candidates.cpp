#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "passes/graph_edit.h"
#include "passes/static_planner.h"
#include "quant/encodings/encoding.h"
#include "quant/quantize.h"

namespace bitwright {

namespace {

/// A weight below this many elements is not worth a DequantizeLinear of its own that runs every time.
constexpr std::int64_t kMinWeightsOnly = 1024;

bool is_vector_for(const Shape& shape, std::int64_t n) {
  for (std::size_t i = 0; i + 1 < shape.size(); ++i)
    if (shape[i] != 1) return false;
  return shape.empty() || shape.back() == n || shape.back() == 1;
}

}  // namespace

void StaticPlanner::find_candidates() {
  states_.resize(graph_.nodes.size());
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    State& state = states_[i];
    state.op = find_static_op(node);
    state.is_asked_for = selection_.is_asked_for(node);
    state.refusal = refusal_of(node, state);
    if (!state.refusal.empty() && is_weights_only(node)) {
      state.is_weights_only = true;
      state.note = node.op_type == "Gather" ? "gathers codes, which are dequantized behind it"
                                            : concat({"size only: computed in float (", state.refusal, ")"});
    }
  }
}

std::string StaticPlanner::refusal_of(const Node& node, State& state) const {
  if (std::string refusal = selection_.refusal(node); !refusal.empty()) return refusal;
  if (state.op == nullptr) return float_reason(node);
  if (std::string refusal = target_refusal(node, *state.op, recipe_.target, model_.opset()); !refusal.empty()) return refusal;
  if (std::string refusal = value_refusal(node, *state.op); !refusal.empty()) return refusal;
  if (state.op->kind == StaticKind::product) return product_refusal(node, state);
  if (node.op_type == "Pad") {
    if (node.attr_s("mode", "constant") == "constant" && node.inputs.size() > 2 && !node.inputs[2].empty()) {
      const auto fill = small_constant(index_, node.inputs[2], 1);
      if (!fill || fill->size() != 1 || (*fill)[0] != 0.0f) return "pads with another value than 0";
    }
  }
  return "";
}

/// Inputs and outputs: f32 as far as known, not quantized by others already, not all constant.
std::string StaticPlanner::value_refusal(const Node& node, const StaticOp& op) const {
  const auto type_refusal = [&](const std::string& value) -> std::string {
    const auto found = types_.find(value);
    if (found == types_.end() || found->second.dtype == DType::undefined || found->second.dtype == DType::f32) return "";
    return concat({"works on ", dtype_name(found->second.dtype), " values"});
  };
  bool has_activation = false;
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    if (!is_activation_input(node, op, k)) continue;
    const std::string& value = node.inputs[k];
    if (const TensorRecord* record = index_.initializer(value)) {
      if (record->dtype != DType::f32) return concat({"works on ", dtype_name(record->dtype), " values"});
      if (op.kind != StaticKind::mix && op.name != "MatMul") return "rearranges or computes a constant";
      if (std::string refusal = weight_refusal(node, value); !refusal.empty()) return refusal;
      continue;
    }
    has_activation = true;
    if (std::string refusal = type_refusal(value); !refusal.empty()) return refusal;
    const std::int64_t producer = index_.producer(value);
    if (producer >= 0 && graph_.nodes[static_cast<std::size_t>(producer)].op_type == "DequantizeLinear")
      return "already quantized";
  }
  if (!has_activation) return "computes a constant";
  for (std::size_t k = 0; k < node.outputs.size(); ++k) {
    const std::string& value = node.outputs[k];
    if (value.empty()) continue;
    const auto consumers = index_.consumers(value);
    if (k > 0 && op.kind != StaticKind::split && (!consumers.empty() || index_.is_graph_output(value)))
      return "its further outputs are used";
    if (k > 0 && op.kind != StaticKind::split) continue;
    if (std::string refusal = type_refusal(value); !refusal.empty()) return refusal;
    for (const std::int64_t consumer : consumers)
      if (graph_.nodes[static_cast<std::size_t>(consumer)].op_type == "QuantizeLinear") return "already quantized";
  }
  return "";
}

std::string StaticPlanner::weight_refusal(const Node&, std::string_view weight) const {
  const TensorRecord* record = index_.initializer(weight);
  if (n_elements(record->shape) == 0) return concat({"its constant ", in_quotes(weight), " is empty"});
  const MinMax seen = scan_min_max(record->load().data<float>());
  if (seen.n_not_finite > 0) return concat({"its constant ", in_quotes(weight), " holds NaN or infinity"});
  if (seen.rmax > kLargestReal || seen.rmin < -kLargestReal)
    return concat({"its constant ", in_quotes(weight), " holds values too large for codes"});
  return "";
}

std::string StaticPlanner::product_refusal(const Node& node, State& state) const {
  if (node.inputs.size() < 2) return "has no weight";
  const TensorRecord* weight = index_.initializer(node.inputs[1]);
  state.has_constant_weight = weight != nullptr;
  if (weight == nullptr) {
    if (node.op_type == "MatMul") return "";
    const std::int64_t producer = index_.producer(node.inputs[1]);
    const bool is_quantized = producer >= 0 && graph_.nodes[static_cast<std::size_t>(producer)].op_type == "DequantizeLinear";
    return is_quantized ? "already quantized" : "its weight is computed at run time";
  }
  if (weight->dtype != DType::f32) return concat({"its weight is ", dtype_name(weight->dtype)});
  if (node.op_type == "MatMul") return "";
  const std::size_t n_axes = weight->shape.size();
  if (node.op_type == "Gemm" ? n_axes != 2 : n_axes < 3) return concat({"its weight has ", n_axes, " axes"});
  if (std::string refusal = weight_refusal(node, node.inputs[1]); !refusal.empty()) return refusal;
  std::int64_t n_outputs = weight->shape[0];
  if (node.op_type == "ConvTranspose") n_outputs = weight->shape[1] * node.attr_i("group", 1);
  if (node.op_type == "Gemm") {
    if (node.attr_i("transA", 0) != 0) return "transposes its activation";
    if (node.attr_f("alpha", 1.0f) != 1.0f || node.attr_f("beta", 1.0f) != 1.0f) return "has alpha or beta other than 1";
    n_outputs = weight->shape[node.attr_i("transB", 0) != 0 ? 0 : 1];
  }
  if (node.inputs.size() > 2 && !node.inputs[2].empty()) {
    const TensorRecord* bias = index_.initializer(node.inputs[2]);
    if (bias == nullptr || bias->dtype != DType::f32) return "its bias is no float constant";
    if (!is_vector_for(bias->shape, n_outputs)) return "its bias has more than one value per output channel";
    if (scan_min_max(bias->load().data<float>()).n_not_finite > 0) return "its bias holds NaN or infinity";
  }
  return "";
}

/// Recurrent layers and tables everywhere, ConvTranspose where the target has no integer kernel: codes make the file smaller.
bool StaticPlanner::is_weights_only(const Node& node) const {
  if (!node.domain.empty() || !selection_.refusal(node).empty()) return false;
  if (node.op_type == "LSTM" && recipe_.target == Target::onnxruntime) return false;  // may become DynamicQuantizeLSTM
  const bool is_table = node.op_type == "Gather";
  if (is_table && complete_scheme(recipe_.weight).bits < 8) return false;  // Gather takes no packed codes
  if (!is_table && node.op_type != "LSTM" && node.op_type != "GRU" && node.op_type != "ConvTranspose") return false;
  const auto [first, last] = weight_inputs(node);
  if (last <= first) return false;
  for (std::size_t k = first; k < last; ++k) {
    const TensorRecord* weight = index_.initializer(node.inputs[k]);
    if (weight == nullptr || weight->dtype != DType::f32 || n_elements(weight->shape) < kMinWeightsOnly) return false;
    if (is_table ? weight->shape.size() != 2 || node.attr_i("axis", 0) != 0 : weight->shape.size() < 3) return false;
    if (!weight_refusal(node, node.inputs[k]).empty()) return false;
  }
  return true;
}

}  // namespace bitwright
