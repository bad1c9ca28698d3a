#include "ops/matrix_product.h"

#include <algorithm>

#include "base/parallel_for.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"
#include "tensor/strides.h"

namespace bitwright {

RightOperand right_operand(const float* b, std::int64_t k_stride, std::int64_t column_stride, std::int64_t k, std::int64_t n,
                           std::int64_t m, Allocator& allocator) {
  constexpr std::int64_t kRowsWorthPacking = 8;
  if (m < kRowsWorthPacking && column_stride == 1 && n % kGemmPanelColumns == 0)
    return {k, n, b, kGemmPanelColumns, k_stride, {}};
  RightOperand operand{k, n, nullptr, kGemmPanelColumns * k, kGemmPanelColumns, {}};
  const std::int64_t n_panels = (n + kGemmPanelColumns - 1) / kGemmPanelColumns;
  operand.storage = Tensor(DType::f32, {n_panels, k, kGemmPanelColumns}, allocator);
  float* packed = operand.storage.data<float>().data();
  parallel_for(n_panels, std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(k, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 pack_b_f32(b, static_cast<std::ptrdiff_t>(k_stride), static_cast<std::ptrdiff_t>(column_stride),
                            static_cast<std::ptrdiff_t>(k), static_cast<std::ptrdiff_t>(n), static_cast<std::ptrdiff_t>(begin),
                            static_cast<std::ptrdiff_t>(end), packed);
               });
  operand.panels = packed;
  return operand;
}

void multiply(const float* a, std::int64_t a_row_stride, std::int64_t a_k_stride, std::int64_t m, const RightOperand& b, float* c,
              const float* column_bias, GemmF32Kernel kernel) {
  gemm_f32_blocked({.m = static_cast<std::ptrdiff_t>(m),
                    .n = static_cast<std::ptrdiff_t>(b.n),
                    .k = static_cast<std::ptrdiff_t>(b.k),
                    .a = a,
                    .a_row_stride = static_cast<std::ptrdiff_t>(a_row_stride),
                    .a_k_stride = static_cast<std::ptrdiff_t>(a_k_stride),
                    .b = b.panels,
                    .b_panel_stride = static_cast<std::ptrdiff_t>(b.panel_stride),
                    .b_k_stride = static_cast<std::ptrdiff_t>(b.k_stride),
                    .c = c,
                    .c_row_stride = static_cast<std::ptrdiff_t>(b.n),
                    .row_bias = nullptr,
                    .column_bias = column_bias},
                   kernel);
}

MatMulShape matmul_shape(const Node& node, Shape a, Shape b) {
  require_shape(!a.empty() && !b.empty(), node, "MatMul of a scalar");
  const bool is_row = a.size() == 1, is_column = b.size() == 1;
  if (is_row) a.insert(a.begin(), 1);
  if (is_column) b.push_back(1);
  const std::int64_t k = a.back(), k_b = b[b.size() - 2];
  if (!may_equal(k, k_b)) refuse(node, {"rows of ", k, " against columns of ", k_b, " elements"}, ErrorCode::shape_mismatch);
  MatMulShape shape{
      broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2)), a[a.size() - 2], b.back(), k < 0 ? k_b : k, {}};
  shape.output = shape.batch;
  if (!is_row) shape.output.push_back(shape.m);
  if (!is_column) shape.output.push_back(shape.n);
  return shape;
}

Shape batch_of(const Shape& shape) { return shape.size() < 2 ? Shape{} : Shape(shape.begin(), shape.end() - 2); }

std::vector<std::int64_t> batch_offsets(const Shape& operand, const Shape& batch) {
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(n_elements(batch)));
  const std::vector<std::int64_t> strides = broadcast_strides(batch_of(operand), batch);
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    for (std::size_t axis = batch.size(); axis-- > 0;) {
      offsets[i] += rest % batch[axis] * strides[axis];
      rest /= batch[axis];
    }
  }
  return offsets;
}

template <typename T>
void multiply_plain(const T* a, const T* b, T* c, std::int64_t m, std::int64_t n, std::int64_t k) {
  for (std::int64_t i = 0; i < m; ++i) {
    std::fill(c + i * n, c + (i + 1) * n, T{});
    for (std::int64_t p = 0; p < k; ++p)
      for (std::int64_t j = 0; j < n; ++j) c[i * n + j] += a[i * k + p] * b[p * n + j];
  }
}
template void multiply_plain<double>(const double*, const double*, double*, std::int64_t, std::int64_t, std::int64_t);
template void multiply_plain<std::uint64_t>(const std::uint64_t*, const std::uint64_t*, std::uint64_t*, std::int64_t,
                                            std::int64_t, std::int64_t);

std::vector<RightOperand> pack_small_integers(const float* b, std::int64_t k, std::int64_t n, Allocator& allocator) {
  constexpr std::int64_t kExactTerms = 258;  // 258 * 255 * 255 < 2^24: every partial sum is an exact float
  std::vector<RightOperand> blocks;
  for (std::int64_t p = 0; p == 0 || p < k; p += kExactTerms)
    blocks.push_back(right_operand(b + p * n, n, 1, std::min(kExactTerms, k - p), n, kMaxElements, allocator));
  return blocks;
}

void multiply_small_integers(const float* a, std::int64_t m, const std::vector<RightOperand>& b, std::int32_t* c,
                             Allocator& allocator) {
  std::int64_t k = 0;
  for (const RightOperand& block : b) k += block.k;
  const std::int64_t n = b.front().n;
  std::fill(c, c + m * n, 0);
  Tensor sums = scratch_f32(m * n, allocator);
  float* const sum = sums.data<float>().data();
  for (const RightOperand& block : b) {
    multiply(a, k, 1, m, block, sum);
    a += block.k;
    for (std::int64_t i = 0; i < m * n; ++i)
      c[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(c[i]) +
                                       static_cast<std::uint32_t>(static_cast<std::int32_t>(sum[i])));
  }
}

}  // namespace bitwright
