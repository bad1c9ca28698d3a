#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/text.h"

namespace bitwright {

enum class ErrorCode {
#define BITWRIGHT_ERROR_CODE(name, meaning) name,
#include "base/error_codes.inc"
#undef BITWRIGHT_ERROR_CODE
};

/// The stable name of a code as it stands in JSON, TypeScript and docs: `bad_model`.
std::string_view error_code_name(ErrorCode code);
/// One line of meaning, for the documentation and `--help`.
std::string_view error_code_meaning(ErrorCode code);

/// The only exception the library throws. The message names place, finding and remedy in one sentence:
/// "node 'up1' (ConvTranspose): no integer kernel; exclude it from the recipe".
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

  /// The node or tensor at fault, where one is known; empty otherwise.
  const std::string& subject() const { return subject_; }
  Error& about(std::string subject) {
    subject_ = std::move(subject);
    return *this;
  }

 private:
  ErrorCode code_;
  std::string subject_;
};

/// Throws Error{code} with the parts put together; `subject` as above.
[[noreturn]] void throw_error(ErrorCode code, std::initializer_list<TextPart> message, std::string_view subject = {});

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace bitwright

/// Our own fault, not the user's: throws Error{internal}.
#define BITWRIGHT_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::bitwright::assertion_failed(#expression, __FILE__, __LINE__))
