#pragma once

#include "model/model.h"
#include "passes/plan.h"

namespace bitwright {

/// Conv, then Relu or Clip of constant bounds: the convolution ends with it (com.microsoft FusedConv). The same bits.
PassResult fuse_activations(Model& model);

/// MatMul (or Gemm without scaling, its right operand) by DequantizeLinear of constant codes of 2, 4 or 8 bits in blocks along k:
/// one BlockMatMul, which quantizes its left operand to 8 bits block by block, as onnxruntime does by default for this pattern.
PassResult fuse_block_products(Model& model);

/// MatMul, plain Gemm and Conv by a constant, of what can only be -1, 0 and 1: Sign, Where between such constants, and what only
/// moves or pools these. TernaryMatMul, TernaryGemm and TernaryConv take them by xor and popcount where every output channel of the
/// constant holds -a, 0 and a alone (weights of XNOR-Net, TWN), with exact sums; else they compute as before.
PassResult fuse_ternary_products(Model& model);

// All for our engine alone, main graph only. A node that becomes a part of another goes only where nobody else reads its value and it
// is no graph output.

}  // namespace bitwright
