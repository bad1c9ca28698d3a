#pragma once

#include "model/model.h"
#include "passes/plan.h"
#include "quant/recipe.h"

namespace bitwright {

/// Makes operators on codes of float operators between DequantizeLinear and QuantizeLinear, where the meaning is the same:
///
///   QLinearConv, QLinearMatMul, and for the onnxruntime targets QGemm, QLinearAdd, Mul, Sigmoid, LeakyRelu, Softmax, AveragePool,
///   GlobalAveragePool, Concat, Where: 8-bit operands and result; a Relu or Clip whose bounds the codes keep anyway is absorbed
///   Reshape, Transpose, MaxPool ...     on the codes themselves, where scale and zero point stay the same
///   MatMulNBits                         MatMul or Gemm by a weight of 2, 4 or 8 bits in blocks along k
///   GatherBlockQuantized                rows of a table in blocks along its last axis
///   MatMulBnb4                          MatMul by a weight of 4-bit numbers of levels, in blocks along k
///   DynamicQuantizeMatMul               MatMulInteger of dynamic codes, scaled
///
/// The model must own its subgraphs. What has no such form stays as it is.
PassResult fuse_qoperators(Model& model, Target target);

}  // namespace bitwright
