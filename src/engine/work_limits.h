#pragma once

#include <cstdint>

namespace bitwright {

/// What graphs of strangers may ask for: bytes of one node's outputs, bytes of all outputs together, element operations.
struct WorkLimits {
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  std::uint64_t max_result_bytes = kNone;
  std::uint64_t max_total_bytes = kNone;
  std::uint64_t max_work = kNone;
  bool operator==(const WorkLimits&) const = default;
};

}  // namespace bitwright
