#pragma once

#include <string>
#include <vector>

#include "model/model.h"
#include "quant/quant_params.h"
#include "quant/recipe.h"

namespace bitwright {

/// Where DequantizeLinear comes from: "" or "com.microsoft", by the model's opset, the codes and the target. Imports the domain.
/// Throws Error{unsupported} where the target has neither.
std::string dequantize_domain(Model& model, const TensorScheme& scheme, Target target);

/// The nodes and records that stand for a constant of name `value`: value_quantized, value_scale, value_zero_point.
struct DequantizedConstant {
  Node node;
  std::vector<TensorRecord> records;
};
DequantizedConstant dequantized_constant(const std::string& value, const Shape& shape, const QuantParams& params, Values codes,
                                         const std::string& domain, NameAllocator& names);

/// Scales and zero points as tensors, in the shape that DequantizeLinear wants.
Tensor scale_tensor(const QuantParams& params, const Shape& shape);
Tensor zero_point_tensor(const QuantParams& params, const Shape& shape);

}  // namespace bitwright
