#pragma once

#include <string_view>

namespace bitwright {

/// Of the core; package.json has the same (a test keeps them equal).
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace bitwright
