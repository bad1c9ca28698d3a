#pragma once

#include <emscripten/val.h>

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "allocation.h"
#include "base/error.h"

namespace bitwright::bindings {

using emscripten::val;

inline val error_object(ErrorCode code, const std::string& message, const std::string& subject) {
  val error = val::object();
  error.set("code", std::string(error_code_name(code)));
  error.set("message", message);
  error.set("subject", subject);
  val result = val::object();
  result.set("error", error);
  return result;
}

/// Runs a verb and gives `{value}` or `{error: {code, message, subject}}`: no C++ exception ever crosses to JavaScript.
template <typename Verb>
val guard(Verb&& verb) {
  try {
    val result = val::object();
    result.set("value", std::forward<Verb>(verb)());
    return result;
  } catch (const Error& error) {
    return error_object(error.code(), error.what(), error.subject());
  } catch (const std::bad_alloc&) {
    return error_object(
        ErrorCode::out_of_memory,
        "a block of " + std::to_string(last_refused_bytes()) + " bytes cannot be had; dispose other models or use a smaller one",
        "");
  } catch (const std::exception& error) {
    return error_object(ErrorCode::internal, error.what(), "");
  }
}

}  // namespace bitwright::bindings
