#pragma once

#include "tensor/tensor.h"

namespace bitwright {

// Layouts [n, spatial axes, channels] and [n, channels, spatial axes]; floats, rank 3 or more.

Shape channels_first(Shape channels_last);
Shape channels_last(Shape channels_first);
/// A copy of `x` [n, spatial axes, channels] as [n, channels, spatial axes].
Tensor channels_first(const Tensor& x, Allocator& allocator);
Tensor channels_last(const Tensor& x, Allocator& allocator);

}  // namespace bitwright
