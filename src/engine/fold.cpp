#include "engine/fold.h"

#include <algorithm>
#include <new>

#include "base/error.h"
#include "engine/node_run.h"
#include "engine/step_run.h"

namespace bitwright {

namespace {

/// False where a result of unknown size comes from so much that it may be large.
bool is_small_enough(const Step& step) {
  std::uint64_t n_in = 0;
  bool is_any_unknown = false;
  for (std::size_t i = 0; i < step.inputs.size(); ++i)
    if (step.input_tensors[i] != nullptr) n_in += static_cast<std::uint64_t>(step.input_tensors[i]->n_elements());
  for (std::size_t i = 0; i < step.outputs.size(); ++i)
    if (step.outputs[i] != Step::kAbsent && !step.output_types[i].is_known()) is_any_unknown = true;
  return !is_any_unknown || n_in <= ConstantFolder::kMaxUnknownInputs;
}

}  // namespace

ConstantFolder::ConstantFolder(const WorkLimits& limits)
    : budget_({.max_result_bytes = std::min(kLimits.max_result_bytes, limits.max_result_bytes),
               .max_total_bytes = std::min(kLimits.max_total_bytes, limits.max_total_bytes),
               .max_work = std::min(kLimits.max_work, limits.max_work)}) {}

bool ConstantFolder::fold(GraphPlan& plan, Step& step) {
  const bool is_constant = step.node->op_type == "Constant";
  if (!step.subgraphs.empty() || !is_repeatable(*step.node)) return false;
  for (const int input : step.inputs)
    if (input != Step::kAbsent && plan.is_constant[static_cast<std::size_t>(input)] == 0) return false;
  try {
    infer_step(plan, step);
    if (!is_constant && !(is_small_enough(step) && budget_.spend(step))) return false;
    NoSubgraphs no_subgraphs;
    compute_step(step, heap_allocator(), no_subgraphs, true);
  } catch (const NotKnownYet&) {
    return false;
  } catch (const Error&) {  // it may never run (an If branch), so the run is the place to complain
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
  store_outputs(plan, step);
  step.state.reset();
  for (const int output : step.outputs)
    if (output != Step::kAbsent) plan.is_constant[static_cast<std::size_t>(output)] = 1;
  step.is_folded = true;
  return true;
}

}  // namespace bitwright
