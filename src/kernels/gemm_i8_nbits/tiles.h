#pragma once

#include <algorithm>
#include <type_traits>

#include "base/simd_int.h"
#include "kernels/gemm_i8_nbits/gemm_i8_nbits.h"

namespace bitwright {

/// What a block's sums begin with: the middle of the range, where that is the zero point.
inline i32x4 start_of_sums(const GemmI8NBits& g, const std::int32_t* a_sum) {
  return g.zeros == nullptr ? load_splat(a_sum) : i32x4{};
}
/// One block's part of 4 outputs.
inline f32x4 add_block(f32x4 y, i32x4 acc, f32x4 a_scale, f32x4 scale) { return y + to_f32x4(acc) * (a_scale * scale); }
inline f32x4 add_block(f32x4 y, i32x4 acc, f32x4 a_scale, f32x4 scale, const std::int32_t* a_sum, f32x4 zero) {
  return y + (to_f32x4(acc) - zero * to_f32x4(load_splat(a_sum))) * (a_scale * scale);
}

inline void store_panel(const GemmI8NBits& g, std::ptrdiff_t row, std::ptrdiff_t panel, const float* sums, bool is_last) {
  const std::ptrdiff_t columns = std::min<std::ptrdiff_t>(8, g.layout.n - panel * 8);
  float* y = g.y + row * g.y_row_stride + panel * 8;
  const float* bias = is_last && g.bias != nullptr ? g.bias + panel * 8 : nullptr;
  for (std::ptrdiff_t c = 0; c < columns; ++c) y[c] = bias != nullptr ? sums[c] + bias[c] : sums[c];
}

// The product over any instruction that multiplies bytes:
//
//   struct Dot {
//     using Item = ...;              // 4 columns with 4 neighbours in k each, ready to be multiplied
//     using Acc = ...;               // sums of a strip for 4 columns
//     static constexpr bool kHas2Bits, kHas8Bits;                // beside 4
//     static constexpr int kActivationBytes;                     // of one element
//     static constexpr int kRows;                                // accumulators of so many rows fit the registers
//     static Item item(u8x16 vector, int shift, u8x16 mask);     // the field of the vector's bytes
//     static Acc accumulate(Acc, const std::uint8_t* activations, const Item&);
//     struct Fold { i32x4 operator()(Acc) const; };              // of sums that are no i32x4
//   };

template <typename Dot>
class NBitsTiles {
 public:
  using Item = typename Dot::Item;
  using Acc = typename Dot::Acc;
  static constexpr int kRows = Dot::kRows;
  static constexpr std::ptrdiff_t kGroupBytes = 4 * Dot::kActivationBytes;  // 4 neighbours in k of one row
  static constexpr std::ptrdiff_t kUnpackedBytes = 16 * sizeof(Item);       // of a strip
  static constexpr std::ptrdiff_t kScratchBytes = 16 * 1024;

  static void run(const GemmI8NBits& g, std::ptrdiff_t first, std::ptrdiff_t last) {
    if constexpr (Dot::kHas2Bits)
      if (g.layout.bits == 2) return panels<2>(g, first, last);
    if constexpr (Dot::kHas8Bits)
      if (g.layout.bits == 8) return panels<8>(g, first, last);
    panels<4>(g, first, last);
  }

 private:
  template <int kBits>
  static void panels(const GemmI8NBits& g, std::ptrdiff_t first, std::ptrdiff_t last) {
    constexpr std::ptrdiff_t kPanels = kBits == 4 ? 4 : 1;
    for (std::ptrdiff_t panel = first; panel < last && panel * 8 < g.layout.n; panel += g.m == 1 ? kPanels : 1)
      g.m == 1 ? one_row<kBits, kPanels>(g, panel) : rows<kBits>(g, panel);
  }

  /// use(panel, group, item of columns 0..3, item of columns 4..7) for the 8 groups of a strip of each of these panels.
  template <int kBits, int kPanels, typename Use>
  static void each_group(const std::uint8_t* strip, std::ptrdiff_t panel_bytes, u8x16 mask, const Use& use) {
    constexpr int kFields = 8 / kBits, kVectors = 8 / kFields;
#pragma GCC unroll 1  // straight on, the compiler would load everything first and spill it
    for (int j = 0; j < kVectors; ++j, strip += 32)
      unrolled<kPanels>([&](auto panel) {
        const std::uint8_t* at = strip + panel * panel_bytes;
        const u8x16 v0 = load_lanes<u8x16>(at), v1 = load_lanes<u8x16>(at + 16);
        unrolled<kFields>(
            [&](auto f) { use(panel, j + f * kVectors, Dot::item(v0, f * kBits, mask), Dot::item(v1, f * kBits, mask)); });
      });
  }

