#include <algorithm>

#include "base/error.h"
#include "passes/graph_edit.h"
#include "passes/static_planner.h"

namespace bitwright {

std::vector<std::size_t> StaticPlanner::activation_inputs(std::size_t i) const {
  std::vector<std::size_t> inputs;
  const Node& node = graph_.nodes[i];
  for (std::size_t k = 0; k < node.inputs.size(); ++k)
    if (is_activation_input(node, *states_[i].op, k) && !is_constant(node.inputs[k])) inputs.push_back(k);
  return inputs;
}

/// The node whose outputs the integer operator really makes: the Relu or bias Add that it absorbs, or itself.
std::size_t StaticPlanner::end_of(std::size_t i) const {
  return states_[i].absorbs >= 0 ? static_cast<std::size_t>(states_[i].absorbs) : i;
}

/// Relu, and Clip from 0, right behind an operator with a scale of its own: the codes of their result begin at real 0, so
/// saturation does their work. Other lower bounds would need a zero point that stands exactly on them.
void StaticPlanner::absorb_bounds() {
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    State& state = states_[i];
    if (state.op == nullptr || state.op->kind != StaticKind::bound || !state.refusal.empty()) continue;
    const auto refuse_alone = [&](const std::string& reason) {
      if (recipe_.target != Target::portable) state.refusal = reason;
    };
    const std::int64_t head = index_.producer(node.inputs[0]);
    const bool is_alone = head >= 0 && index_.consumers(node.inputs[0]).size() == 1 && !index_.is_graph_output(node.inputs[0]);
    if (!is_alone) {
      refuse_alone("onnxruntime computes it in float: others read its input too, so it cannot be absorbed");
      continue;
    }
    State& before = states_[static_cast<std::size_t>(head)];
    const bool has_own_scale =
        before.op != nullptr && before.refusal.empty() && before.absorbs < 0 &&
        (before.op->kind == StaticKind::product || before.op->kind == StaticKind::mix || before.op->kind == StaticKind::map);
    if (!has_own_scale) {
      refuse_alone("does not directly follow a quantized operator that could absorb it");
      continue;
    }
    bool starts_at_zero = true;
    if (node.op_type == "Clip") {
      const auto bound = [&](std::size_t k, std::string_view attribute) {
        return k < node.inputs.size() && !node.inputs[k].empty() ? small_constant(index_, node.inputs[k], 1)
               : node.has(attribute)                             ? std::optional(std::vector<float>{node.attr_f(attribute, 0.0f)})
                                                                 : std::nullopt;
      };
      const auto lowest = bound(1, "min");
      const bool has_varying_max = node.inputs.size() > 2 && !node.inputs[2].empty() && !is_constant(node.inputs[2]);
      const auto highest = bound(2, "max");
      starts_at_zero = lowest && lowest->size() == 1 && (*lowest)[0] == 0.0f && !has_varying_max &&
                       (!highest || (highest->size() == 1 && (*highest)[0] > 0.0f));
    }
    if (!starts_at_zero || recipe_.activation.is_symmetric) {
      refuse_alone(starts_at_zero ? "symmetric codes do not begin at 0, so they cannot absorb it"
                                  : "only bounds from 0 can be absorbed");
      continue;
    }
    state.absorbed_into = head;
    before.absorbs = static_cast<std::int64_t>(i);
    state.note =
        concat({"absorbed: the codes of ", graph_.nodes[static_cast<std::size_t>(head)].label(), " saturate at its bounds"});
  }
}

bool StaticPlanner::has_quantized_producer(std::size_t i) const {
  for (const std::size_t k : activation_inputs(i)) {
    const std::int64_t producer = index_.producer(graph_.nodes[i].inputs[k]);
    if (producer >= 0 && states_[static_cast<std::size_t>(producer)].is_quantized) return true;
  }
  return false;
}

/// True if the node is quantized and reads this value as codes.
bool StaticPlanner::carries_quantized(std::size_t node, std::string_view value) const {
  if (!states_[node].is_quantized) return false;
  for (const std::size_t k : activation_inputs(node))
    if (graph_.nodes[node].inputs[k] == value) return true;
  return false;
}

bool StaticPlanner::has_quantized_consumer(std::size_t i) const {
  for (const std::string& value : graph_.nodes[end_of(i)].outputs)
    for (const std::int64_t consumer : index_.consumers(value))
      if (carries_quantized(static_cast<std::size_t>(consumer), value)) return true;
  return false;
}

