#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// A name taken from a file, made fit for a message: quoted, control characters escaped, at most 120 bytes.
std::string quoted(std::string_view name);

/// A piece of a message, lent for the length of one call: text, an integer, a shape or a name from a file. Sums of strings would be
/// a tenth of a small module; these are put together in one place.
class TextPart {
 public:
  TextPart(const char* text);
  TextPart(std::string_view text) : TextPart(text, Kind::text) {}
  TextPart(const std::string& text) : TextPart(std::string_view(text), Kind::text) {}
  template <std::signed_integral Integer>
  TextPart(Integer number) : number_(number), kind_(Kind::number) {}
  template <std::unsigned_integral Integer>
  TextPart(Integer number) : number_(static_cast<std::int64_t>(number)), kind_(Kind::count) {}
  TextPart(bool) = delete;
  TextPart(char) = delete;
  /// As [2,3,?]; an extent of -1 is one that is not known.
  TextPart(const std::vector<std::int64_t>& shape) : shape_(&shape), kind_(Kind::shape) {}

  std::string str() const;

 private:
  enum class Kind : std::uint8_t { text, name, number, count, shape };
  TextPart(std::string_view text, Kind kind) : text_(text), kind_(kind) {}
  friend TextPart in_quotes(std::string_view name);

  union {
    std::string_view text_;
    std::int64_t number_;
    const std::vector<std::int64_t>* shape_;
  };
  Kind kind_;
};

/// The part that reads quoted(name).
TextPart in_quotes(std::string_view name);

std::string concat(std::initializer_list<TextPart> parts);

}  // namespace bitwright
