#pragma once

#include "model/model.h"
#include "passes/plan.h"
#include "quant/recipe.h"

namespace bitwright {

/// onnxruntime rounds the weights of a float Conv, ConvTranspose or Gemm to 8 bits with one scale of its own, unasked, where
/// DequantizeLinear stands before it and QuantizeLinear behind it (perhaps after Relu or Clip): its WeightBiasQuantization. That
/// undoes an exclusion. It leaves a layer alone whose bias is computed, so the bias of such layers is stored as int32 codes: each is
/// the float's 24-bit significand, its scale a power of two, and the float comes back exactly (below 2^-102 to within 2^-127). A layer
/// without bias gets zeros.
///
/// For the onnxruntime targets, after insert_qdq. Main graph only.
PassResult keep_float_weights(Model& model, const Recipe& recipe);

}  // namespace bitwright
