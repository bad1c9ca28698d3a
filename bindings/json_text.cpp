#include "json_text.h"

namespace bitwright::bindings {

void JsonText::separate() {
  if (needs_comma_) text_ += ',';
  needs_comma_ = true;
}

void JsonText::open(char bracket) {
  separate();
  text_ += bracket;
  needs_comma_ = false;
}

void JsonText::close(char bracket) {
  text_ += bracket;
  needs_comma_ = true;
}

void JsonText::key(const char* name) {
  separate();
  quote(name);
  text_ += ':';
  needs_comma_ = false;
}

void JsonText::value(std::string_view text) {
  separate();
  quote(text);
}

void JsonText::value(std::int64_t number) {
  separate();
  text_ += std::to_string(number);
}

void JsonText::value(bool truth) {
  separate();
  text_ += truth ? "true" : "false";
}

void JsonText::quote(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  text_ += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      text_ += "\\u00";
      text_ += kDigits[c >> 4];
      text_ += kDigits[c & 15];
    } else {
      text_ += c;
    }
  }
  text_ += '"';
}

}  // namespace bitwright::bindings
