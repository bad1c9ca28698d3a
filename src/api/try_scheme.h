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

/// The axis that a scheme's granularity means: what the first node that reads the constant takes as channels (per_channel), or
/// sums along (the others); without such a node the first axis, or the last.
std::int64_t scheme_axis(const Model& model, std::string_view name, const Shape& shape, TensorScheme::Grain grain);

}  // namespace bitwright
