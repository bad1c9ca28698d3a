#pragma once

#include <cstddef>
#include <cstdint>

namespace bitwright::tests {

/// What the test program's operator new and delete do (tests/allocations.cpp); in wasm they are the usual ones, all
/// counts are 0 and nothing fails.
#ifdef __EMSCRIPTEN__
inline std::uint64_t n_allocations() { return 0; }
inline std::uint64_t live_bytes() { return 0; }
inline std::uint64_t peak_bytes() { return 0; }
inline void reset_peak() {}
#else
/// Since the program began.
std::uint64_t n_allocations();
/// Bytes held now, and the most since the last reset.
std::uint64_t live_bytes();
std::uint64_t peak_bytes();
void reset_peak();

/// Fresh memory is filled with a byte as long as this lives.
class FilledMemory {
 public:
  explicit FilledMemory(std::uint8_t byte);
  ~FilledMemory();
  FilledMemory(const FilledMemory&) = delete;
  FilledMemory& operator=(const FilledMemory&) = delete;
};

/// The n-th allocation from now (0: the next) fails, once or with all that follow, on this thread, as long as this lives.
class FailingAllocation {
 public:
  enum class Then { goes_on, all_fail };
  explicit FailingAllocation(std::uint64_t n, Then then = Then::goes_on);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
  bool has_failed() const;
};
#endif

}  // namespace bitwright::tests