  /// Sums of 32 bits go on over the strips of a block.
  static constexpr bool kGoesOn = std::is_same_v<Acc, i32x4>;
  static Acc first_sum(i32x4 acc) {
    if constexpr (kGoesOn)
      return acc;
    else
      return Acc{};
  }
  static i32x4 with_sum(i32x4 acc, Acc sum, const typename Dot::Fold& fold) {
    if constexpr (kGoesOn)
      return sum;
    else
      return acc + fold(sum);
  }
  /// Panels side by side share the loads of activations, and memory comes faster in several streams than in one.
  template <int kBits, int kPanels>
  static void one_row(const GemmI8NBits& g, std::ptrdiff_t panel) {
    const std::ptrdiff_t blocks = g.layout.n_blocks(), strips = g.layout.strips_per_block();
    const std::ptrdiff_t panel_bytes = g.layout.panel_bytes();
    const std::uint8_t* w = g.weights + panel * panel_bytes;
    const auto* a = static_cast<const std::uint8_t*>(g.a);
    const float* scales = g.scales + panel * blocks * 8;
    const float* zeros = g.zeros != nullptr ? g.zeros + panel * blocks * 8 : nullptr;
    const u8x16 mask = in_register(Dot::mask(kBits));
    const typename Dot::Fold fold;
    f32x4 y[kPanels][2] = {};
    for (std::ptrdiff_t block = 0; block < blocks; ++block) {
      i32x4 acc[kPanels][2];
      unrolled<kPanels>([&](auto p) { acc[p][0] = acc[p][1] = start_of_sums(g, g.a_sums + block); });
      for (std::ptrdiff_t s = 0; s < strips; ++s, w += 32 * kBits, a += 8 * kGroupBytes) {
        Acc sum[kPanels][2];
        unrolled<kPanels>([&](auto p) {
          sum[p][0] = first_sum(acc[p][0]);
          sum[p][1] = first_sum(acc[p][1]);
        });
        each_group<kBits, kPanels>(w, panel_bytes, mask, [&](auto p, int group, const Item& item0, const Item& item1) {
          const std::uint8_t* at = a + group * kGroupBytes;
          sum[p][0] = Dot::accumulate(sum[p][0], at, item0);
          sum[p][1] = Dot::accumulate(sum[p][1], at, item1);
        });
        unrolled<kPanels>([&](auto p) {
          acc[p][0] = with_sum(acc[p][0], sum[p][0], fold);
          acc[p][1] = with_sum(acc[p][1], sum[p][1], fold);
        });
      }
      const auto a_scale = (f32x4)load_splat(g.a_scales + block);
      unrolled<kPanels>([&](auto p) {
        const std::ptrdiff_t at = (p * blocks + block) * 8;
        unrolled<2>([&](auto q) {
          const f32x4 scale = load_f32x4(scales + at + 4 * q);
          y[p][q] = zeros == nullptr
                        ? add_block(y[p][q], acc[p][q], a_scale, scale)
                        : add_block(y[p][q], acc[p][q], a_scale, scale, g.a_sums + block, load_f32x4(zeros + at + 4 * q));
        });
      });
    }
    unrolled<kPanels>([&](auto p) {
      float sums[8];
      store_f32x4(sums, y[p][0]);
      store_f32x4(sums + 4, y[p][1]);
      store_panel(g, 0, panel + p, sums, true);
    });
  }

  /// Unpacks as many blocks of the panel as fit the scratch, then lets every tile of rows pass over them.
  template <int kBits>
  static void rows(const GemmI8NBits& g, std::ptrdiff_t panel) {
    alignas(16) std::uint8_t unpacked[kScratchBytes];
    const std::ptrdiff_t blocks = g.layout.n_blocks(), strips = g.layout.strips_per_block();
    const std::ptrdiff_t blocks_at_once = kScratchBytes / (kUnpackedBytes * strips);
    const std::uint8_t* w = g.weights + panel * g.layout.panel_bytes();
    const u8x16 mask = in_register(Dot::mask(kBits));
    for (std::ptrdiff_t first = 0; first < blocks; first += blocks_at_once) {
      const std::ptrdiff_t n = std::min(blocks_at_once, blocks - first);
      std::uint8_t* to = unpacked;
      for (std::ptrdiff_t s = 0; s < n * strips; ++s, w += 32 * kBits, to += kUnpackedBytes)
        each_group<kBits, 1>(w, 0, mask, [&](auto, int group, const Item& item0, const Item& item1) {
          store_lanes(to + group * 2 * sizeof(Item), item0);
          store_lanes(to + (group * 2 + 1) * sizeof(Item), item1);
        });
      for (std::ptrdiff_t row = 0; row < g.m; row += kRows) tile(g, panel, row, unpacked, first, n);
    }
  }

