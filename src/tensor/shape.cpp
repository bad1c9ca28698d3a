#include "tensor/shape.h"

#include <algorithm>

#include "base/error.h"

namespace bitwright {

std::int64_t n_elements(const Shape& shape) {
  if (shape.size() > kMaxRank)
    throw_error(ErrorCode::limit_exceeded, {"a tensor of rank ", shape.size(), " passes the limit of ", kMaxRank});
  std::int64_t n = 1;
  bool is_empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw_error(ErrorCode::shape_mismatch, {"shape ", shape, " has a negative or unknown extent"});
    if (extent == 0) {
      is_empty = true;
      continue;
    }
    if (n > kMaxElements / extent)
      throw_error(ErrorCode::limit_exceeded, {"shape ", shape, " passes the limit of ", kMaxElements, " elements"});
    n *= extent;
  }
  return is_empty ? 0 : n;
}

bool is_known(const Shape& shape) {
  return std::none_of(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 0; });
}

std::string to_string(const Shape& shape) { return TextPart(shape).str(); }

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<std::int64_t>(shape[i], 1);
  }
  return strides;
}

std::int64_t normalized_axis(std::int64_t axis, std::size_t rank, bool is_insertion) {
  const std::int64_t n_places = static_cast<std::int64_t>(rank) + (is_insertion ? 1 : 0);
  if (axis < -n_places || axis >= n_places) throw_error(ErrorCode::bad_graph, {"axis ", axis, " lies outside of rank ", rank});
  return axis < 0 ? axis + n_places : axis;
}

Shape broadcast(const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.size(), b.size());
  Shape out(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t x = i < rank - a.size() ? 1 : a[i - (rank - a.size())];
    const std::int64_t y = i < rank - b.size() ? 1 : b[i - (rank - b.size())];
    if (x == y || y == 1) {
      out[i] = x;
    } else if (x == 1) {
      out[i] = y;
    } else if (x == kUnknownDim) {
      out[i] = y;
    } else if (y == kUnknownDim) {
      out[i] = x;
    } else {
      throw_error(ErrorCode::shape_mismatch, {"shapes ", a, " and ", b, " do not broadcast"});
    }
  }
  return out;
}

}  // namespace bitwright
