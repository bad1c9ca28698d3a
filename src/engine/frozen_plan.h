#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/executor.h"
#include "engine/plan.h"

namespace bitwright {

/// A plan whose last run is to be repeated on inputs of the same types: memory is laid out once in one slab, every step keeps its
/// tensors, and operators that prepare are bound calls. Steps whose shapes depend on data, or that own subgraphs, run as before.
class FrozenPlan {
 public:
  /// Takes over the frame of a plan whose last run was noted, with inputs of these types (undefined: left out).
  FrozenPlan(GraphPlan& plan, const std::vector<TypeInfo>& input_types, const RunSetting& setting);
  /// Leaves constants only in the frame.
  ~FrozenPlan();
  FrozenPlan(const FrozenPlan&) = delete;
  FrozenPlan& operator=(const FrozenPlan&) = delete;

  /// True if the input's values are to be copied into its tensor in the frame before a run; false if the tensor is to be put there.
  bool is_bound(std::size_t input) const { return is_bound_[input] != 0; }
  /// The results stand in the frame afterwards.
  void run(const RunSetting& setting);
  std::uint64_t slab_bytes() const { return slab_ ? slab_->size_bytes() : 0; }

 private:
  struct Move {
    Step* step;
    bool is_bound;
    std::vector<int> releases;  // what unbound steps made
  };
  void lay_out(const std::vector<TypeInfo>& input_types);
  void bind(const RunSetting& setting);

  GraphPlan& plan_;
  std::shared_ptr<Buffer> slab_;
  std::vector<std::uint8_t> is_bound_;  // by input
  std::vector<Move> moves_;
};

}  // namespace bitwright
