#pragma once

#include <memory>

#include "ops/op.h"

namespace bitwright {

/// A fixed right operand of products: c[m, n] = a[m, k] W, dense rows.
class Projection {
 public:
  virtual ~Projection() = default;
  virtual void multiply(const float* a, std::int64_t m, float* c, Allocator& allocator) const = 0;
};

/// W[p][j] = w[p * k_stride + j * column_stride] in float. Keeps a packed copy.
std::unique_ptr<Projection> float_projection(const float* w, std::int64_t k_stride, std::int64_t column_stride, std::int64_t k,
                                             std::int64_t n, Allocator& allocator);

/// Integer weights w[k, n] (zero point taken off) with one scale or one for each column: `a` is quantized to 8 bits over its own
/// range at every product, as DynamicQuantizeLinear does; the int32 sums are scaled back.
std::unique_ptr<Projection> dynamic_projection(const float* w, std::int64_t k, std::int64_t n, std::vector<float> scales,
                                               Allocator& allocator);

}  // namespace bitwright
