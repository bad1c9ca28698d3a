#pragma once

#include "kernels/gemm_f32/gemm_f32.h"
#include "ops/op.h"

namespace bitwright {

/// The right operand of a float product, [k, n], in a form that the kernels take: packed panels, or where it stands.
struct RightOperand {
  std::int64_t k = 0;
  std::int64_t n = 0;
  const float* panels = nullptr;
  std::int64_t panel_stride = 8;
  std::int64_t k_stride = 0;
  Tensor storage;  // holds the panels if packed
};

/// B[p][j] = b[p * k_stride + j * column_stride]. Packs unless fewer than `n_rows_worth_packing` rows will be multiplied.
RightOperand right_operand(const float* b, std::int64_t k_stride, std::int64_t column_stride, std::int64_t k, std::int64_t n,
                           std::int64_t m, Allocator& allocator);

/// The packed form of a constant, kept in an operator's state.
struct PackedRight : OpState {
  RightOperand operand;
};

/// c[m, n] = a[m, k] b[k, n]; a by strides, c row-major with rows of n. The default kernel is deterministic.
void multiply(const float* a, std::int64_t a_row_stride, std::int64_t a_k_stride, std::int64_t m, const RightOperand& b, float* c,
              const float* column_bias = nullptr, GemmF32Kernel kernel = choose_gemm_f32());

/// MatMul's shapes: batch axes broadcast, vectors promoted.
struct MatMulShape {
  Shape batch;  // broadcast
  std::int64_t m, n, k;
  Shape output;
};
/// Throws Error{shape_mismatch} naming the node. Extents may be unknown.
MatMulShape matmul_shape(const Node& node, Shape a, Shape b);

/// The axes before a matrix.
Shape batch_of(const Shape& shape);
/// Where the matrix of an operand begins that each of the batches takes, in matrices.
std::vector<std::int64_t> batch_offsets(const Shape& operand, const Shape& batch);

/// Products of doubles and of 64-bit integers (which wrap), for types that have no kernel.
template <typename T>
void multiply_plain(const T* a, const T* b, T* c, std::int64_t m, std::int64_t n, std::int64_t k);

/// The right operand of an exact product of small integers, held as floats: |b| at most 255. Packed in blocks of rows whose partial
/// sums are exact floats.
std::vector<RightOperand> pack_small_integers(const float* b, std::int64_t k, std::int64_t n, Allocator& allocator);
/// c[m, n] = a[m, k] b[k, n] in int32 (sums wrap as two's complement does); |a| at most 255, all dense.
void multiply_small_integers(const float* a, std::int64_t m, const std::vector<RightOperand>& b, std::int32_t* c,
                             Allocator& allocator);

}  // namespace bitwright
