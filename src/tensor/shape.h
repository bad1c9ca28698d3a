#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace bitwright {

/// Extents, outermost first. In static inference -1 stands for an extent that is not known.
using Shape = std::vector<std::int64_t>;

inline constexpr std::int64_t kUnknownDim = -1;
/// The most axes a tensor may have. Largest seen in real models: 8 (attention with relative positions).
inline constexpr std::size_t kMaxRank = 32;
/// The most elements a tensor may have: 2^40, far above any real one (the largest known embedding has 2^31).
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

/// The product of the extents; 1 for rank 0. Throws Error{limit_exceeded} beyond kMaxElements or kMaxRank and
/// Error{shape_mismatch} for a negative extent.
std::int64_t n_elements(const Shape& shape);
/// True if no extent is kUnknownDim.
bool is_known(const Shape& shape);
/// "[1,3,224,224]"; unknown extents as "?".
std::string to_string(const Shape& shape);
/// Row-major strides in elements.
std::vector<std::int64_t> row_major_strides(const Shape& shape);
/// Turns a possibly negative axis into 0..rank-1 (or 0..rank with `is_insertion`, for Unsqueeze and Concat of new axes).
/// Throws Error{bad_graph} where it lies outside.
std::int64_t normalized_axis(std::int64_t axis, std::size_t rank, bool is_insertion = false);
/// NumPy broadcasting of two shapes, unknown extents allowed. Throws Error{shape_mismatch}.
Shape broadcast(const Shape& a, const Shape& b);

}  // namespace bitwright
