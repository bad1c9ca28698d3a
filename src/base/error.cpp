#include "base/error.h"

namespace bitwright {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
#define BITWRIGHT_ERROR_CODE(name, meaning) \
  case ErrorCode::name:                     \
    return #name;
#include "base/error_codes.inc"
#undef BITWRIGHT_ERROR_CODE
  }
  return "internal";
}

std::string_view error_code_meaning(ErrorCode code) {
  switch (code) {
#define BITWRIGHT_ERROR_CODE(name, meaning) \
  case ErrorCode::name:                     \
    return meaning;
#include "base/error_codes.inc"
#undef BITWRIGHT_ERROR_CODE
  }
  return "";
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
  return text + (is_cut ? "...'" : "'");
}

void assertion_failed(const char* expression, const char* file, int line) {
  std::string_view path = file;
  if (const auto slash = path.rfind('/'); slash != std::string_view::npos) path.remove_prefix(slash + 1);
  throw Error(ErrorCode::internal, "assertion failed: " + std::string(expression) + " (" + std::string(path) + ":" +
                                       std::to_string(line) + "); please report it with the model");
}

}  // namespace bitwright
