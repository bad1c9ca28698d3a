#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bitwright {

// Products of 8-bit activations with weights of 1, 2, 3, 4 or 8 bits that share a scale in blocks along k. Nothing is unpacked but
// the strip or the panel at hand.

/// k is cut into blocks, a block into strips of 32 (the last strip of a block is filled with zeros), n into panels of 8 columns.
/// Weights of a strip, 4 * bits vectors: an item is the 16 bytes of 4 columns with 4 neighbours in k each, q = 0, 1 the half of
/// the panel, group g = 0 .. 7 the place of 4 neighbours in the strip.
///   4 bits   [j 0..3][q]   low nibble: group j, high nibble: group j + 4
///   2 bits   [j 0..1][q]   from the low bits: groups j, j + 2, j + 4, j + 6
///   8 bits   [g 0..7][q]
/// By table (1, 2 and 3 bits) a strip is [bit][j 0..3][column], bytes: that bit of group j's neighbours, then of group j + 4's.
struct NBitsLayout {
  int bits = 4;
  std::ptrdiff_t n = 0, k = 0, block_size = 32;
  bool is_by_table = false;
  std::ptrdiff_t n_panels() const { return (n + 31) / 32 * 4; }  // by fours, as kernels take them
  std::ptrdiff_t n_blocks() const { return (k + block_size - 1) / block_size; }
  std::ptrdiff_t strips_per_block() const { return (block_size + 31) / 32; }
  std::ptrdiff_t padded_k() const { return n_blocks() * strips_per_block() * 32; }  // elements of a row of activations
  std::ptrdiff_t panel_bytes() const { return n_blocks() * strips_per_block() * 32 * bits; }
  std::ptrdiff_t packed_bytes() const { return n_panels() * panel_bytes(); }
  std::ptrdiff_t n_scales() const { return n_panels() * n_blocks() * 8; }  // floats, [panel][block][8]
};
/// Blocks above this could leave 2^24, where sums stop to be exact floats: 512 * 255 * 127 < 2^24.
inline constexpr std::ptrdiff_t kMaxNBitsBlock = 512;

///   y[i][j] = sum over blocks b of (float(acc) - zero[b][j] * float(a_sum[i][b])) * (a_scale[i][b] * scale[b][j])   (+ bias[j])
///   acc     = sum over the k of block b of a[i][k] * code[j][k]     in int32
/// One float accumulator per output, from 0, blocks ascending, the bias last; multiply, then add. All variants give the same bits.
struct GemmI8NBits {
  NBitsLayout layout;
  std::ptrdiff_t m = 0;
  const void* a = nullptr;               // arranged by the variant
  const float* a_scales = nullptr;       // [m][n_blocks]
  const std::int32_t* a_sums = nullptr;  // [m][n_blocks]; where zeros is null times -2^(bits - 1), which acc begins with
  const std::uint8_t* weights = nullptr;
  const float* scales = nullptr;  // [panel][block][8]
  const float* zeros = nullptr;   // likewise; null: 2^(bits - 1)
  const float* bias = nullptr;    // [n] or null
  float* y = nullptr;             // [m], rows of y_row_stride
  std::ptrdiff_t y_row_stride = 0;
};

/// Panels [first, last), multiples of 4.
using GemmI8NBitsKernel = void (*)(const GemmI8NBits&, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel);
/// Rows of codes, [m][padded_k], in the order in which a variant reads them, or tables: `arranged` has arranged_bytes(...).
using ArrangeI8 = void (*)(const std::int8_t* codes, std::ptrdiff_t m, std::ptrdiff_t padded_k, void* arranged);

struct GemmI8NBitsVariant {
  std::string_view name;
  GemmI8NBitsKernel run;
  ArrangeI8 arrange;
  int widths;  // bit b is set where it takes weights of b bits
  bool is_by_table = false;
  bool takes(int bits) const { return (widths >> bits & 1) != 0; }
};
/// The list, best first.
std::span<const GemmI8NBitsVariant> gemm_i8_nbits_variants();
/// The best of this build for weights of so many bits on this engine: 2, 4 or 8, as files have them.
const GemmI8NBitsVariant& choose_gemm_i8_nbits(int bits);

#if defined(BITWRIGHT_RELAXED)
/// True if this engine's relaxed dot multiplies signed by 7-bit numbers as the specification has it (some swap the operands).
bool is_relaxed_dot_exact();
#endif

/// Rows are arranged in tiles of 4 (2 bytes an element at most) or of 6 (1 byte), the last filled with zeros, but a single row alone.
/// Tables have 32 bytes for 4 elements.
inline std::ptrdiff_t arranged_bytes(std::ptrdiff_t m, const NBitsLayout& layout) {
  if (layout.is_by_table) return m * layout.padded_k() * 8;
  return (m == 1 ? 1 : (m + 3) / 4 * 4) * layout.padded_k() * 2;
}

/// Codes of rows by blocks: scale = max |x| / 127, code = round half to even of x / scale; sums of codes, times `factor`.
/// codes: [m][padded_k].
void quantize_blocks_i8(const float* x, std::ptrdiff_t m, const NBitsLayout& layout, std::int8_t* codes, float* scales,
                        std::int32_t factor, std::int32_t* sums);
/// All panels, shared out over the threads of the scope.
void gemm_i8_nbits_parallel(const GemmI8NBits& product, GemmI8NBitsKernel kernel);

/// Codes as they lie in a file: that of column j at k is element j * column_stride + k * k_stride of a packed row of stored_bits
/// (1, 2, 4 or 8), the first in the low bits. `flip` is xored: the sign bit of signed codes, which raises zero points with them.
struct StoredCodes {
  const std::uint8_t* bytes = nullptr;
  int stored_bits = 4;
  std::ptrdiff_t column_stride = 0, k_stride = 1;
  std::uint32_t flip = 0;
};
/// Packs panels [first, last) into their places; columns and k beyond the end are zero.
void pack_nbits(const NBitsLayout& layout, const StoredCodes& codes, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel,
                std::uint8_t* packed);

#define GEMM_I8_NBITS_KERNEL(function, arrange, widths, is_by_table) \
  void function(const GemmI8NBits&, std::ptrdiff_t, std::ptrdiff_t); \
  void arrange(const std::int8_t*, std::ptrdiff_t, std::ptrdiff_t, void*);
#include "kernels/gemm_i8_nbits/variants.inc"
#undef GEMM_I8_NBITS_KERNEL

// Where code (group g, half q, byte i) of a strip stands: bits [shift, shift + n) of byte `byte`.
struct NBitsPlace {
  std::ptrdiff_t byte;
  int shift;
};
constexpr NBitsPlace nbits_place(int bits, int g, int q, int i) {
  const int groups_per_byte = 8 / bits, vectors = 8 / groups_per_byte;
  return {(g % vectors * 2 + q) * 16 + i, g / vectors * bits};
}

}  // namespace bitwright
