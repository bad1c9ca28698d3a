#include "base/text.h"

namespace bitwright {

TextPart::TextPart(const char* text) : TextPart(std::string_view(text), Kind::text) {}

TextPart in_quotes(std::string_view name) { return {name, TextPart::Kind::name}; }

std::string TextPart::str() const {
  switch (kind_) {
    case Kind::text:
      return std::string(text_);
    case Kind::name:
      return quoted(text_);
    case Kind::number:
      return std::to_string(number_);
    case Kind::count:
      return std::to_string(static_cast<std::uint64_t>(number_));
    case Kind::shape:
      break;
  }
  std::string text = "[";
  for (const std::int64_t extent : *shape_) {
    if (text.size() > 1) text += ',';
    text += extent == -1 ? std::string("?") : std::to_string(extent);
  }
  return text += ']';
}

std::string concat(std::initializer_list<TextPart> parts) {
  std::string text;
  for (const TextPart& part : parts) text += part.str();
  return text;
}

std::string quoted(std::string_view name) {
  constexpr std::size_t kMaxShownBytes = 120;
  static constexpr char kHex[] = "0123456789abcdef";
  const bool is_cut = name.size() > kMaxShownBytes;
  std::string text = "'";
  for (const char c : name.substr(0, kMaxShownBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += "\\x";
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    } else {
      text += c;
    }
  }
  return text += is_cut ? "...'" : "'";
}

}  // namespace bitwright
