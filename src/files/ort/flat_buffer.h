#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace bitwright::ort {

/// The tables, vectors and texts of a FlatBuffer (little-endian, offsets relative to where they stand). A table is known by its
/// place; a field by its number in the schema. Everything is checked where it is used. Files below 4 GB.
/// Throws Error{bad_model} naming the offset.
class FlatBuffer {
 public:
  using Place = std::uint32_t;
  /// The elements of a vector.
  struct Elements {
    Place first = 0;
    std::uint32_t n = 0;
  };

  explicit FlatBuffer(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::uint32_t n_bytes() const { return static_cast<std::uint32_t>(bytes_.size()); }

  std::uint32_t number_32(Place place) const { return static_cast<std::uint32_t>(number(place, 4)); }
  std::uint64_t number_64(Place place) const { return number(place, 8); }
  Place root() const { return follow(0); }
  /// What the offset at `place` leads to.
  Place follow(Place place) const;
  /// Where the field of a table stands; 0 where it is left out.
  Place field(Place table, std::uint32_t index) const;
  /// The vector (or text) that the offset at `place` leads to; its elements are `width` bytes each.
  Elements elements(Place place, std::uint32_t width) const;
  std::span<const std::uint8_t> bytes(Place place) const;
  std::string_view text(Place place) const;

  /// An unsigned number of `width` bytes.
  std::uint64_t number(Place place, std::uint32_t width) const;

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace bitwright::ort
