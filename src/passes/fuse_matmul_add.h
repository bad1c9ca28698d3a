#pragma once

#include "model/model.h"
#include "passes/plan.h"
#include "passes/plan_static.h"

namespace bitwright {

/// MatMul of a matrix ([rows, k], as `types` know) and a constant [k, n], then Add of a constant [n] or [1, n], becomes Gemm: its
/// bias can be int32, and integer Gemm may give float. Only where the value between has one consumer and is no graph output.
/// Main graph only.
PassResult fuse_matmul_add(Model& model, const ValueTypes& types);

}  // namespace bitwright
