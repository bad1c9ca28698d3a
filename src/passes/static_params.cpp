#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "passes/graph_edit.h"
#include "passes/static_planner.h"
#include "quant/encodings/encoding.h"
#include "quant/quantize.h"

namespace bitwright {

namespace {

constexpr std::int64_t kNoAxis = -1;

/// The axis of output channels of a layer's weight; kNoAxis where one scale must serve all of them.
std::int64_t channel_axis(const Node& node, const Shape& weight) {
  if (node.op_type == "Conv") return 0;
  if (node.op_type == "ConvTranspose") return node.attr_i("group", 1) == 1 ? 1 : kNoAxis;
  if (node.op_type == "Gemm") return node.attr_i("transB", 0) != 0 ? 0 : 1;
  if (node.op_type == "MatMul") return weight.size() == 2 ? 1 : kNoAxis;
  return 1;  // LSTM and GRU: [directions, gates * hidden, inputs]; tables of Gather: [rows, columns]
}

QuantParams activation_params(RealRange range, const TensorScheme& scheme) {
  const CodeRange codes = code_range(scheme.dtype, scheme.narrow_range);
  const ScaleZeroPoint chosen = choose_activation_scale(range, codes, scheme.is_symmetric);
  return {scheme.dtype, codes, PerTensor{}, {chosen.scale}, {chosen.zero_point}};
}

}  // namespace

/// The range that the value's scale must cover; nothing where calibration has not seen it.
std::optional<RealRange> StaticPlanner::range_of(const std::string& value) const {
  const std::int64_t producer = index_.producer(value);
  if (producer >= 0)
    if (const std::optional<RealRange> known = known_range(graph_.nodes[static_cast<std::size_t>(producer)])) return known;
  if (ranges_ == nullptr) return RealRange{0.0f, 1.0f};
  const auto found = ranges_->find(value);
  return found == ranges_->end() || !found->second.refusal.empty() ? std::nullopt : std::optional(found->second.range);
}

/// Which value's scale each quantized value takes: itself, or the one that an operator that only moves codes started from.
std::map<std::string, std::string> StaticPlanner::share_scales() const {
  std::map<std::string, std::string> origin;
  for (const auto& [value, plan] : values_) origin[value] = value;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const State& state = states_[i];
    if (!state.is_quantized || (state.op->kind != StaticKind::pass && state.op->kind != StaticKind::split)) continue;
    for (const std::string& output : graph_.nodes[i].outputs)
      if (values_.contains(output)) origin[output] = origin.at(graph_.nodes[i].inputs[0]);
  }
  // A Concat's inputs that nobody else reads: rounding to a scale of their own and again to the result's would cost accuracy.
  for (std::size_t i = states_.size(); i-- > 0;) {
    const Node& node = graph_.nodes[i];
    if (!states_[i].is_quantized || node.op_type != "Concat" || states_[i].absorbs >= 0) continue;
    const std::string& result = origin.at(node.outputs[0]);
    for (const std::size_t k : activation_inputs(i)) {
      const std::string from = origin.at(node.inputs[k]);
      const std::int64_t producer = index_.producer(from);
      if (from == result || producer < 0 || !values_.at(from).is_made_by_quantized) continue;
      if (known_range(graph_.nodes[static_cast<std::size_t>(producer)])) continue;
      const bool is_private = std::all_of(origin.begin(), origin.end(), [&](const auto& row) {
        if (row.second != from) return true;
        const std::vector<NodeInput>& consumers = values_.at(row.first).consumers;
        return std::all_of(consumers.begin(), consumers.end(), [&](const NodeInput& consumer) {
          if (consumer.node == node_key(node)) return true;
          const auto moves = [&](std::int64_t reader) {
            const State& state = states_[static_cast<std::size_t>(reader)];
            return state.is_quantized && (state.op->kind == StaticKind::pass || state.op->kind == StaticKind::split);
          };
          const auto readers = index_.consumers(row.first);
          return !consumer.node.empty() && std::all_of(readers.begin(), readers.end(), moves);
        });
      });
      if (!is_private) continue;
      for (auto& [value, shared] : origin)
        if (shared == from) shared = result;
    }
  }
  return origin;
}

void StaticPlanner::plan_activations(QuantPlan& plan) const {
  const std::map<std::string, std::string> origin = share_scales();
  // The members of a group that make values of their own; those that only move codes stay within their range.
  std::map<std::string, RealRange> ranges;
  std::map<std::string, float> highest;  // of absorbed Clips
  for (const auto& [value, root] : origin) {
    const std::int64_t producer = index_.producer(value);
    const State* maker = producer >= 0 ? &states_[static_cast<std::size_t>(producer)] : nullptr;
    const bool only_moves =
        maker != nullptr && maker->is_quantized && (maker->op->kind == StaticKind::pass || maker->op->kind == StaticKind::split);
    if (only_moves) continue;
    const RealRange seen = *range_of(value);
    RealRange& range = ranges[root];
    range = {std::min(range.rmin, seen.rmin), std::max(range.rmax, seen.rmax)};
    if (maker == nullptr || maker->absorbed_into < 0 || graph_.nodes[static_cast<std::size_t>(producer)].op_type != "Clip")
      continue;
    const Node& clip = graph_.nodes[static_cast<std::size_t>(producer)];
    const auto bound = clip.inputs.size() > 2 ? small_constant(index_, clip.inputs[2], 1) : std::nullopt;
    const float max = bound ? (*bound)[0] : clip.attr_f("max", std::numeric_limits<float>::max());
    highest[root] = highest.contains(root) ? std::max(highest[root], max) : max;
  }
  const auto add = [&](const std::string& value) {
    const auto found = values_.find(value);
    if (found == values_.end()) return;
    const std::string& root = origin.at(value);
    QuantParams params = activation_params(ranges.at(root), recipe_.activation);
    // Saturation stands for the Clip only if the highest code lies within its bound, to the last bit.
    if (const auto max = highest.find(root); max != highest.end() && ranges.at(root).rmax <= max->second)
      while (params.scales[0] * static_cast<float>(params.range.qmax - params.zero_points[0]) > max->second)
        params.scales[0] = std::nextafter(params.scales[0], 0.0f);
    params.check(value);
    plan.tensors.push_back({value, TensorRole::activation, std::move(params), found->second.consumers});
  };
  for (const ValueInfo& input : graph_.inputs) add(input.name);
  for (const Node& node : graph_.nodes)
    for (const std::string& output : node.outputs) add(output);
}

