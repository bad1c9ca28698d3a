#pragma once

#include "passes/fuse_integer_patterns.h"

namespace bitwright {

/// The 256 codes of `to` for the codes of `from`, clamped to [qmin, qmax]; undefined where each code stays as it is.
Tensor recode_table(const CodedOperand& from, const CodedOperand& to, std::int32_t qmin, std::int32_t qmax);

/// The result's codes for each code of the group's one operand: the float operators themselves, run on the reals of all codes.
Tensor function_table(const Graph& graph, const GraphIndex& index, const FusedGroup& group, const IntegerFusion& how);

}  // namespace bitwright
