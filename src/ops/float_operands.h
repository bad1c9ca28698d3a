#pragma once

#include "ops/op.h"

namespace bitwright {

// Operators compute in float; half floats, bfloat16 and others pass through a copy.

/// The tensor itself where it is f32, else its elements as f32.
Tensor as_f32(const Tensor& tensor, Allocator& allocator);

/// An output seen as f32: itself, or a scratch tensor which `finish` rounds into it.
class F32Output {
 public:
  F32Output(RunContext& context, std::size_t i);
  float* data() { return values_.data<float>().data(); }
  std::span<float> span() { return values_.data<float>(); }
  const Shape& shape() const { return values_.shape(); }
  void finish();

 private:
  RunContext& context_;
  std::size_t i_;
  Tensor values_;
};

/// A scratch block of floats.
Tensor scratch_f32(std::int64_t n_floats, Allocator& allocator);

}  // namespace bitwright
