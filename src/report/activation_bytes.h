#pragma once

#include <cstdint>

#include "model/model.h"

namespace bitwright {

/// Bytes of activations alive at once in a run, as far as types are known before it: open extents count as 1, values of unknown
/// type as nothing. An estimate from below; subgraphs and local functions are not looked into.
std::uint64_t activation_bytes(const Model& model);

}  // namespace bitwright
