// What fuse_integer reads of a graph's values: operands in codes, weights and biases.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "ops/refusal.h"
#include "passes/fuse_integer_patterns.h"
#include "passes/graph_edit.h"
#include "quant/rounding.h"

namespace bitwright {

namespace {

/// A float in digits would bring printf into the module.
const char* bad_scale(float scale) {
  return std::isnan(scale) ? "NaN" : scale == 0.0f ? "0" : scale < 0.0f ? "negative" : "infinite";
}

}  // namespace

std::int64_t IntegerPatterns::rank(const std::string& value) const {
  if (const TensorRecord* record = index_.initializer(value)) return static_cast<std::int64_t>(record->shape.size());
  const auto found = types_.find(value);
  if (found == types_.end() || !found->second.shape) return -1;
  return static_cast<std::int64_t>(found->second.shape->size());
}

std::optional<Shape> IntegerPatterns::shape(const std::string& value) const {
  const auto found = types_.find(value);
  if (found == types_.end() || !found->second.is_known()) return std::nullopt;
  return found->second.shape;
}

const Node* IntegerPatterns::producer(const std::string& value) const {
  const std::int64_t i = index_.producer(value);
  return i < 0 ? nullptr : &graph_.nodes[static_cast<std::size_t>(i)];
}

std::optional<std::vector<float>> IntegerPatterns::constant(const std::string& value) const {
  constexpr std::int64_t kMaxParameters = 1 << 20;
  return small_constant(index_, value, kMaxParameters);
}

bool IntegerPatterns::may_be(const std::string& value, DType dtype) const {
  const auto type = types_.find(value);
  return type == types_.end() || type->second.dtype == DType::undefined || type->second.dtype == dtype;
}

bool IntegerPatterns::is_read_once(const std::string& value) const {
  return index_.consumers(value).size() == 1 && !index_.is_graph_output(value);
}

std::optional<CodedOperand> IntegerPatterns::coded(const Node& node, const std::string& codes, const std::string& scale,
                                                   const std::string& zero_point) const {
  const auto scales = constant(scale);
  if (!scales || scales->size() != 1 || node.attr_i("block_size", 0) != 0) return std::nullopt;
  CodedOperand operand{.codes = codes, .scale = (*scales)[0]};
  // Exporters of old put a Cast to the codes' own type behind QuantizeLinear.
  for (const Node* made = producer(codes); made != nullptr && is_onnx(*made, "Cast"); made = producer(input_of(*made, 0))) {
    const auto from = types_.find(input_of(*made, 0)), to = types_.find(output_of(*made));
    if (from == types_.end() || to == types_.end() || from->second.dtype != to->second.dtype) break;
    operand.codes = input_of(*made, 0);
  }
  DType dtype = DType::u8;
  float zero = 0.0f;
  if (!zero_point.empty()) {
    const auto zero_points = constant(zero_point);
    if (!zero_points || zero_points->size() != 1) return std::nullopt;
    dtype = index_.initializer(zero_point)->dtype;
    zero = (*zero_points)[0];
  } else if (const TensorRecord* record = index_.initializer(codes)) {
    dtype = record->dtype;
  } else if (const auto type = types_.find(codes); type != types_.end()) {
    dtype = type->second.dtype;
  }
  if (dtype != DType::u8 && dtype != DType::i8) return std::nullopt;
  if (!may_be(codes, dtype)) return std::nullopt;
  if (const auto type = types_.find(scale); type != types_.end() && type->second.dtype != DType::f32) return std::nullopt;
  if (!(operand.scale > 0.0f) || !std::isfinite(operand.scale))
    refuse(node, {"the scale of ", in_quotes(codes), " is ", bad_scale(operand.scale), "; scales must be positive and finite"});
  operand.is_signed = dtype == DType::i8;
  operand.zero_point = static_cast<std::int32_t>(zero) + (operand.is_signed ? 128 : 0);
  operand.constant = index_.initializer(operand.codes);
  return operand;
}

std::optional<CodedOperand> IntegerPatterns::operand(const std::string& value) const {
  const Node* node = producer(value);
  if (node == nullptr || !is_dequantize(*node)) return std::nullopt;
  return coded(*node, input_of(*node, 0), input_of(*node, 1), input_of(*node, 2));
}

std::optional<CodedOperand> IntegerPatterns::quantized(const Node& node) const {
  if (!is_quantize(node) || node.outputs.size() != 1 || !may_be(input_of(node, 0), DType::f32)) return std::nullopt;
  return coded(node, output_of(node), input_of(node, 1), input_of(node, 2));
}

std::optional<CodedWeights> IntegerPatterns::weights(const Node& node, const std::string& codes, const std::string& scale,
                                                     const std::string& zero_point, std::int64_t axis) const {
  CodedWeights weights{.codes = codes, .record = index_.initializer(codes)};
  if (weights.record == nullptr) return std::nullopt;
  if (weights.record->dtype != DType::i8 && weights.record->dtype != DType::u8) return std::nullopt;
  const Shape& shape = weights.record->shape;
  // Longer sums could leave int32.
  const std::int64_t n_channels = axis < static_cast<std::int64_t>(shape.size()) ? shape[static_cast<std::size_t>(axis)] : 0;
  if (n_channels == 0 || n_elements(shape) / n_channels > kMaxConvU8I8K) return std::nullopt;
  const auto scales = constant(scale);
  if (!scales || scales->empty() || axis >= static_cast<std::int64_t>(shape.size()) || node.attr_i("block_size", 0) != 0)
    return std::nullopt;
  if (scales->size() != 1) {
    const std::int64_t said = is_dequantize(node) ? node.attr_i("axis", 1) : axis;
    const auto rank = static_cast<std::int64_t>(shape.size());
    if ((said < 0 ? said + rank : said) != axis ||
        static_cast<std::int64_t>(scales->size()) != shape[static_cast<std::size_t>(axis)])
      return std::nullopt;
  }
  for (const float value : *scales)
    if (!(value > 0.0f) || !std::isfinite(value))
      refuse(node, {"a scale of ", in_quotes(codes), " is ", bad_scale(value), "; scales must be positive and finite"});
  weights.scales = *scales;
  if (!zero_point.empty()) {
    const auto zero_points = constant(zero_point);
    if (!zero_points || zero_points->size() != scales->size()) return std::nullopt;
    if (index_.initializer(zero_point)->dtype != weights.record->dtype) return std::nullopt;
    if (std::any_of(zero_points->begin(), zero_points->end(), [](float zero) { return zero != 0.0f; }))
      weights.zero_points.assign(zero_points->begin(), zero_points->end());
  }
  return weights;
}

std::optional<CodedWeights> IntegerPatterns::weights(const std::string& value, std::int64_t axis) const {
  const Node* node = producer(value);
  if (node == nullptr || !is_dequantize(*node)) return std::nullopt;
  return weights(*node, input_of(*node, 0), input_of(*node, 1), input_of(*node, 2), axis);
}

bool IntegerPatterns::set_bias(const Node& node, const std::string& value, std::int64_t n, FusedGroup& group) const {
  if (value.empty()) return true;
  const Node* dequantize = producer(value);
  const bool is_coded = dequantize != nullptr && is_dequantize(*dequantize);
  const std::string& constant_name = is_coded ? input_of(*dequantize, 0) : value;
  const TensorRecord* record = index_.initializer(constant_name);
  if (record == nullptr) return false;
  const std::int64_t count = n_elements(record->shape);
  const bool is_row = record->shape.empty() || record->shape.back() == count;
  if (!is_row || (count != n && count != 1)) return false;
  const auto at = [&](std::int64_t i, std::size_t size) { return size == 1 ? 0 : static_cast<std::size_t>(i); };
  const auto scale = [&](std::int64_t i) {
    return static_cast<double>(group.inputs[0].scale) * group.weights->scales[at(i, group.weights->scales.size())];
  };
  Tensor codes(DType::i32, {n});
  const std::span<std::int32_t> to = codes.data<std::int32_t>();
  if (record->dtype == DType::i32) {
    // By the file's rules its scale is that of the accumulators; where it is not, the reals are what count.
    const std::vector<std::int64_t> from = to_i64_vector(record->load());
    std::vector<float> scales;
    if (is_coded) {
      const auto said = constant(input_of(*dequantize, 1));
      if (!said || (said->size() != 1 && static_cast<std::int64_t>(said->size()) != n)) return false;
      scales = *said;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const auto code = static_cast<double>(from[at(i, from.size())]);
      const double ratio = scales.empty() ? 1.0 : scales[at(i, scales.size())] / scale(i);
      const double moved = std::abs(ratio - 1.0) < 1e-5 ? code : round_half_even(code * ratio);
      if (!(std::abs(moved) <= 0x7fffffffp0))
        refuse(node, {"the bias ", in_quotes(value), " does not fit int32 codes of the accumulator's scale"});
      to[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(moved);
    }
  } else {
    if (record->dtype != DType::f32) return false;
    const std::vector<float> reals = to_f32_vector(record->load());
    for (std::int64_t i = 0; i < n; ++i) {
      const double code = round_half_even(reals[at(i, reals.size())] / scale(i));
      if (!(std::abs(code) <= 0x7fffffffp0))
        refuse(node, {"the bias ", in_quotes(value), " does not fit int32 codes of the accumulator's scale"});
      to[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(code);
    }
  }
  group.bias = std::move(codes);
  return true;
}

bool IntegerPatterns::fits_int32(const FusedGroup& group, std::size_t axis) const {
  const Shape& shape = group.weights->record->shape;
  const std::int64_t n = shape[axis], k = n == 0 ? 0 : n_elements(shape) / n;
  std::vector<std::int64_t> bias(static_cast<std::size_t>(n), 0);
  if (group.bias.is_defined()) bias = to_i64_vector(group.bias);
  std::int64_t largest = 0;
  for (const std::int64_t code : bias) largest = std::max(largest, std::abs(code));
  constexpr std::int64_t kMost = 0x7fffffff, kTerm = 2 * 255;  // of activations and of their zero point, each up to 255
  if (k * kTerm * 2 * 255 + largest <= kMost) return true;
  // Near the limit the weights themselves are asked.
  const Tensor weights = group.weights->record->load();
  const std::vector<std::int64_t> codes = to_i64_vector(weights);
  std::int64_t inner = 1;
  for (std::size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  std::vector<std::int64_t> sums(static_cast<std::size_t>(n), 0);
  const std::vector<std::int64_t>& zeros = group.weights->zero_points;
  const std::int64_t to_signed = weights.dtype() == DType::u8 ? 128 : 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto channel = static_cast<std::size_t>(static_cast<std::int64_t>(i) / inner % n);
    const std::int64_t zero = (zeros.empty() ? 0 : zeros[zeros.size() == 1 ? 0 : channel]) - to_signed;
    sums[channel] += std::abs(codes[i] - to_signed) + std::abs(zero);
  }
  for (std::size_t channel = 0; channel < sums.size(); ++channel)
    if (sums[channel] * kTerm + std::abs(bias[channel]) > kMost) return false;
  return true;
}

}  // namespace bitwright
