#pragma once

#include <string>
#include <utility>

#include "base/error.h"
#include "object.h"

namespace bitwright::bindings {

/// `{error: {code, message, subject}}` of the exception that is being handled.
Object error_answer();

/// Runs a verb and gives `{value}` or `{error: {code, message, subject}}`: no C++ exception ever crosses to JavaScript.
template <typename Verb>
val guard(Verb&& verb) {
  try {
    Object result;
    result.set("value", std::forward<Verb>(verb)());
    return result;
  } catch (...) {
    return error_answer();
  }
}

}  // namespace bitwright::bindings
