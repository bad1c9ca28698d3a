#pragma once

#include "model/model.h"
#include "passes/plan.h"
#include "quant/recipe.h"

namespace bitwright {

/// Writes a plan of plan_static into the main graph.
///
/// Activations: one QuantizeLinear / DequantizeLinear pair per value, read by the planned consumers. Graph outputs keep their name
/// and stay float: the pair stands in front of them. Weights and biases: codes (int32 for biases, scale = input scale * weight
/// scale, zero point 0) behind a DequantizeLinear in front of their first consumer. A bias that several layers share is copied,
/// since each needs scales of its own; tied weights are stored once. Float constants that nobody reads any more are dropped.
/// Equal scales and zero points are stored once. Where the opset is too low for the codes, the onnxruntime targets get
/// com.microsoft operators; Target::portable throws Error{unsupported}.
PassResult insert_qdq(Model& model, const QuantPlan& plan, const Recipe& recipe);

}  // namespace bitwright
