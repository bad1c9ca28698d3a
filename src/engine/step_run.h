#pragma once

#include "engine/plan.h"

namespace bitwright {

/// Points the step's inputs at the frame and infers the types of its outputs from them.
void infer_step(const GraphPlan& plan, Step& step);
/// Runs an inferred step; its outputs end in step.output_tensors. `is_bound`: they are there already, to be written to.
void compute_step(Step& step, Allocator& allocator, SubgraphRunner& subgraphs, bool is_deterministic, bool is_bound = false);
/// Prepares the step's call for its tensors; outputs that are not bound are allocated.
void bind_step(Step& step, Allocator& allocator, SubgraphRunner& subgraphs, bool is_deterministic);
/// Notes in step and plan what freezing asks, after the step has run and before its outputs are stored.
void note_step(GraphPlan& plan, Step& step);
/// Moves the outputs into the frame.
void store_outputs(GraphPlan& plan, Step& step);

}  // namespace bitwright
