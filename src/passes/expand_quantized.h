#pragma once

#include "model/model.h"
#include "passes/plan.h"

namespace bitwright {

/// Rewrites operators on codes into DequantizeLinear, the float operator, and QuantizeLinear where the result is a code:
///
///   QLinear*, QGemm                       each operand dequantized, the result quantized; a bias gets the product of the scales
///   MatMulNBits, GatherBlockQuantized     the packed codes become a tensor of 2, 4 or 8 bits, dequantized in blocks
///   MatMulBnb4                            a float weight: ONNX has no such codes
///   DynamicQuantizeLinear (or QuantizeLinear per token), MatMulInteger or ConvInteger, Cast, Mul;   DynamicQuantizeMatMul, MatMulIntegerToFloat, DynamicQuantizeLSTM:
///                                         the float operator on a dequantized weight: the activation is not quantized any more
///
/// What cannot be told so (channels last, scales that are no constants) stays, and a message says why. Subgraphs too. Blocks need
/// opset 21, which is the caller's matter. The model must own its subgraphs, and its initializers must not be graph inputs.
PassResult expand_quantized(Model& model);

/// Removes QuantizeLinear and DequantizeLinear around activations, together with the rounding that they stand for; operators that pass
/// codes on (Reshape, MaxPool ...) pass reals on. A range that begins at real 0 may stand for a Relu or a Clip that was merged
/// into it: it becomes a Clip, unless the producer gives no negative values.
PassResult remove_qdq(Model& model);

}  // namespace bitwright
