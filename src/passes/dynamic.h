#pragma once

#include "model/model.h"
#include "passes/planned_edit.h"
#include "passes/select_nodes.h"
#include "quant/recipe.h"

namespace bitwright {

/// The lowest opset of ai.onnx with DynamicQuantizeLinear.
inline constexpr std::int64_t kDynamicOpset = 11;

/// Quantizes activations at each run, by DynamicQuantizeLinear (uint8), and multiplies integers:
///
///   MatMul, Gemm   MatMulInteger with int8 weights (uint8 of zero point 128 where the recipe says u8), symmetric, one scale per column (per tensor for stacked matrices)
///   Conv           ConvInteger with uint8 weights of zero point 128, which onnxruntime-web runs six times faster than int8;
///                  not for Target::onnxruntime, nor where an output sums few products: Conv in float is faster there
///   LSTM           com.microsoft DynamicQuantizeLSTM for Target::onnxruntime
///
/// Where the recipe says per_token, activations of MatMul and Gemm have one symmetric scale for each row (zero point 128), which
/// Abs, ReduceMax, Div, Max, Div and QuantizeLinear by scale 1 find and apply.
///
/// followed by Cast, Mul by both scales, and Add of the bias. Everything else with a constant weight (LSTM for the other targets,
/// GRU, RNN, Gather, ConvTranspose) is stored as by weight_only: size only. Subgraphs too. Weights are 8 bits and symmetric;
/// clipping, rounding and narrow range are the recipe's. The output keeps its name.
/// Throws Error{unsupported} for a model below kDynamicOpset (upgrade it before), Error{pattern_unmatched}.
PlannedEdit quantize_dynamic(Model& model, const Recipe& recipe);

/// Only the LSTM part of it, for nodes that `selection` allows: it may have been made before passes replaced named nodes.
PlannedEdit quantize_lstms(Model& model, const Recipe& recipe, const Selection& selection);

}  // namespace bitwright
