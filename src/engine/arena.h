#pragma once

#include <cstdint>
#include <memory>

#include "tensor/tensor.h"

namespace bitwright {

/// Blocks in size classes (four per power of two), kept when released and handed out again: repeated runs of the same shapes
/// take nothing more from the heap. Blocks may outlive the arena. Not for use from several threads at once.
class Arena final : public Allocator {
 public:
  Arena();
  ~Arena() override;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Contents are unspecified. Throws Error{out_of_memory} after giving back all unused blocks did not help.
  std::shared_ptr<Buffer> allocate(std::uint64_t n_bytes) override;

  /// True if the block came from an arena (and so may be handed to a caller without copying).
  static bool is_block(const Buffer* buffer);

  /// Bytes of blocks in use now, the most since reset_peak, and bytes held in all.
  std::uint64_t live_bytes() const;
  std::uint64_t peak_bytes() const;
  std::uint64_t held_bytes() const;
  void reset_peak();

 private:
  struct Pool;
  std::shared_ptr<Pool> pool_;
};

}  // namespace bitwright
