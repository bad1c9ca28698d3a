#include "guard.h"
#include "base/text.h"

#include <exception>
#include <new>

#include "allocation.h"

namespace bitwright::bindings {

namespace {

Object error_object(ErrorCode code, const std::string& message, const std::string& subject) {
  Object error;
  error.set("code", std::string(error_code_name(code)));
  error.set("message", message);
  error.set("subject", subject);
  Object result;
  result.set("error", error);
  return result;
}

}  // namespace

Object error_answer() {
  try {
    throw;
  } catch (const Error& error) {
    return error_object(error.code(), error.what(), error.subject());
  } catch (const std::bad_alloc&) {
    return error_object(
        ErrorCode::out_of_memory,
        concat({"a block of ", last_refused_bytes(), " bytes cannot be had; dispose other models or use a smaller one"}), "");
  } catch (const std::exception& error) {
    return error_object(ErrorCode::internal, error.what(), "");
  }
}

}  // namespace bitwright::bindings