/// The greatest set of nodes in which everything but the layers themselves lies between quantized nodes.
void StaticPlanner::keep_regions() {
  for (State& state : states_) state.is_quantized = state.op != nullptr && state.refusal.empty();
  const auto visit = [&](std::size_t i) {
    State& state = states_[i];
    if (!state.is_quantized) return false;
    if (state.absorbed_into >= 0) {
      state.is_quantized = states_[static_cast<std::size_t>(state.absorbed_into)].is_quantized;
      return !state.is_quantized;
    }
    if (state.is_layer() || state.is_asked_for) return false;
    state.is_quantized = has_quantized_producer(i) && has_quantized_consumer(i);
    return !state.is_quantized;
  };
  for (bool is_changed = true; is_changed;) {
    is_changed = false;
    for (std::size_t i = 0; i < states_.size(); ++i) is_changed = visit(i) || is_changed;
    for (std::size_t i = states_.size(); i-- > 0;) is_changed = visit(i) || is_changed;
  }
}

/// MatMul, then Add of one constant per column, then a quantized consumer: onnxruntime makes one integer operator with an
/// int32 bias of them as long as the value between them is float.
void StaticPlanner::absorb_biases() {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (node.op_type != "MatMul" || !states_[i].is_quantized || !states_[i].has_constant_weight || states_[i].absorbs >= 0)
      continue;
    const auto consumers = index_.consumers(node.outputs[0]);
    if (consumers.size() != 1 || index_.is_graph_output(node.outputs[0])) continue;
    const auto j = static_cast<std::size_t>(consumers[0]);
    State& add = states_[j];
    if (graph_.nodes[j].op_type != "Add" || !add.is_quantized || add.absorbs >= 0) continue;
    const std::string& other = graph_.nodes[j].inputs[graph_.nodes[j].inputs[0] == node.outputs[0] ? 1 : 0];
    const TensorRecord* bias = index_.initializer(other);
    const Shape& weight = index_.initializer(node.inputs[1])->shape;
    if (bias == nullptr || weight.size() != 2 || bias->shape != Shape{weight[1]} || !has_quantized_consumer(j)) continue;
    add.absorbed_into = static_cast<std::int64_t>(i);
    states_[i].absorbs = static_cast<std::int64_t>(j);
    add.note = concat({"absorbed: the bias of ", node.label()});
  }
}

/// Gemm and MatMul can give float; everything else needs codes behind it to become an integer operator.
bool StaticPlanner::is_output_quantized(std::size_t i) const {
  const Node& node = graph_.nodes[i];
  const bool can_give_float = states_[i].is_layer() && (node.op_type == "Gemm" || node.op_type == "MatMul");
  if (!can_give_float || has_quantized_consumer(i)) return true;
  if (node.op_type == "Gemm" || recipe_.target == Target::portable) return false;
  // onnxruntime would fuse MatMul and a float Add into a float Gemm that dequantizes its weights on every run.
  for (const std::int64_t consumer : index_.consumers(node.outputs[0]))
    if (graph_.nodes[static_cast<std::size_t>(consumer)].op_type == "Add") return true;
  return false;
}

void StaticPlanner::collect_values() {
  values_.clear();
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const State& state = states_[i];
    if (!state.is_quantized || state.absorbed_into >= 0) continue;
    const Node& node = graph_.nodes[i];
    for (const std::size_t k : activation_inputs(i)) values_[node.inputs[k]];
    if (!is_output_quantized(i)) continue;
    const Node& end = graph_.nodes[end_of(i)];
    for (std::size_t k = 0; k < end.outputs.size(); ++k)
      if (!end.outputs[k].empty() && (k == 0 || state.op->kind == StaticKind::split))
        values_[end.outputs[k]].is_made_by_quantized = true;
  }
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const Node& node = graph_.nodes[i];
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const auto found = values_.find(node.inputs[k]);
      if (found == values_.end()) continue;
      const bool reads_codes =
          states_[i].is_quantized && states_[i].absorbed_into < 0 && is_activation_input(node, *states_[i].op, k);
      if (found->second.is_made_by_quantized || reads_codes)
        found->second.consumers.push_back({node_key(node), static_cast<std::int64_t>(k)});
    }
  }
  for (auto& [value, plan] : values_)
    if (plan.is_made_by_quantized && index_.is_graph_output(value)) plan.consumers.push_back({"", 0});
}

/// Takes back nodes whose values nobody calibrated; true if there were any.
bool StaticPlanner::drop_uncalibrated() {
  if (ranges_ == nullptr) return false;
  bool is_changed = false;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    State& state = states_[i];
    if (!state.is_quantized || state.absorbed_into >= 0) continue;
    std::vector<std::string> needed;
    for (const std::size_t k : activation_inputs(i)) needed.push_back(graph_.nodes[i].inputs[k]);
    for (const std::string& output : graph_.nodes[end_of(i)].outputs) needed.push_back(output);
    for (const std::string& value : needed)
      if (values_.contains(value) && state.refusal.empty() && !range_of(value)) {
        const auto seen = ranges_->find(value);
        state.refusal = concat(
            {"value ", in_quotes(value), " ", (seen == ranges_->end() ? "was not seen in calibration" : seen->second.refusal)});
        is_changed = true;
      }
  }
  return is_changed;
}

}  // namespace bitwright
