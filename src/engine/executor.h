#pragma once

#include <span>
#include <vector>

#include "engine/plan.h"
#include "engine/session.h"
#include "engine/work_budget.h"

namespace bitwright {

/// What one run of a session shares among its graphs.
struct RunSetting {
  Allocator& allocator;
  bool is_deterministic;
  WorkBudget* budget;  // null: no limits
  bool is_profiling = false;
  const OnValue* on_value = nullptr;                   // null: nobody watches
  const std::vector<std::uint8_t>* watched = nullptr;  // by value of the main plan; null: all
  bool is_noting = false;                              // the main plan notes what freezing asks
};

/// Runs the plan's steps over its frame, in which inputs and captures stand. Errors of a node carry its label and subject.
void run_steps(GraphPlan& plan, const RunSetting& setting);

// What FrozenPlan does with one step whose tensors are bound (`is_bound`) or not. Errors as above.
void prepare_step(GraphPlan& plan, Step& step, const RunSetting& setting);
void run_frozen_step(GraphPlan& plan, Step& step, bool is_bound, const RunSetting& setting);

/// Drops everything but the constants from the frame when it goes.
class FrameGuard {
 public:
  explicit FrameGuard(GraphPlan& plan) : plan_(plan) {}
  ~FrameGuard();
  FrameGuard(const FrameGuard&) = delete;
  FrameGuard& operator=(const FrameGuard&) = delete;

 private:
  GraphPlan& plan_;
};

}  // namespace bitwright
