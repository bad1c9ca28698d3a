#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "kernels/clamp_f32.h"

namespace bitwright {

/// A block of a matrix product in float:
///
///   C[i][j] = clamp(sum over p = 0 .. k-1 of A[i][p] * B[p][j]   (+ row_bias[i]) (+ column_bias[j]))
///
/// One float accumulator per output, from 0, p ascending, multiply then add, the bias last: so the bits do not depend on the
/// variant's tile, the blocking, the thread count or the host. (Relaxed variants contract and are left out of that promise.)
///
/// A is addressed by two strides, so that plain, transposed and packed forms serve alike. B comes in panels of 8 columns:
/// B[p][j] = b[(j / 8) * b_panel_stride + p * b_k_stride + j % 8], and all 8 columns of the last panel may be read.
/// Row-major B with ldb columns is b_panel_stride = 8, b_k_stride = ldb. Only the n columns asked for are written to C.
/// Preconditions: m, n, k >= 0; C overlaps neither input.
struct GemmF32 {
  std::ptrdiff_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  std::ptrdiff_t a_row_stride = 0, a_k_stride = 1;
  const float* b = nullptr;
  std::ptrdiff_t b_panel_stride = 8, b_k_stride = 0;
  float* c = nullptr;
  std::ptrdiff_t c_row_stride = 0;
  const float* row_bias = nullptr;
  const float* column_bias = nullptr;
  ClampF32 clamp{};
};

inline constexpr std::ptrdiff_t kGemmPanelColumns = 8;

using GemmF32Kernel = void (*)(const GemmF32&);

struct GemmF32Variant {
  std::string_view name;
  GemmF32Kernel run;
  bool is_deterministic;
};

/// The list, best first.
std::span<const GemmF32Variant> gemm_f32_variants();
/// The best variant; a relaxed one only where `is_deterministic` is false and this build has one.
GemmF32Kernel choose_gemm_f32(bool is_deterministic = true);

/// The product in blocks of rows and columns that keep panels in cache, shared out over the threads of the scope.
void gemm_f32_blocked(const GemmF32& product, GemmF32Kernel kernel);

/// Floats that packed B takes: whole panels.
constexpr std::ptrdiff_t packed_b_floats(std::ptrdiff_t k, std::ptrdiff_t n) { return (n + 7) / 8 * 8 * k; }
/// Packs panels [first_panel, last_panel) of B[p][j] = b[p * k_stride + j * column_stride] as [panel][k][8], zeros beyond column n.
/// `packed` is where panel 0 stands. Multiply with b_panel_stride = 8 * k, b_k_stride = 8.
void pack_b_f32(const float* b, std::ptrdiff_t k_stride, std::ptrdiff_t column_stride, std::ptrdiff_t k, std::ptrdiff_t n,
                std::ptrdiff_t first_panel, std::ptrdiff_t last_panel, float* packed);

#define GEMM_F32_KERNEL(function, is_deterministic) void function(const GemmF32&);
#include "kernels/gemm_f32/variants.inc"
#undef GEMM_F32_KERNEL

}  // namespace bitwright
