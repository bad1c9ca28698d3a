#pragma once

#include <memory>

#include "model/model.h"
#include "passes/plan.h"
#include "passes/plan_static.h"
#include "quant/recipe.h"

namespace bitwright {

/// A copy of a model in the shape that static quantization plans on, and what was done to it.
struct Prepared {
  std::shared_ptr<Model> model;
  ValueTypes types;
  PassResult result;
};

/// Copies the model (values are shared), raises its opset where the codes ask for it, lifts constants, bypasses identities, folds
/// batch norm and per-channel constants (if the recipe says so), fuses MatMul and Add. Names of activations stay, so that
/// statistics of the input hold. Throws Error{unsupported} where the opset cannot be raised and the target is portable.
Prepared prepare_static(const Model& model, const Recipe& recipe);

}  // namespace bitwright
