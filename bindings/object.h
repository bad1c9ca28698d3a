#pragma once

#include <emscripten/val.h>

#include <cstdint>
#include <string>

namespace bitwright::bindings {

using emscripten::val;

/// An object of JavaScript, read and filled by name. val's own members are templates of which every length of name and type of
/// value makes an instance; these are functions. Where a template of val takes one, give it as `const val&`: Embind knows no other.
class Object : public val {
 public:
  Object() : val(val::object()) {}
  Object(const val& object) : val(object) {}

  val operator[](const char* key) const;
  val operator[](unsigned index) const;
  std::string text(const char* key) const;
  double number(const char* key) const;
  unsigned count(const char* key) const { return static_cast<unsigned>(number(key)); }
  std::int64_t whole(const char* key) const { return static_cast<std::int64_t>(number(key)); }
  bool truth(const char* key) const;

  void set(const char* key, const val& value);
  void set(const char* key, const std::string& text);
  void set(const char* key, const char* text) = delete;  // it would become a bool
  void set(const char* key, double number);
  void set(const char* key, int number) { set(key, static_cast<double>(number)); }
  void set(const char* key, bool truth);
};

}  // namespace bitwright::bindings
