#include "io/byte_source.h"

#include <cstring>

#include "base/checked.h"
#include "base/error.h"

namespace bitwright {

void ByteSource::read(std::uint64_t offset, std::span<std::uint8_t> out) const {
  if (!is_inside(offset, out.size(), size_bytes()))
    throw_error(ErrorCode::io_failed,
                {name(), ": ", out.size(), " bytes at offset ", offset, " lie outside of the file's ", size_bytes(), " bytes"});
  if (!out.empty()) do_read(offset, out);
}

void MemorySource::do_read(std::uint64_t offset, std::span<std::uint8_t> out) const {
  std::memcpy(out.data(), bytes_.data() + offset, out.size());
}

}  // namespace bitwright
