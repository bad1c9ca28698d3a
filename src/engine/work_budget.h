#pragma once

#include <cstdint>

#include "engine/plan.h"
#include "engine/work_limits.h"

namespace bitwright {

/// Counts the work of inferred steps before it is done.
class WorkBudget {
 public:
  explicit WorkBudget(const WorkLimits& limits) : limits_(limits) {}
  /// False, and nothing is spent, where the step would pass a limit. Outputs whose size depends on the data count as nothing.
  bool spend(const Step& step);

 private:
  WorkLimits limits_;
  std::uint64_t bytes_spent_ = 0;
  std::uint64_t work_spent_ = 0;
};

}  // namespace bitwright
