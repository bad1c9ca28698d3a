#include "passes/dequantize_node.h"

#include <algorithm>

#include "base/error.h"
#include "passes/coded_constant.h"
#include "passes/weight_only.h"
#include "quant/reference.h"

namespace bitwright {

std::int64_t dequantize_opset(const TensorScheme& scheme, Target target) {
  using enum Encoding;
  constexpr std::int64_t kTableOpset = 13;  // Cast, Gather, Reshape, Mul as they are written
  if (!has_dequantize_form(scheme, target)) return kTableOpset;
  using enum TensorScheme::Grain;
  const bool is_block = scheme.grain == per_block || scheme.grain == per_token;  // a token is a block as long as its axis
  if (scheme.scale_form == ScaleForm::e8m0 && target == Target::portable) return 24;
  if (scheme.encoding == f4e2m1) return 23;
  if (scheme.encoding == f8e4m3fn || scheme.encoding == f8e5m2) return is_block ? 21 : 19;
  const int bits = scheme.bits != 0 ? scheme.bits : dtype_bits(scheme.dtype);
  if (bits <= 2) return 25;
  if (bits <= 4 || bits > 8 || is_block) return 21;
  return scheme.grain == per_channel ? 13 : 10;
}

std::string dequantize_domain(Model& model, const TensorScheme& scheme, Target target) {
  const std::int64_t needed = dequantize_opset(scheme, target);
  if (model.opset() >= needed) return "";
  const std::string finding =
      concat({"the model's opset ", model.opset(), " has no DequantizeLinear for these codes, which opset ", needed, " brings"});
  if (target == Target::portable)
    throw_error(ErrorCode::unsupported, {finding, "; upgrade the model, or choose an onnxruntime target"});
  if (scheme.grain == TensorScheme::Grain::per_block || scheme.grain == TensorScheme::Grain::per_token)
    throw_error(ErrorCode::unsupported, {finding, "; upgrade the model, or choose a scale for each channel"});
  if (dtype_bits(scheme.dtype) == 2) throw_error(ErrorCode::unsupported, {finding, "; upgrade the model, or choose 4 bits"});
  if (model.opset("com.microsoft") == 0) model.set_opset("com.microsoft", 1);
  return "com.microsoft";
}

Tensor scale_tensor(const QuantParams& params, const Shape& shape) {
  return Tensor::of<float>(scale_shape(params.granularity, shape), std::span<const float>(params.scales));
}

Tensor zero_point_tensor(const QuantParams& params, const Shape& shape) {
  Tensor tensor(params.dtype, scale_shape(params.granularity, shape));
  for (std::size_t i = 0; i < params.zero_points.size(); ++i)
    reference::write_code(tensor.bytes(), params.dtype, static_cast<std::int64_t>(i), params.zero_points[i]);
  return tensor;
}

DequantizedConstant dequantized_constant(const std::string& value, const Shape& shape, const QuantParams& params, Values codes,
                                         const std::string& domain, NameAllocator& names) {
  params.check(value);
  DequantizedConstant made;
  TensorRecord record;
  record.name = names.fresh(concat({value, "_quantized"}));
  record.dtype = params.dtype;
  record.shape = shape;
  record.values = std::move(codes);
  made.node.name = names.fresh(concat({value, "_DequantizeLinear"}));
  made.node.op_type = "DequantizeLinear";
  made.node.domain = domain;
  made.node.inputs = {record.name, names.fresh(concat({value, "_scale"})), names.fresh(concat({value, "_zero_point"}))};
  made.node.outputs = {value};
  if (const auto* channel = std::get_if<PerChannel>(&params.granularity)) made.node.set(Attribute::of_int("axis", channel->axis));
  if (const auto* block = std::get_if<PerBlock>(&params.granularity)) {
    made.node.set(Attribute::of_int("axis", block->axis));
    made.node.set(Attribute::of_int("block_size", block->block_size));
  }
  made.records.push_back(std::move(record));
  made.records.push_back(TensorRecord::of(made.node.inputs[1], scale_tensor(params, shape)));
  made.records.push_back(TensorRecord::of(made.node.inputs[2], zero_point_tensor(params, shape)));
  return made;
}

}  // namespace bitwright
