#pragma once

#include "tensor/tensor.h"

namespace bitwright {

/// Blocks from the heap with unspecified contents, for tensors that are filled whole right away.
Allocator& raw_allocator();

}  // namespace bitwright
