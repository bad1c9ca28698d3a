#include "passes/static_ops.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/text.h"

namespace bitwright {

namespace {

constexpr bool integer = true;
constexpr bool floating = false;

constexpr StaticOp kStaticOps[] = {
#define STATIC_OP(name, kind, onnxruntime, since) {#name, StaticKind::kind, onnxruntime, since},
#include "passes/static_ops.inc"
#undef STATIC_OP
};

}  // namespace

const StaticOp* find_static_op(const Node& node) {
  if (!node.domain.empty()) return nullptr;
  for (const StaticOp& op : kStaticOps)
    if (op.name == node.op_type) return &op;
  return nullptr;
}

std::string target_refusal(const Node& node, const StaticOp& op, Target target, std::int64_t opset) {
  if (opset < op.since) return concat({node.op_type, " takes no 8-bit codes before opset ", op.since});
  if (op.name == "Resize" && node.attr_s("mode", "nearest") != "nearest") {
    // Cubic weights are negative in places: the result leaves the input's range.
    if (node.attr_s("mode", "nearest") == "cubic") return "cubic Resize overshoots the range of its input";
    if (target != Target::portable) return "onnxruntime computes linear Resize in float between the pairs";
  }
  if (op.kind != StaticKind::bound && !op.is_integer_in_onnxruntime && target != Target::portable)
    return concat({"onnxruntime has no integer kernel for ", node.op_type});
  return "";
}

std::string float_reason(const Node& node) {
  static const std::map<std::string_view, std::string_view> reasons = {
      {"LayerNormalization", "normalization needs the precision of float"},
      {"InstanceNormalization", "normalization needs the precision of float"},
      {"GroupNormalization", "normalization needs the precision of float"},
      {"RMSNormalization", "normalization needs the precision of float"},
      {"BatchNormalization", "does not follow a layer that it could be folded into"},
      {"QuantizeLinear", "already quantized"},
      {"DequantizeLinear", "already quantized"},
      {"DynamicQuantizeLinear", "already quantized"},
      {"QLinearConv", "already quantized"},
      {"QLinearMatMul", "already quantized"},
      {"ConvInteger", "already quantized"},
      {"MatMulInteger", "already quantized"},
      {"If", "holds subgraphs, whose values calibration does not see"},
      {"Loop", "holds subgraphs, whose values calibration does not see"},
      {"Scan", "holds subgraphs, whose values calibration does not see"},
      {"Shape", "computes shapes, not values"},
      {"ConstantOfShape", "computes shapes, not values"},
      {"Constant", "a constant"},
      {"Cast", "changes the element type"},
      {"RNN", "recurrent: no integer form here"},
  };
  if (node.domain.empty())
    if (const auto found = reasons.find(node.op_type); found != reasons.end()) return std::string(found->second);
  return concat({"no integer form of ", (node.domain.empty() ? "" : concat({node.domain, "."})), node.op_type});
}

std::optional<RealRange> known_range(const Node& node) {
  if (!node.domain.empty()) return std::nullopt;
  if (node.op_type == "Sigmoid" || node.op_type == "HardSigmoid") return RealRange{0.0f, 1.0f};
  // onnxruntime multiplies by floor(1 / scale): the scale must not be above 1/255, as the nearest float to it is.
  if (node.op_type == "Softmax") return RealRange{0.0f, std::nextafter(1.0f, 0.0f)};
  if (node.op_type == "Tanh") return RealRange{-1.0f, 1.0f};
  return std::nullopt;
}

bool is_activation_input(const Node& node, const StaticOp& op, std::size_t input) {
  if (input >= node.inputs.size() || node.inputs[input].empty()) return false;
  if (op.name == "Where") return input == 1 || input == 2;
  if (op.name == "MatMul") return input < 2;
  if (op.kind == StaticKind::mix) return true;
  return input == 0;
}

std::pair<std::size_t, std::size_t> weight_inputs(const Node& node) {
  const std::size_t first = node.op_type == "Gather" ? 0 : 1;
  const std::size_t last = node.op_type == "LSTM" || node.op_type == "GRU" ? 3 : first + 1;
  return {first, std::min(last, node.inputs.size())};
}

bool is_depthwise(const Node& node, const Shape& weight) {
  return node.op_type == "Conv" && weight.size() >= 3 && weight[1] == 1 && node.attr_i("group", 1) > 1;
}

}  // namespace bitwright
