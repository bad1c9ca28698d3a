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

void throw_error(ErrorCode code, std::initializer_list<TextPart> message, std::string_view subject) {
  throw Error(code, concat(message)).about(std::string(subject));
}

void assertion_failed(const char* expression, const char* file, int line) {
  std::string_view path = file;
  if (const auto slash = path.rfind('/'); slash != std::string_view::npos) path.remove_prefix(slash + 1);
  throw_error(ErrorCode::internal,
              {"assertion failed: ", expression, " (", path, ":", line, "); please report it with the model"});
}

}  // namespace bitwright
