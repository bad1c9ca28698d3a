#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "passes/plan.h"
#include "quant/recipe.h"

namespace bitwright {

/// A model in another form, and what was done.
struct ConvertResult {
  std::shared_ptr<Model> model;
  std::int64_t n_changes = 0;
  std::vector<std::string> messages;
};

/// The float model that a quantized one stands for: weights are dequantized, QuantizeLinear and DequantizeLinear around activations
/// are removed, operators on codes become float operators, and tables of levels are looked up. Weights are made when they are
/// written or run, so that memory holds one at a time. A float model comes back as it is, with n_changes 0. What cannot be told in
/// float stays, and a message says why.
ConvertResult dequantize_model(const Model& model);

/// The same quantized model in the other form: `qdq` or `qoperator`. Throws Error{unsupported} where the opset cannot be raised to
/// what the form needs.
ConvertResult convert_model(const Model& model, QuantFormat format);

}  // namespace bitwright
