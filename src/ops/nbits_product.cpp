#include "ops/nbits_product.h"

#include <algorithm>

#include "base/parallel_for.h"

namespace bitwright {

std::unique_ptr<NBitsWeights> pack_nbits(const NBitsLayout& layout, const StoredCodes& codes, const BlockValues& blocks) {
  auto weights = std::make_unique<NBitsWeights>();
  weights->layout = layout;
  weights->variant = &choose_gemm_i8_nbits(layout.bits);
  weights->packed.resize(static_cast<std::size_t>(layout.packed_bytes()) + kSlackBytes);
  parallel_for(layout.n_panels(), 4, [&](std::int64_t begin, std::int64_t end) {
    pack_nbits(layout, codes, static_cast<std::ptrdiff_t>(begin), static_cast<std::ptrdiff_t>(end), weights->packed.data());
  });
  const auto spread = [&](const std::vector<float>& values) {
    std::vector<float> to(static_cast<std::size_t>(layout.n_scales()));
    for (std::ptrdiff_t column = 0; column < layout.n; ++column)
      for (std::ptrdiff_t block = 0; block < layout.n_blocks(); ++block)
        to[static_cast<std::size_t>((column / 8 * layout.n_blocks() + block) * 8 + column % 8)] =
            values[static_cast<std::size_t>(column * blocks.column_stride + block * blocks.block_stride)];
    return to;
  };
  weights->scales = spread(blocks.scales);
  const auto middle = static_cast<float>(1 << (layout.bits - 1));
  if (std::any_of(blocks.zeros.begin(), blocks.zeros.end(), [&](float zero) { return zero != middle; }))
    weights->zeros = spread(blocks.zeros);
  return weights;
}

void multiply_nbits(const float* a, std::int64_t m, const NBitsWeights& weights, const float* bias, float* y,
                    Allocator& allocator) {
  const NBitsLayout& layout = weights.layout;
  const auto rows = static_cast<std::ptrdiff_t>(m);
  const std::int64_t n_blocks = m * layout.n_blocks(), n_codes = m * layout.padded_k();
  Tensor codes(DType::i8, {n_codes}, allocator), scales(DType::f32, {n_blocks}, allocator),
      sums(DType::i32, {n_blocks}, allocator);
  Tensor arranged(DType::u8, {arranged_bytes(rows, layout)}, allocator);
  quantize_blocks_i8(a, rows, layout, codes.data<std::int8_t>().data(), scales.data<float>().data(),
                     weights.zeros.empty() ? -(1 << (layout.bits - 1)) : 1, sums.data<std::int32_t>().data());
  weights.variant->arrange(codes.data<std::int8_t>().data(), rows, layout.padded_k(), arranged.bytes().data());
  gemm_i8_nbits_parallel({.layout = layout,
                          .m = rows,
                          .a = arranged.bytes().data(),
                          .a_scales = scales.data<float>().data(),
                          .a_sums = sums.data<std::int32_t>().data(),
                          .weights = weights.packed.data(),
                          .scales = weights.scales.data(),
                          .zeros = weights.zeros.empty() ? nullptr : weights.zeros.data(),
                          .bias = bias,
                          .y = y,
                          .y_row_stride = layout.n},
                         weights.variant->run);
}

}  // namespace bitwright
