#include "tensor/strides.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace bitwright {

namespace {

struct Block16 {
  std::uint64_t low;
  std::uint64_t high;
};

// One of each per element size; places in elements.
using CopyRun = void (*)(const std::uint8_t* src, std::int64_t src_first, std::int64_t src_stride, std::uint8_t* dst,
                         std::int64_t dst_first, std::int64_t dst_stride, std::int64_t n);
using CopyTurned = void (*)(const std::uint8_t* src, std::int64_t src_first, std::int64_t src_stride_j, std::uint8_t* dst,
                            std::int64_t dst_first, std::int64_t dst_stride_i, std::int64_t n_i, std::int64_t n_j);

template <typename T>
void copy_run(const std::uint8_t* src_bytes, std::int64_t src_first, std::int64_t src_stride, std::uint8_t* dst_bytes,
              std::int64_t dst_first, std::int64_t dst_stride, std::int64_t n) {
  const T* src = reinterpret_cast<const T*>(src_bytes) + src_first;
  T* dst = reinterpret_cast<T*>(dst_bytes) + dst_first;
  if (src_stride == 1 && dst_stride == 1) {
    std::memcpy(dst, src, static_cast<std::size_t>(n) * sizeof(T));
  } else {
    for (std::int64_t i = 0; i < n; ++i) dst[i * dst_stride] = src[i * src_stride];
  }
}

/// A matrix turned over in square tiles: src is dense along i, dst along j.
template <typename T>
void copy_turned(const std::uint8_t* src_bytes, std::int64_t src_first, std::int64_t src_stride_j, std::uint8_t* dst_bytes,
                 std::int64_t dst_first, std::int64_t dst_stride_i, std::int64_t n_i, std::int64_t n_j) {
  const T* src = reinterpret_cast<const T*>(src_bytes) + src_first;
  T* dst = reinterpret_cast<T*>(dst_bytes) + dst_first;
  constexpr std::int64_t kTile = 16;
  for (std::int64_t i0 = 0; i0 < n_i; i0 += kTile)
    for (std::int64_t j0 = 0; j0 < n_j; j0 += kTile) {
      const std::int64_t i1 = std::min(i0 + kTile, n_i);
      const std::int64_t j1 = std::min(j0 + kTile, n_j);
      for (std::int64_t i = i0; i < i1; ++i)
        for (std::int64_t j = j0; j < j1; ++j) dst[i * dst_stride_i + j] = src[i + j * src_stride_j];
    }
}

void copy_all(CopyRun copy_run, CopyTurned copy_turned, const Shape& extents, const std::uint8_t* src,
              std::span<const std::int64_t> src_strides, std::uint8_t* dst, std::span<const std::int64_t> dst_strides) {
  std::vector<std::int64_t> strides[2] = {{src_strides.begin(), src_strides.end()}, {dst_strides.begin(), dst_strides.end()}};
  Shape walked = extents;

  // Where dst is dense along its last axis and src along another one, the two axes are copied as turned tiles.
  std::size_t last = extents.size();
  while (last-- > 0)
    if (extents[last] != 1) break;
  std::size_t turned = extents.size();
  if (last < extents.size() && extents[last] >= 4 && dst_strides[last] == 1 && src_strides[last] != 1 && src_strides[last] != 0)
    for (std::size_t axis = 0; axis < last; ++axis)
      if (src_strides[axis] == 1 && extents[axis] >= 4) turned = axis;
  if (turned < extents.size()) walked[turned] = walked[last] = 1;

  for (StridedWalk walk(walked, strides); walk.has_run(); walk.advance()) {
    if (turned == extents.size()) {
      copy_run(src, walk.offset(0), walk.run_stride(0), dst, walk.offset(1), walk.run_stride(1), walk.n_in_run());
      continue;
    }
    for (std::int64_t i = 0; i < walk.n_in_run(); ++i)
      copy_turned(src, walk.offset(0) + i * walk.run_stride(0), src_strides[last], dst, walk.offset(1) + i * walk.run_stride(1),
                  dst_strides[turned], extents[turned], extents[last]);
  }
}

}  // namespace

std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& target) {
  BITWRIGHT_ASSERT(shape.size() <= target.size());
  const std::size_t skipped = target.size() - shape.size();
  const std::vector<std::int64_t> dense = row_major_strides(shape);
  std::vector<std::int64_t> strides(target.size(), 0);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    BITWRIGHT_ASSERT(shape[i] == target[skipped + i] || shape[i] == 1);
    if (shape[i] != 1) strides[skipped + i] = dense[i];
  }
  return strides;
}

StridedWalk::StridedWalk(const Shape& extents, std::span<const std::vector<std::int64_t>> strides)
    : n_operands_(strides.size()), has_run_(std::none_of(extents.begin(), extents.end(), [](std::int64_t n) { return n == 0; })) {
  BITWRIGHT_ASSERT(n_operands_ <= kMaxOperands);
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] == 1) continue;
    Axis axis{extents[i], {}};
    for (std::size_t k = 0; k < n_operands_; ++k) axis.strides[k] = strides[k][i];
    bool is_merged = !axes_.empty();
    for (std::size_t k = 0; k < n_operands_ && is_merged; ++k)
      is_merged = axes_.back().strides[k] == axis.strides[k] * axis.extent;
    if (is_merged) {
      axis.extent *= axes_.back().extent;
      axes_.back() = axis;
    } else {
      axes_.push_back(axis);
    }
  }
  if (axes_.empty()) return;
  n_in_run_ = axes_.back().extent;
  run_strides_ = axes_.back().strides;
  axes_.pop_back();
  index_.assign(axes_.size(), 0);
}

void StridedWalk::advance() {
  for (std::size_t i = axes_.size(); i-- > 0;) {
    const Axis& axis = axes_[i];
    if (++index_[i] < axis.extent) {
      for (std::size_t k = 0; k < n_operands_; ++k) offsets_[k] += axis.strides[k];
      return;
    }
    index_[i] = 0;
    for (std::size_t k = 0; k < n_operands_; ++k) offsets_[k] -= axis.strides[k] * (axis.extent - 1);
  }
  has_run_ = false;
}

void strided_copy(std::size_t element_bytes, const Shape& extents, const std::uint8_t* src,
                  std::span<const std::int64_t> src_strides, std::uint8_t* dst, std::span<const std::int64_t> dst_strides) {
  switch (element_bytes) {
    case 1:
      return copy_all(copy_run<std::uint8_t>, copy_turned<std::uint8_t>, extents, src, src_strides, dst, dst_strides);
    case 2:
      return copy_all(copy_run<std::uint16_t>, copy_turned<std::uint16_t>, extents, src, src_strides, dst, dst_strides);
    case 4:
      return copy_all(copy_run<std::uint32_t>, copy_turned<std::uint32_t>, extents, src, src_strides, dst, dst_strides);
    case 8:
      return copy_all(copy_run<std::uint64_t>, copy_turned<std::uint64_t>, extents, src, src_strides, dst, dst_strides);
    case 16:
      return copy_all(copy_run<Block16>, copy_turned<Block16>, extents, src, src_strides, dst, dst_strides);
    default:
      BITWRIGHT_ASSERT(false);
  }
}

std::size_t element_bytes(DType dtype) {
  const int n_bits = dtype_bits(dtype);
  if (n_bits < 8) throw_error(ErrorCode::unsupported, {"elements of ", dtype_name(dtype), " cannot be moved one by one here"});
  return static_cast<std::size_t>(n_bits / 8);
}

}  // namespace bitwright
