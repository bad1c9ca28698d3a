#pragma once

#include <vector>

#include "kernels/gemm_i8_nbits/gemm_i8_nbits.h"
#include "ops/op.h"

namespace bitwright {

/// Constant weights of few bits in blocks along k, packed for products with 8-bit activations.
struct NBitsWeights : OpState {
  NBitsLayout layout;
  const GemmI8NBitsVariant* variant = nullptr;
  std::vector<std::uint8_t> packed;
  std::vector<float> scales, zeros;  // zeros: empty where all are the middle of the range
};

/// Where blocks have their scale and zero point: those of column j and block b stand at j * column_stride + b * block_stride.
struct BlockValues {
  std::vector<float> scales, zeros;  // zeros may be empty: the middle of the range
  std::int64_t column_stride = 0, block_stride = 0;
};

std::unique_ptr<NBitsWeights> pack_nbits(const NBitsLayout& layout, const StoredCodes& codes, const BlockValues& blocks);

/// y[m, n] = quantized(a)[m, k] w + bias: the rows of `a` become 8-bit codes block by block (quantize_blocks_i8). bias: null or [n].
void multiply_nbits(const float* a, std::int64_t m, const NBitsWeights& weights, const float* bias, float* y,
                    Allocator& allocator);

}  // namespace bitwright
