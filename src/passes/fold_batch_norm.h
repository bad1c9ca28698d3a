#pragma once

#include "model/model.h"
#include "passes/plan.h"

namespace bitwright {

/// Folds a BatchNormalization, and a Mul or Add by one constant per channel, into the Conv, ConvTranspose or Gemm in front:
///
///   a = scale / sqrt(variance + epsilon)      W' = W * a[c]      b' = b * a[c] + (shift - mean * a)[c]
///
/// where the value between them has one consumer and is no graph output. Weights that others use too are copied. Computed in
/// double and rounded once; weights are made when asked for. The folded node takes the name of the value behind the pair, so
/// what was calibrated before stays valid. Main graph only.
PassResult fold_batch_norm(Model& model);

}  // namespace bitwright