  static void tile(const GemmI8NBits& g, std::ptrdiff_t panel, std::ptrdiff_t row, const std::uint8_t* unpacked,
                   std::ptrdiff_t first_block, std::ptrdiff_t n_blocks) {
    const std::ptrdiff_t blocks = g.layout.n_blocks(), strips = g.layout.strips_per_block();
    const std::ptrdiff_t n_rows = std::min<std::ptrdiff_t>(kRows, g.m - row);
    const float* scales = g.scales + (panel * blocks + first_block) * 8;
    const float* zeros = g.zeros != nullptr ? g.zeros + (panel * blocks + first_block) * 8 : nullptr;
    const std::uint8_t* a = static_cast<const std::uint8_t*>(g.a) + row * g.layout.padded_k() * Dot::kActivationBytes +
                            first_block * strips * 8 * kGroupBytes * kRows;
    const typename Dot::Fold fold;
    alignas(16) float sums[kRows * 8] = {};
    if (first_block > 0)
      for (std::ptrdiff_t r = 0; r < n_rows; ++r)
        std::copy_n(g.y + (row + r) * g.y_row_stride + panel * 8, std::min<std::ptrdiff_t>(8, g.layout.n - panel * 8),
                    sums + r * 8);
    const float* a_scales[kRows];
    const std::int32_t* a_sums[kRows];
    for (std::ptrdiff_t r = 0; r < kRows; ++r) {
      const std::ptrdiff_t at = std::min(row + r, g.m - 1) * blocks + first_block;
      a_scales[r] = g.a_scales + at;
      a_sums[r] = g.a_sums + at;
    }
    float* held = sums;  // in memory: twice as many variables in a loop, and V8 keeps the sums of the inner one in memory too
    asm volatile("" : "+r"(held));
    for (std::ptrdiff_t block = 0; block < n_blocks; ++block, scales += 8) {
      asm volatile("" ::: "memory");
      i32x4 acc[kRows][2];
      unrolled<kRows>([&](auto r) { acc[r][0] = acc[r][1] = start_of_sums(g, a_sums[r] + block); });
      const std::ptrdiff_t turns = kGoesOn ? 1 : strips, groups = kGoesOn ? 8 * strips : 8;
      for (std::ptrdiff_t s = 0; s < turns; ++s) {
        Acc sum[kRows][2];
        unrolled<kRows>([&](auto r) {
          sum[r][0] = first_sum(acc[r][0]);
          sum[r][1] = first_sum(acc[r][1]);
        });
#pragma GCC unroll 1
        for (std::ptrdiff_t group = 0; group < groups; ++group, unpacked += 2 * sizeof(Item), a += kRows * kGroupBytes) {
          const Item item0 = load_lanes<Item>(unpacked), item1 = load_lanes<Item>(unpacked + sizeof(Item));
          unrolled<kRows>([&](auto r) {
            sum[r][0] = Dot::accumulate(sum[r][0], a + r * kGroupBytes, item0);
            sum[r][1] = Dot::accumulate(sum[r][1], a + r * kGroupBytes, item1);
          });
        }
        unrolled<kRows>([&](auto r) {
          acc[r][0] = with_sum(acc[r][0], sum[r][0], fold);
          acc[r][1] = with_sum(acc[r][1], sum[r][1], fold);
        });
      }
      unrolled<kRows>([&](auto r) {
        const auto a_scale = (f32x4)load_splat(a_scales[r] + block);
        unrolled<2>([&](auto q) {
          float* y = held + r * 8 + 4 * q;
          const f32x4 scale = load_f32x4(scales + 4 * q);
          store_f32x4(y, zeros == nullptr ? add_block(load_f32x4(y), acc[r][q], a_scale, scale)
                                          : add_block(load_f32x4(y), acc[r][q], a_scale, scale, a_sums[r] + block,
                                                      load_f32x4(zeros + block * 8 + 4 * q)));
        });
      });
    }
    for (std::ptrdiff_t r = 0; r < n_rows; ++r) store_panel(g, row + r, panel, sums + r * 8, first_block + n_blocks == blocks);
  }
};

/// As the tiles of a Dot read them: its rows, 4 neighbours in k of each side by side. put(4 codes, where they go).
template <typename Dot, typename Put>
void arrange_rows(const std::int8_t* codes, std::ptrdiff_t m, std::ptrdiff_t padded_k, void* arranged, const Put& put) {
  auto* to = static_cast<std::uint8_t*>(arranged);
  const std::ptrdiff_t rows = m == 1 ? 1 : Dot::kRows;
  static constexpr std::int8_t kNone[4] = {};
  for (std::ptrdiff_t row = 0; row < m; row += rows)
    for (std::ptrdiff_t p = 0; p < padded_k; p += 4)
      for (std::ptrdiff_t r = 0; r < rows; ++r, to += 4 * Dot::kActivationBytes)
        put(row + r < m ? codes + (row + r) * padded_k + p : kNone, to);
}

}  // namespace bitwright
