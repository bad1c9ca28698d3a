#pragma once

#include "model/model.h"
#include "passes/plan.h"
#include "passes/select_nodes.h"
#include "passes/weight_importance.h"
#include "quant/recipe.h"

namespace bitwright {

/// Stores what insert_qdq left in float as codes, for size only: the large constant weights of nodes without a static form, or
/// out of calibration's sight (subgraphs). For Target::onnxruntime an LSTM with constant W and R becomes DynamicQuantizeLSTM;
/// everything else computes in float behind a DequantizeLinear, as by weight_only. The rows of these nodes in `plan` say so, with
/// the reason why they have no static form, and the plan gets their tensors. The messages count them.
/// Throws what weight_only throws.
PassResult store_static_rest(Model& model, const Recipe& recipe, const Selection& selection, const InputsOfWeights* inputs,
                             QuantPlan& plan);

}  // namespace bitwright
