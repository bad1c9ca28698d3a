#pragma once

#include <cstdint>
#include <map>

namespace bitwright {

/// Places blocks on a line without end, best fit first; freed neighbours are joined.
class Gaps {
 public:
  std::uint64_t place(std::uint64_t n_bytes);
  void release(std::uint64_t offset, std::uint64_t n_bytes);
  /// How much of the line was ever taken.
  std::uint64_t highest() const { return highest_; }

 private:
  std::map<std::uint64_t, std::uint64_t> gaps_;  // offset to size; none touch, none ends at top_
  std::uint64_t top_ = 0;
  std::uint64_t highest_ = 0;
};

}  // namespace bitwright
