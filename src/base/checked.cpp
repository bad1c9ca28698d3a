#include "base/checked.h"

#include <string>

#include "base/error.h"

namespace bitwright {

std::size_t addressable(std::uint64_t n_bytes) {
  // ptrdiff_t bounds one object: half of the address space.
  if (n_bytes > static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max()))
    throw_error(ErrorCode::out_of_memory, {"a block of ", n_bytes, " bytes is more than this build can address"});
  return static_cast<std::size_t>(n_bytes);
}

}  // namespace bitwright
