#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "passes/plan_static.h"
#include "passes/static_ops.h"

namespace bitwright {

/// The steps of plan_static, each in a file of its own: candidates, regions, parameters.
class StaticPlanner {
 public:
  StaticPlanner(const Model& model, const Recipe& recipe, const Selection& selection, const ValueTypes& types,
                const ValueRanges* ranges, const InputsOfWeights* inputs, const OnProgress& on_progress);
  QuantPlan plan();

 private:
  struct State {
    const StaticOp* op = nullptr;
    std::string refusal;  // why the node stays in float; empty: it may be quantized
    std::string note;     // what to say of a quantized node
    bool is_asked_for = false;
    bool is_quantized = false;
    bool is_weights_only = false;
    std::int64_t absorbed_into = -1;  // the node whose result this one's saturation or bias belongs to
    std::int64_t absorbs = -1;        // the way back
    bool is_layer() const { return op != nullptr && op->kind == StaticKind::product && has_constant_weight; }
    bool has_constant_weight = false;
  };

  // static_candidates.cpp
  void find_candidates();
  std::string refusal_of(const Node& node, State& state) const;
  std::string product_refusal(const Node& node, State& state) const;
  std::string value_refusal(const Node& node, const StaticOp& op) const;
  std::string weight_refusal(const Node& node, std::string_view weight) const;
  bool is_weights_only(const Node& node) const;

  // static_regions.cpp
  void absorb_bounds();
  void keep_regions();
  bool has_quantized_producer(std::size_t i) const;
  bool has_quantized_consumer(std::size_t i) const;
  void absorb_biases();
  bool is_output_quantized(std::size_t i) const;
  void collect_values();
  bool drop_uncalibrated();

  // static_params.cpp
  void plan_activations(QuantPlan& plan) const;
  void plan_constants(QuantPlan& plan) const;
  void plan_weights(QuantPlan& plan) const;
  std::map<std::string, std::string> share_scales() const;
  std::optional<RealRange> range_of(const std::string& value) const;

  bool is_constant(std::string_view value) const { return index_.initializer(value) != nullptr; }
  std::vector<std::size_t> activation_inputs(std::size_t i) const;
  bool carries_quantized(std::size_t node, std::string_view value) const;
  std::size_t end_of(std::size_t i) const;

  const Model& model_;
  const Graph& graph_;
  const Recipe& recipe_;
  const Selection& selection_;
  const ValueTypes& types_;
  const ValueRanges* ranges_;
  const InputsOfWeights* inputs_;
  const OnProgress& on_progress_;
  GraphIndex index_;
  std::vector<State> states_;
  struct ValuePlan {
    bool is_made_by_quantized = false;  // then every consumer reads the dequantized value
    std::vector<NodeInput> consumers;
  };
  std::map<std::string, ValuePlan> values_;
};

}  // namespace bitwright
