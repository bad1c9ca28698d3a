#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bitwright::bindings {

/// Long lists of names and whole numbers cross as one text that JSON.parse reads: making each object through val takes ten
/// times as long.
class JsonText {
 public:
  void open(char bracket);
  void close(char bracket);
  /// Of the next value in an object.
  void key(const char* name);
  void value(std::string_view text);
  void value(std::int64_t number);
  void value(bool truth);
  const std::string& text() const { return text_; }

 private:
  void separate();
  void quote(std::string_view text);

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace bitwright::bindings
