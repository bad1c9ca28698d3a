#pragma once

#include <vector>

#include "model/model.h"
#include "passes/plan.h"
#include "quant/recipe.h"

namespace bitwright {

/// What will be slow or coarse on the target if this plan is written: facts measured on onnxruntime-web 1.30 and read in the
/// source of onnxruntime, worst first. `model` is the one that was planned.
std::vector<LintRow> lint_plan(const Model& model, const QuantPlan& plan, const Recipe& recipe);

}  // namespace bitwright
