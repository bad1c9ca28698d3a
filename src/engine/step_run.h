#pragma once

#include "engine/plan.h"

namespace bitwright {

/// Points the step's inputs at the frame and infers the types of its outputs from them.
void infer_step(const GraphPlan& plan, Step& step);
/// Runs an inferred step; its outputs end in step.output_tensors.
void compute_step(Step& step, Allocator& allocator, SubgraphRunner& subgraphs, bool is_deterministic);
/// Moves the outputs into the frame.
void store_outputs(GraphPlan& plan, Step& step);

}  // namespace bitwright
