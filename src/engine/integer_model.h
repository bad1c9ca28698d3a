#pragma once

#include <memory>

#include "engine/session.h"
#include "model/model.h"

namespace bitwright {

/// A copy of the model for our engine alone, with its quantized parts as integer operators (see passes/fuse_integer.h) unless the
/// arithmetic is `simulated`, and float parts fused where runs need not be deterministic (passes/fuse_float.h); null where neither
/// applies.
std::shared_ptr<const Model> integer_model(const Model& model, const SessionOptions& options);

}  // namespace bitwright