/// Constants among activations (an addend, a factor) take the element type of activations and one scale.
void StaticPlanner::plan_constants(QuantPlan& plan) const {
  std::map<std::string, std::size_t> rows;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const State& state = states_[i];
    if (!state.is_quantized || state.absorbed_into >= 0) continue;
    const Node& node = graph_.nodes[i];
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const bool is_weight = state.op->kind == StaticKind::product && k > 0;
      if (!is_activation_input(node, *state.op, k) || !is_constant(node.inputs[k]) || is_weight) continue;
      const auto [row, is_new] = rows.emplace(node.inputs[k], plan.tensors.size());
      if (is_new) {
        const Tensor values = index_.initializer(node.inputs[k])->load();
        plan.tensors.push_back({node.inputs[k],
                                TensorRole::weight,
                                activation_params(scan_min_max(values.data<float>()).range(), recipe_.activation),
                                {}});
      }
      plan.tensors[row->second].consumers.push_back({node_key(node), static_cast<std::int64_t>(k)});
    }
  }
}

void StaticPlanner::plan_weights(QuantPlan& plan) const {
  struct Layer {
    std::size_t node;
    std::size_t weight_input;
  };
  std::vector<std::string> order;
  std::map<std::string, std::vector<Layer>> layers;  // by weight: tied weights get codes once
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const State& state = states_[i];
    const Node& node = graph_.nodes[i];
    if (!state.is_weights_only && !(state.is_quantized && state.is_layer())) continue;
    const auto [first, last] = weight_inputs(node);
    for (std::size_t k = first; k < last; ++k) {
      if (!layers.contains(node.inputs[k])) order.push_back(node.inputs[k]);
      layers[node.inputs[k]].push_back({i, k});
    }
  }
  std::map<std::string, QuantParams> activations;
  for (const TensorPlan& tensor : plan.tensors)
    if (tensor.role == TensorRole::activation) activations[tensor.value] = tensor.params;

  std::size_t n_done = 0;
  for (const std::string& name : order) {
    tell_progress(on_progress_, "quantize weights", n_done++, order.size());
    const TensorRecord& record = *index_.initializer(name);
    const std::vector<Layer>& users = layers.at(name);
    std::int64_t axis = channel_axis(graph_.nodes[users[0].node], record.shape);
    for (const Layer& user : users)
      if (channel_axis(graph_.nodes[user.node], record.shape) != axis) axis = kNoAxis;
    TensorScheme scheme = complete_scheme(recipe_.weight);
    if (axis == kNoAxis) scheme.grain = TensorScheme::Grain::per_tensor;
    const WeightInputs* inputs = find_inputs(inputs_, "", name);
    TensorPlan weight{name,
                      TensorRole::weight,
                      choose_params(record.load(), scheme, std::max<std::int64_t>(axis, 0), nullptr,
                                    importance_of(inputs, record.shape), inputs == nullptr ? 0 : inputs->reduction),
                      {}};

    // Biases raise the scales until the worst of them fits; only then are they quantized.
    std::vector<std::pair<const Layer*, std::vector<float>>> biases;
    for (const Layer& user : users) {
      const Node& node = graph_.nodes[user.node];
      weight.consumers.push_back({node_key(node), static_cast<std::int64_t>(user.weight_input)});
      if (states_[user.node].is_weights_only || node.op_type == "MatMul" || node.inputs.size() < 3 || node.inputs[2].empty())
        continue;
      std::vector<float> bias = to_f32_vector(index_.initializer(node.inputs[2])->load());
      const std::int64_t n = node.op_type == "ConvTranspose"
                                 ? record.shape[1] * node.attr_i("group", 1)
                                 : record.shape[node.op_type == "Gemm" && node.attr_i("transB", 0) == 0 ? 1 : 0];
      if (static_cast<std::int64_t>(bias.size()) != n) bias.assign(static_cast<std::size_t>(n), bias.at(0));
      const QuantizedBias fitted = quantize_bias(bias, activations.at(node.inputs[0]).scales[0], weight.params.scales);
      weight.params.scales = fitted.weight_scales;
      biases.emplace_back(&user, std::move(bias));
    }
    weight.params.check(name);
    const QuantParams weight_params = weight.params;
    plan.tensors.push_back(std::move(weight));
    for (const auto& [user, bias] : biases) {
      const Node& node = graph_.nodes[user->node];
      const QuantizedBias fitted = quantize_bias(bias, activations.at(node.inputs[0]).scales[0], weight_params.scales);
      QuantParams params{DType::i32,
                         {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()},
                         fitted.scales.size() == 1 ? Granularity(PerTensor{}) : Granularity(PerChannel{0}),
                         fitted.scales,
                         std::vector<std::int32_t>(fitted.scales.size(), 0)};
      plan.tensors.push_back({node.inputs[2], TensorRole::bias, std::move(params), {{node_key(node), 2}}});
    }
  }
}

}  // namespace bitwright
