#pragma once

#include <array>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace bitwright {

/// Strides, in elements, of a dense tensor of `shape` seen as `target` (NumPy broadcasting): 0 along axes that repeat.
std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& target);

/// Walks over the index space of up to four operands in row-major order, one innermost run at a time. Axes are merged where every
/// operand allows it, so that equal dense shapes are one run.
class StridedWalk {
 public:
  static constexpr std::size_t kMaxOperands = 4;
  /// strides[k] holds the strides of operand k in elements, one for each extent; any sign.
  StridedWalk(const Shape& extents, std::span<const std::vector<std::int64_t>> strides);

  bool has_run() const { return has_run_; }
  void advance();
  std::int64_t n_in_run() const { return n_in_run_; }
  std::int64_t offset(std::size_t operand) const { return offsets_[operand]; }  // of the run's first element
  std::int64_t run_stride(std::size_t operand) const { return run_strides_[operand]; }

 private:
  struct Axis {
    std::int64_t extent;
    std::array<std::int64_t, kMaxOperands> strides;
  };
  std::vector<Axis> axes_;  // outermost first, without the run
  std::vector<std::int64_t> index_;
  std::size_t n_operands_;
  bool has_run_;
  std::int64_t n_in_run_ = 1;
  std::array<std::int64_t, kMaxOperands> offsets_{};
  std::array<std::int64_t, kMaxOperands> run_strides_{};
};

/// Copies elements of 1, 2, 4, 8 or 16 bytes: dst[sum i_k dst_strides_k] = src[sum i_k src_strides_k] for every index i below
/// `extents`. Strides in elements, any sign; 0 repeats. The regions must not overlap.
void strided_copy(std::size_t element_bytes, const Shape& extents, const std::uint8_t* src,
                  std::span<const std::int64_t> src_strides, std::uint8_t* dst, std::span<const std::int64_t> dst_strides);

/// Bytes of one element. Throws Error{unsupported} for packed types and strings, which cannot be addressed by element.
std::size_t element_bytes(DType dtype);

}  // namespace bitwright
