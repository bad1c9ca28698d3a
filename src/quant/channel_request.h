#pragma once

#include <cstdint>
#include <string>

namespace bitwright {

/// Asks for the mean square of a value at each index of an axis, which has that extent; negative axes count from the end.
struct ChannelRequest {
  std::string value;
  std::int64_t axis = 0;
  std::int64_t extent = 0;
};

}  // namespace bitwright
