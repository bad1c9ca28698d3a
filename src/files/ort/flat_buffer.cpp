#include "files/ort/flat_buffer.h"

#include "base/error.h"

namespace bitwright::ort {

namespace {

[[noreturn]] void refuse(FlatBuffer::Place place) {
  throw_error(ErrorCode::bad_model, {"what offset ", place, " names is not all in the file; it is truncated or damaged"});
}

}  // namespace

std::uint64_t FlatBuffer::number(Place place, std::uint32_t width) const {
  if (width > bytes_.size() || place > bytes_.size() - width) refuse(place);
  std::uint64_t value = 0;
  for (std::uint32_t i = width; i-- > 0;) value = value << 8 | bytes_[place + i];
  return value;
}

FlatBuffer::Place FlatBuffer::follow(Place place) const {
  const std::uint32_t distance = number_32(place);
  if (distance > bytes_.size() - place) refuse(place);
  return place + distance;
}

FlatBuffer::Place FlatBuffer::field(Place table, std::uint32_t index) const {
  // Each table begins with the distance back to the list of its fields: bytes of the list, bytes of the table, then its places.
  const Place fields = table - number_32(table);
  const std::uint32_t at = 4 + 2 * index;
  if (at + 2 > number(fields, 2)) return 0;
  const auto offset = static_cast<Place>(number(fields + at, 2));
  return offset == 0 ? 0 : table + offset;
}

FlatBuffer::Elements FlatBuffer::elements(Place place, std::uint32_t width) const {
  const Place vector = follow(place);
  const std::uint32_t n = number_32(vector);
  if (n > (bytes_.size() - vector - 4) / width) refuse(place);
  return {vector + 4, n};
}

std::span<const std::uint8_t> FlatBuffer::bytes(Place place) const {
  const Elements found = elements(place, 1);
  return bytes_.subspan(found.first, found.n);
}

std::string_view FlatBuffer::text(Place place) const {
  const auto found = bytes(place);
  return {reinterpret_cast<const char*>(found.data()), found.size()};
}

}  // namespace bitwright::ort
