#include "ops/channels_last.h"

#include <algorithm>

#include "tensor/strides.h"

namespace bitwright {

namespace {

/// Each axis of `target` walks over x's axis of the same name.
Tensor moved(const Tensor& x, Shape target, std::vector<std::int64_t> strides, Allocator& allocator) {
  Tensor y(x.dtype(), std::move(target), allocator);
  strided_copy(element_bytes(x.dtype()), y.shape(), x.bytes().data(), strides, y.bytes().data(), row_major_strides(y.shape()));
  return y;
}

}  // namespace

Shape channels_first(Shape shape) {
  std::rotate(shape.begin() + 1, shape.end() - 1, shape.end());
  return shape;
}

Shape channels_last(Shape shape) {
  std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  return shape;
}

Tensor channels_first(const Tensor& x, Allocator& allocator) {
  return moved(x, channels_first(x.shape()), channels_first(row_major_strides(x.shape())), allocator);
}

Tensor channels_last(const Tensor& x, Allocator& allocator) {
  return moved(x, channels_last(x.shape()), channels_last(row_major_strides(x.shape())), allocator);
}

}  // namespace bitwright
