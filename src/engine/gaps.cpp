#include "engine/gaps.h"

#include <algorithm>
#include <new>
#include <utility>

namespace bitwright {

std::uint64_t Gaps::place(std::uint64_t n_bytes) {
  ++n_placed_;
  auto best = gaps_.end();
  for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap)
    if (gap->second >= n_bytes && (best == gaps_.end() || gap->second < best->second)) best = gap;
  if (best == gaps_.end()) {
    const std::uint64_t offset = top_;
    top_ += n_bytes;
    highest_ = std::max(highest_, top_);
    return offset;
  }
  const std::uint64_t offset = best->first;
  const std::uint64_t rest = best->second - n_bytes;
  auto gap = gaps_.extract(best);  // its node serves again: placing needs no memory
  gap.key() = offset + n_bytes;
  gap.mapped() = rest;
  if (rest != 0) gaps_.insert(std::move(gap));
  return offset;
}

void Gaps::release(std::uint64_t offset, std::uint64_t n_bytes) noexcept {
  if (--n_placed_ == 0) {
    gaps_.clear();
    top_ = 0;
    return;
  }
  try {
    join(offset, n_bytes);
  } catch (const std::bad_alloc&) {
  }
}

void Gaps::join(std::uint64_t offset, std::uint64_t n_bytes) {
  const auto after = gaps_.lower_bound(offset);
  auto gap = after;
  if (after != gaps_.begin() && std::prev(after)->first + std::prev(after)->second == offset) {
    gap = std::prev(after);
    gap->second += n_bytes;
  } else {
    gap = gaps_.emplace_hint(after, offset, n_bytes);
  }
  if (after != gaps_.end() && gap->first + gap->second == after->first) {
    gap->second += after->second;
    gaps_.erase(after);
  }
  if (gap->first + gap->second == top_) {
    top_ = gap->first;
    gaps_.erase(gap);
  }
}

}  // namespace bitwright
