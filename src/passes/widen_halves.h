#pragma once

#include "model/model.h"
#include "passes/plan.h"
#include "passes/plan_static.h"

namespace bitwright {

/// Computes what reads float16 in float32 instead, as onnxruntime does on processors: constants, inputs, outputs and the model's own
/// Casts to float16 round; between two nodes that compute, nothing does. Nodes that only move elements, and the few that
/// onnxruntime computes on float16, keep it, unless they stand alone between nodes that compute. For our engine; main graph only.
///   types   of the model's values, where known: what is not known to be float16 stays as it is
PassResult widen_halves(Model& model, const ValueTypes& types);

}  // namespace bitwright
