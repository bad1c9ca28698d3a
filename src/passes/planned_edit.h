#pragma once

#include "passes/plan.h"

namespace bitwright {

/// What a pass decided, node by node and tensor by tensor, and what it changed.
struct PlannedEdit {
  QuantPlan plan;
  PassResult result;
};

}  // namespace bitwright
