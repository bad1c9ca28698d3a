#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "model/model.h"
#include "quant/scheme.h"
#include "tensor/tensor.h"

namespace bitwright {

/// A constant of the model as f32 values (f16, bf16 and f64 are converted).
/// Throws Error{invalid_argument} where there is none of that name, Error{unsupported} where it is no tensor of floats.
Tensor float_constant(const Model& model, std::string_view name);

/// Fits the scheme to the first node that reads the constant, as quantize does (passes/weights.h), and returns the axis that it then
/// means. Without such a node it stays as it is, channels lie along the first axis, and the last is summed over.
std::int64_t fit_to_reader(TensorScheme& scheme, const Model& model, std::string_view name, const Shape& shape);

}  // namespace bitwright
