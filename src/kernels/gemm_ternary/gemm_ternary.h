#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bitwright {

// Products of codes from {-1, 0, 1}, 128 at a time: where both are not 0, an xor says which products are -1, and popcount adds them up
// (XNOR-Net, Rastegari et al., arXiv 1603.05279; ternary weights: Li et al., arXiv 1605.04711). Binary codes are those without a 0.

/// A row of ternary codes: 128 neighbours in k are two vectors, bits of the codes that are not 0, then of those below 0; beyond
/// the end both are clear. Word w of 32 codes stands in lane w % 4 of vectors 2 * (w / 4) and 2 * (w / 4) + 1. Of binary weights
/// there is the second vector alone.
struct TernaryLayout {
  std::ptrdiff_t n = 0, k = 0;
  bool is_binary = false;  // no weight is 0
  std::ptrdiff_t n_vectors() const { return (k + 127) / 128; }
  std::ptrdiff_t row_words() const { return n_vectors() * 8; }
  std::ptrdiff_t weight_words() const { return n_vectors() * (is_binary ? 4 : 8); }  // of a column
};

///   y[i][j] = float(sum over k of a[i][k] * w[j][k]) * scale[j]   (+ bias[j])
/// The sum is exact in int32; multiply, then add. All variants give the same bits.
struct GemmTernary {
  TernaryLayout layout;
  std::ptrdiff_t m = 0;
  const std::uint32_t* a = nullptr;        // [m] rows
  const std::int32_t* a_counts = nullptr;  // [m] codes that are not 0; read for binary weights
  const std::uint32_t* weights = nullptr;  // [n] columns
  const float* scales = nullptr;           // [n]
  const float* bias = nullptr;             // [n] or null
  float* y = nullptr;                      // y[i * y_row_stride + j * y_column_stride]
  std::ptrdiff_t y_row_stride = 0, y_column_stride = 1;
};

/// Columns [first, last).
using GemmTernaryKernel = void (*)(const GemmTernary&, std::ptrdiff_t first, std::ptrdiff_t last);
struct GemmTernaryVariant {
  std::string_view name;
  GemmTernaryKernel run;
};
/// The list, best first.
std::span<const GemmTernaryVariant> gemm_ternary_variants();
/// All columns by the first, shared out over the threads of the scope.
void gemm_ternary_parallel(const GemmTernary& product);

/// The signs of [pixels][channels] floats at the given strides; that of NaN is 0. Each pixel becomes pairs of words, 32 channels each:
/// those that are not 0, those below 0.
void pack_signs(const float* x, std::ptrdiff_t pixels, std::ptrdiff_t pixel_stride, std::ptrdiff_t channels,
                std::ptrdiff_t channel_stride, std::uint32_t* words);
/// A row as a column of weights.
void pack_column(const TernaryLayout& layout, const std::uint32_t* row, std::uint32_t* column);

#define GEMM_TERNARY_KERNEL(function) void function(const GemmTernary&, std::ptrdiff_t, std::ptrdiff_t);
#include "kernels/gemm_ternary/variants.inc"
#undef GEMM_TERNARY_KERNEL

}  // namespace bitwright
