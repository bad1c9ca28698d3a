#pragma once

#include <string>

namespace bitwright {

/// What passes/float16 calls the float16 version of a float value, unless the model has that name already (then a number follows),
/// and where report/comparison looks for what became of the value.
inline std::string half_name(const std::string& value) { return value + "_float16"; }

}  // namespace bitwright
