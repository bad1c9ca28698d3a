#pragma once

#include "tensor/strides.h"

namespace bitwright {

/// dst[i0, i1, ...] = src[t0[i0], t1[i1], ...], with the fill element where any of the indices is -1. One table for each axis of
/// src; every entry is -1 or below the axis's extent (asserted). dst is dense, of shape [t0.size(), t1.size(), ...].
/// Runs of consecutive indices along the innermost axis that is not taken whole are copied at once.
///
///   element_bytes   of one element of src, dst and fill
///   fill            one element; may be null where no index is -1
void indexed_copy(std::size_t element_bytes, const Shape& src_shape, const std::uint8_t* src,
                  std::span<const std::vector<std::int64_t>> tables, const std::uint8_t* fill, std::uint8_t* dst);

/// 0, 1, ... n - 1: an axis taken whole.
std::vector<std::int64_t> whole_axis(std::int64_t n);

}  // namespace bitwright
