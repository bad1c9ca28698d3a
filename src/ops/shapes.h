#pragma once

#include "ops/elementwise.h"

namespace bitwright {

/// True where the rank of input i is not known yet; the outputs then get the element type of input 0 and no shape.
inline bool lacks_rank(InferContext& context, std::size_t i = 0) {
  if (context.has_shape(i)) return false;
  if (!context.has_input(i)) refuse(context.node(), {"input ", i, " is missing"});
  for (std::size_t k = 0; k < context.n_outputs(); ++k) context.set_output(k, context.dtype(0), std::nullopt);
  return true;
}

/// How many elements a list-like input has (its only extent), where that is known.
inline std::optional<std::int64_t> list_length(const InferContext& context, std::size_t i) {
  if (!context.has_shape(i) || context.shape(i).size() != 1 || context.shape(i)[0] < 0) return std::nullopt;
  return context.shape(i)[0];
}

/// A shape of which only the rank is known.
inline Shape unknown_shape(std::int64_t rank) {
  if (rank < 0 || rank > static_cast<std::int64_t>(kMaxRank))
    throw_error(ErrorCode::limit_exceeded, {"rank ", rank, " passes the limit of ", kMaxRank});
  return Shape(static_cast<std::size_t>(rank), kUnknownDim);
}

/// a * b with unknown extents; the products stay below kMaxElements because extents do. Throws Error{limit_exceeded}.
inline std::int64_t extent_product(std::int64_t a, std::int64_t b) {
  if (a == 0 || b == 0) return 0;
  if (a < 0 || b < 0) return kUnknownDim;
  if (a > kMaxElements / b) throw_error(ErrorCode::limit_exceeded, {"an extent passes the limit of ", kMaxElements, " elements"});
  return a * b;
}

/// The axes named by the list, each once. Throws Error{bad_graph} for one outside of `rank` or named twice.
inline std::vector<bool> axis_flags(const Node& node, const std::vector<std::int64_t>& axes, std::size_t rank) {
  std::vector<bool> flags(rank, false);
  for (const std::int64_t axis : axes) {
    const auto i = static_cast<std::size_t>(normalized_axis(axis, rank));
    if (flags[i]) refuse(node, {"axis ", axis, " is named twice"});
    flags[i] = true;
  }
  return flags;
}

/// A tensor seen as [outer, extent, inner] around one axis.
struct AxisView {
  std::int64_t outer = 1;
  std::int64_t extent = 1;
  std::int64_t inner = 1;
};
inline AxisView around_axis(const Shape& shape, std::size_t axis) {
  AxisView view;
  for (std::size_t i = 0; i < shape.size(); ++i) (i < axis ? view.outer : i == axis ? view.extent : view.inner) *= shape[i];
  return view;
}

}  // namespace bitwright
