#pragma once

#include <cstdint>
#include <memory>

#include "tensor/tensor.h"

namespace bitwright {

/// Places the blocks of a run in one slab, best fit first, freed neighbours joined. The first run of some shapes finds out how
/// large the slab must be (what does not fit is taken from the heap meanwhile); later runs of the same shapes take nothing from
/// the heap and hold that much, no more. Blocks may outlive the arena, but keep its slab alive. Not for several threads at once.
class Arena final : public Allocator {
 public:
  Arena();
  ~Arena() override;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Makes room for what earlier runs needed. Blocks in use stay where they are.
  void begin_run();
  /// Contents are unspecified. Throws Error{out_of_memory}.
  std::shared_ptr<Buffer> allocate(std::uint64_t n_bytes) override;

  /// Bytes asked for by blocks in use, the most of a run, and bytes held: the slab and the blocks outside of it.
  std::uint64_t live_bytes() const;
  std::uint64_t peak_bytes() const;
  std::uint64_t held_bytes() const;

 private:
  class Slab;
  std::shared_ptr<Slab> slab_;
};

}  // namespace bitwright
