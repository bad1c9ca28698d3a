#pragma once

#include <cstddef>

namespace bitwright::bindings {

/// Bytes of the last request that operator new could not meet: what a bad_alloc does not tell.
std::size_t last_refused_bytes();

}  // namespace bitwright::bindings
