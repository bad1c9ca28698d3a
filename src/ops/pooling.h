#pragma once

#include "ops/op.h"

namespace bitwright {

// Pooling of x [n, channels, spatial axes] over the window of a node's attributes.

/// The output's shape; extents may be unknown. Throws Error{shape_mismatch} naming the node.
Shape window_pooled_shape(const Node& node, const Shape& x);
/// Means over the taps inside the input, or with count_include_pad inside the padded input. y has the elements of the pooled shape.
void average_pool(const Node& node, const Tensor& x, float* y);

}  // namespace bitwright
