#pragma once

#include <cstdint>

#include "engine/plan.h"
#include "engine/work_budget.h"

namespace bitwright {

/// Computes nodes of constants once, at plan time, within limits: a node above them simply runs in each run.
class ConstantFolder {
 public:
  static constexpr WorkLimits kLimits{.max_result_bytes = std::uint64_t{64} << 20,
                                      .max_total_bytes = std::uint64_t{512} << 20,
                                      .max_work = std::uint64_t{1} << 31};
  static constexpr std::uint64_t kMaxUnknownInputs = std::uint64_t{1} << 20;  // elements, where the result's size is not known

  /// Within its own limits and these.
  explicit ConstantFolder(const WorkLimits& limits);
  /// If all inputs of the step are constants, runs it and marks its outputs constant. False if it was left for the runs.
  bool fold(GraphPlan& plan, Step& step);

 private:
  WorkBudget budget_;
};

}  // namespace bitwright
