#pragma once

#include <cstdint>

#include "engine/plan.h"

namespace bitwright {

/// Computes nodes of constants once, at plan time, within limits: a node above them simply runs in each run.
class ConstantFolder {
 public:
  static constexpr std::uint64_t kMaxResultBytes = std::uint64_t{64} << 20;   // of one node
  static constexpr std::uint64_t kMaxTotalBytes = std::uint64_t{512} << 20;   // of all nodes of a model
  static constexpr std::uint64_t kMaxWork = std::uint64_t{1} << 31;           // element operations, of all nodes
  static constexpr std::uint64_t kMaxUnknownInputs = std::uint64_t{1} << 20;  // elements, where the result's size is not known

  /// If all inputs of the step are constants, runs it and marks its outputs constant. False if it was left for the runs.
  bool fold(GraphPlan& plan, Step& step);

 private:
  bool spend(const Step& step);
  std::uint64_t bytes_spent_ = 0;
  std::uint64_t work_spent_ = 0;
};

}  // namespace bitwright
