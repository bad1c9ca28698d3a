#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bitwright {

// Softmax and layer normalization on codes, in integers alone (after I-BERT, Kim et al. 2021, arXiv 2101.01321, with a table
// where it has a polynomial: a code has 256 values). Rows are dense, first_row to last_row of them are worked on.

/// y = clamp(round_half_up(e[i] / (sum of e * y_scale)) + zero_point, 0, 255),  e[i] = table[255 - max + x[i]]
/// The table is the one of onnxruntime's QLinearSoftmax: exp((i - 255) * x_scale) * min(2^32 / n, 2^23).
struct SoftmaxU8 {
  std::ptrdiff_t rows = 0, n = 0;
  const std::uint8_t* x = nullptr;
  std::uint8_t* y = nullptr;
  const std::uint32_t* table = nullptr;  // [256]
  std::uint64_t inverse_y_scale = 0;     // 2^16 / y_scale
  std::int32_t zero_point = 0;
};
/// Fills the table and sets inverse_y_scale. False where y_scale is below 2^-17 or no number, or rows are longer than 2^23.
bool set_softmax_u8(SoftmaxU8& softmax, float x_scale, float y_scale, std::span<std::uint32_t, 256> table);
void softmax_u8(const SoftmaxU8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);

/// y = (x - mean) / sqrt(variance + epsilon) * gamma[i] + beta[i], by codes:
///   d[i] = n x[i] - sum of x;  the root of (sum of d^2) / n + n^2 epsilon / x_scale^2 has 8 bits of fraction, the quotient 20
///   y    = clamp((quotient * gamma[i] + beta[i] + 2^33) >> 34 + zero_point, 0, 255)
struct LayerNormU8 {
  std::ptrdiff_t rows = 0, n = 0;
  const std::uint8_t* x = nullptr;
  std::uint8_t* y = nullptr;
  std::uint64_t epsilon = 1;            // n^2 epsilon / x_scale^2, at least 1
  const std::int32_t* gamma = nullptr;  // [n] gamma / y_scale * 2^14
  const std::int64_t* beta = nullptr;   // [n] beta / y_scale * 2^34
  std::int32_t zero_point = 0;
};
inline constexpr std::ptrdiff_t kMaxLayerNormU8 = 1 << 14;  // d^2 < 2^44, their sum < 2^58
/// Sets epsilon and fills both arrays. False where a number is not finite or does not fit, or rows are longer than kMaxLayerNormU8.
bool set_layer_norm_u8(LayerNormU8& norm, float x_scale, float y_scale, float epsilon, std::span<const float> gamma,
                       std::span<const float> beta, std::span<std::int32_t> fixed_gamma, std::span<std::int64_t> fixed_beta);
void layer_norm_u8(const LayerNormU8&, std::ptrdiff_t first_row, std::ptrdiff_t last_row);

/// floor(sqrt(v)), by Newton's steps from above.
std::uint64_t square_root(std::uint64_t v);

}  // namespace bitwright
