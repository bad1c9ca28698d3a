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

/// The axis that a scheme means (passes/weights.h) for the first node that reads the constant; without such a node channels lie along
/// the first axis, and the last is summed over.
std::int64_t scheme_axis(const Model& model, std::string_view name, const Shape& shape, const TensorScheme& scheme);

}  // namespace bitwright
