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

/// Initializers that are graph inputs too become constants: listed there they could be overridden, and runtimes would not fuse
/// them. Raises the IR version to 4, from which on they need not be listed.
PassResult freeze_initializers(Model& model);

/// Raises the model's opset to what the recipe's codes need, if it can be: 10 or 13 for static mode, 11 for dynamic, up to 25 for
/// weights only. Where a node cannot be upgraded the opset stays, and the passes use com.microsoft operators, as the message says.
/// Throws Error{unsupported} naming the node for Target::portable, and where onnxruntime has no integer operators at that opset.
PassResult raise_opset(Model& model, const Recipe& recipe);

/// Copies the model (values are shared), raises its opset where the codes ask for it, lifts constants, bypasses identities, folds
/// batch norm and per-channel constants (if the recipe says so), fuses MatMul and Add. Names of activations stay, so that
/// statistics of the input hold. Throws Error{unsupported} where the opset cannot be raised and the target is portable.
Prepared prepare_static(const Model& model, const Recipe& recipe);

}  // namespace bitwright
