#pragma once

#include <cstddef>

namespace bitwright {

/// Softmax over n elements of x, `stride` apart, for each of `columns` neighbours (x and y have the same layout, and may be the
/// same memory unless is_log):
///   y = exp(x - max) / sum exp(x - max)          is_log: y = (x - max) - log(sum exp(x - max))
/// One column (stride 1) sums as reduce_f32 does; several sum each in order. exp and log are base/math.h's, so that bits are the
/// same on every host; tolerance against the exact value: 4 ulp of exp plus that of the sum.
struct SoftmaxF32 {
  std::ptrdiff_t n = 0, stride = 1, columns = 1;
  bool is_log = false;
  const float* x = nullptr;
  float* y = nullptr;
};

void softmax_f32__simd128(const SoftmaxF32& softmax);
void softmax_f32__reference(const SoftmaxF32& softmax);

}  // namespace bitwright
