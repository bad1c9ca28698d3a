#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "model/model.h"
#include "quant/recipe.h"

namespace bitwright {

enum class StaticKind { product, mix, map, bound, pass, split };

struct StaticOp {
  std::string_view name;
  StaticKind kind;
  bool is_integer_in_onnxruntime;
  std::int64_t since;
};

/// The row of static_ops.inc, or nullptr.
const StaticOp* find_static_op(const Node& node);

/// "" if the target gains by codes around this node as its attributes stand; otherwise why it stays in float.
/// `opset` is that of the written model.
std::string target_refusal(const Node& node, const StaticOp& op, Target target, std::int64_t opset);

/// Why an operator that static_ops.inc does not list stays in float.
std::string float_reason(const Node& node);

/// Results whose range follows from the operator: Sigmoid, Softmax and HardSigmoid [0, 1], Tanh [-1, 1]. With 8 unsigned bits
/// [0, 1] has scale 1/255 rather than onnxruntime's 1/256, so that a gate of exactly 1 has a code and does not dim what it opens.
std::optional<RealRange> known_range(const Node& node);

/// The inputs of the node that may carry codes of activations.
bool is_activation_input(const Node& node, const StaticOp& op, std::size_t input);

/// The inputs [first, last) that hold weights: 0 of Gather (its table), 1 and 2 of LSTM and GRU, 1 of layers.
std::pair<std::size_t, std::size_t> weight_inputs(const Node& node);

/// Conv with one input channel per group and several groups.
bool is_depthwise(const Node& node, const Shape& weight);

}  // namespace bitwright
