#pragma once

#include <doctest/doctest.h>

#include <ctime>
#include <exception>
#include <optional>
#include <string>

#include "allocations.h"
#include "base/error.h"

namespace bitwright::tests {

/// Holds one bad input to its bounds while it lives: 200 MB above what was held before, and ten times the second of processor
/// time that is promised.
class Bounds {
 public:
  Bounds() : before_(live_bytes()), start_(std::clock()) { reset_peak(); }
  ~Bounds() {
    constexpr double kMaxSeconds = 10.0;
    constexpr std::uint64_t kMaxBytes = 200u << 20;
    CHECK(static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC < kMaxSeconds);
    if (peak_bytes() > before_) CHECK(peak_bytes() - before_ <= kMaxBytes);
  }
  Bounds(const Bounds&) = delete;
  Bounds& operator=(const Bounds&) = delete;

 private:
  std::uint64_t before_;
  std::clock_t start_;
};

/// The code of the error that the work ends with, within the bounds; nothing where it ends well. `message`: what it said.
template <typename Work>
std::optional<ErrorCode> refusal(Work&& work, std::string* message = nullptr) {
  const Bounds bounds;
  try {
    work();
    return std::nullopt;
  } catch (const Error& error) {
    CHECK(std::string(error.what()).size() > 15);
    if (message != nullptr) *message = error.what();
    return error.code();
  }
}

}  // namespace bitwright::tests
