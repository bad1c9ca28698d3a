#pragma once

#include <cstdint>
#include <map>

namespace bitwright {

/// Places blocks on a line without end, best fit first; freed neighbours are joined.
class Gaps {
 public:
  std::uint64_t place(std::uint64_t n_bytes);
  /// Called by destructors: where there is no memory to note the gap, its place stays unused until nothing is placed.
  void release(std::uint64_t offset, std::uint64_t n_bytes) noexcept;
  /// How much of the line was ever taken.
  std::uint64_t highest() const { return highest_; }

 private:
  void join(std::uint64_t offset, std::uint64_t n_bytes);
  std::map<std::uint64_t, std::uint64_t> gaps_;  // offset to size; none touch, none ends at top_
  std::uint64_t top_ = 0;
  std::uint64_t highest_ = 0;
  std::uint64_t n_placed_ = 0;
};

}  // namespace bitwright
