#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"
#include "kernels/requantize_lanes.h"

namespace bitwright {

// Sixteen channels at a time. The columns of the input rows that an output row takes are brought once into a scratch in L1, the codes
// of Dot::kRows rows side by side; every output of the row that needs the column then multiplies by two dots a group of rows. So that
// work is shared by as many outputs as the kernel is wide, and padding, strides and dilation cost nothing in the inner loop.
//
//   struct Dot {
//     static constexpr int kRows;                // of a group: 2 as i16, 4 as bytes
//     static void put(u8x16* low, u8x16* high, const u8x16 (&rows)[kRows]);  // channels 0 to 7 and 8 to 15, two vectors each
//     static i32x4 accumulate(i32x4 acc, u8x16 codes, u8x16 weights);
//   };
//
// `flip` is 0x80 where the instruction takes codes as signed numbers, else 0.

template <typename Dot, typename Lanes>
class DepthwiseTiles {
 public:
  DepthwiseTiles(const DepthwiseU8I8& d, std::uint8_t flip)
      : d_(d),
        g_(d.geometry),
        lanes_(d.requantize),
        packing_(g_.n_taps(), g_.kernel[2]),
        flip_(splat_u8(flip)),
        bias_(flip == 0 ? 0 : packing_.flipped_bias()),
        rows_(g_.kernel[0] * g_.kernel[1]),
        groups_((rows_ + Dot::kRows - 1) / Dot::kRows),
        reach_((g_.kernel[2] - 1) * g_.dilation[2] + 1) {}

  /// Whether the columns of one tile fit the scratch, and the weights the instruction.
  bool fits() const {
    if (rows_ > kMaxRows || ((kOutputs - 1) * g_.stride[2] + reach_) * 2 * groups_ > kScratchVectors) return false;
    if (Dot::kRows == 2) return true;
    for (std::ptrdiff_t c = 0; c < d_.out_channels(); c += 8)
      if (!packing_.has_bytes(d_.packed + c / 8 * packing_.block_bytes())) return false;
    return true;
  }

  void run(std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
    // Outputs whose columns fit the scratch; the last tile may touch those of kOutputs - 1 more.
    const std::ptrdiff_t span =
        std::max<std::ptrdiff_t>(1, (kScratchVectors / (2 * groups_) - reach_) / g_.stride[2] + 2 - kOutputs);
    const bool is_usual = g_.kernel[2] == 3 && groups_ == kUsualGroups && g_.dilation[2] == 1;
    for (std::ptrdiff_t row = first_row; row < last_row; ++row) {
      find_rows(row);
      for (std::ptrdiff_t c = 0; c < d_.out_channels(); c += 16)
        for (std::ptrdiff_t x = 0; x < g_.output[2]; x += span) {
          const std::ptrdiff_t n = std::min(span, g_.output[2] - x);
          bring(c, x * g_.stride[2] - g_.pad_begin[2], (n - 1) * g_.stride[2] + reach_);
          for (std::ptrdiff_t half = 0; half < 2 && c + 8 * half < d_.out_channels(); ++half) {
            const std::ptrdiff_t from = c + 8 * half;
            const std::byte* block = d_.packed + from / 8 * packing_.block_bytes();
            std::uint8_t* y = d_.y + (row * g_.output[2] + x) * d_.y_pixel_stride + from;
            const u8x16* columns = scratch_ + half * kScratchVectors;
            if (is_usual && g_.stride[2] == 1)
              outputs<1>(columns, from, n, block, y);
            else if (is_usual && g_.stride[2] == 2)
              outputs<2>(columns, from, n, block, y);
            else
              outputs<0>(columns, from, n, block, y);
          }
        }
    }
  }

 private:
  static constexpr int kOutputs = 4;                           // of a tile: eight accumulators
  static constexpr std::ptrdiff_t kScratchVectors = 768 + 12;  // of each half; the odd lines keep the halves apart in the cache
  static constexpr std::ptrdiff_t kMaxRows = 64;
  static constexpr std::ptrdiff_t kUsualGroups = (3 + Dot::kRows - 1) / Dot::kRows;

  /// Where the rows that output row `row` takes begin, nullptr for padding.
  void find_rows(std::ptrdiff_t row) {
    const std::ptrdiff_t y = row % g_.output[1], slice = row / g_.output[1];
    const std::ptrdiff_t image = slice / g_.output[0], z0 = slice % g_.output[0] * g_.stride[0] - g_.pad_begin[0];
    const std::ptrdiff_t y0 = y * g_.stride[1] - g_.pad_begin[1];
    for (std::ptrdiff_t r = rows_; r < groups_ * Dot::kRows; ++r) from_[r] = nullptr;  // partners of the last rows: weights 0
    for (std::ptrdiff_t r = 0; r < rows_; ++r) {
      const std::ptrdiff_t z = z0 + r / g_.kernel[1] * g_.dilation[0], in_y = y0 + r % g_.kernel[1] * g_.dilation[1];
      const bool is_inside = z >= 0 && z < g_.input[0] && in_y >= 0 && in_y < g_.input[1];
      from_[r] = is_inside ? d_.x + ((image * g_.input[0] + z) * g_.input[1] + in_y) * g_.input[2] * d_.x_pixel_stride : nullptr;
    }
  }

  /// Columns x .. x + n - 1 of these rows, 16 channels from c on: scratch [half][column][group][2].
  void bring(std::ptrdiff_t c, std::ptrdiff_t x, std::ptrdiff_t n) {
    const u8x16 zero = splat_u8(d_.x_zero_point), padding = zero ^ flip_;
    const std::ptrdiff_t before = std::clamp<std::ptrdiff_t>(-x, 0, n);
    const std::ptrdiff_t inside = std::clamp<std::ptrdiff_t>(g_.input[2] - x, before, n);
    std::uint8_t codes[Dot::kRows][16];
    store_lanes(codes[0], zero);
    u8x16 none[Dot::kRows];
    unrolled<Dot::kRows>([&](auto r) { none[r] = padding; });
    for (std::ptrdiff_t group = 0; group < groups_; ++group) {
      const std::uint8_t* const* from = from_ + Dot::kRows * group;
      u8x16* to = scratch_ + 2 * group;
      std::ptrdiff_t i = 0;
      const std::ptrdiff_t step = 2 * groups_;
      for (; i < before; ++i, to += step) Dot::put(to, to + kScratchVectors, none);
      if (d_.multiplier == 1) {
        // A row of padding is read as its one code, again and again.
        const std::uint8_t* at[Dot::kRows];
        std::ptrdiff_t steps[Dot::kRows];
        unrolled<Dot::kRows>([&](auto r) {
          steps[r] = from[r] != nullptr ? d_.x_pixel_stride : 0;
          at[r] = from[r] != nullptr ? from[r] + (x + i) * d_.x_pixel_stride + c : codes[0];
        });
        for (; i < inside; ++i, to += step) {
          u8x16 row[Dot::kRows];
          unrolled<Dot::kRows>([&](auto r) {
            row[r] = load_lanes<u8x16>(at[r]) ^ flip_;
            at[r] += steps[r];
          });
          Dot::put(to, to + kScratchVectors, row);
        }
      } else {
        for (; i < inside; ++i, to += step) {
          for (std::ptrdiff_t j = 0; j < 16; ++j)
            for (std::ptrdiff_t r = 0; r < Dot::kRows; ++r)
              codes[r][j] = from[r] == nullptr
                                ? static_cast<std::uint8_t>(d_.x_zero_point)
                                : from[r][(x + i) * d_.x_pixel_stride + std::min((c + j) / d_.multiplier, d_.channels - 1)];
          u8x16 row[Dot::kRows];
          unrolled<Dot::kRows>([&](auto r) { row[r] = load_lanes<u8x16>(codes[r]) ^ flip_; });
          Dot::put(to, to + kScratchVectors, row);
        }
      }
      for (; i < n; ++i, to += step) Dot::put(to, to + kScratchVectors, none);
    }
  }

  /// kStride 1 and 2: kernels of 3 columns and up to 3 rows, all offsets constant. 0: any.
  template <std::ptrdiff_t kStride>
  void outputs(const u8x16* columns, std::ptrdiff_t c, std::ptrdiff_t n, const std::byte* block, std::uint8_t* y) const {
    const i32x4 bias_low = load_lanes<i32x4>(block + bias_), bias_high = load_lanes<i32x4>(block + bias_ + 16);
    const std::ptrdiff_t groups = kStride > 0 ? kUsualGroups : groups_, width = kStride > 0 ? 3 : g_.kernel[2];
    const std::ptrdiff_t apart = (kStride > 0 ? kStride : g_.stride[2]) * groups * 2;
    const std::ptrdiff_t per_tap = (kStride > 0 ? 1 : g_.dilation[2]) * groups * 2;
    for (std::ptrdiff_t done = 0; done < n; done += kOutputs, columns += kOutputs * apart) {
      i32x4 low[kOutputs], high[kOutputs];
      unrolled<kOutputs>([&](auto o) {
        low[o] = bias_low;
        high[o] = bias_high;
      });
      const auto step = [&](const u8x16* tap, const std::byte* w) {
        const u8x16 w_low = load_lanes<u8x16>(w), w_high = load_lanes<u8x16>(w + 16);
        unrolled<kOutputs>([&](auto o) {
          low[o] = Dot::accumulate(low[o], tap[o * apart], w_low);
          high[o] = Dot::accumulate(high[o], tap[o * apart + 1], w_high);
        });
      };
      const std::byte* w = block + packing_.weights(Dot::kRows);
      if constexpr (kStride > 0) {
        const u8x16* tap = columns;
#pragma GCC unroll 1
        for (int kx = 0; kx < 3; ++kx, tap += 2 * kUsualGroups, w += 32 * kUsualGroups)
          unrolled<kUsualGroups>([&](auto group) { step(tap + 2 * group, w + 32 * group); });
      } else {
        for (std::ptrdiff_t kx = 0; kx < width; ++kx)
          for (std::ptrdiff_t group = 0; group < groups; ++group, w += 32) step(columns + kx * per_tap + 2 * group, w);
      }
      store(low, high, std::min<std::ptrdiff_t>(kOutputs, n - done), c, y);
      y += kOutputs * d_.y_pixel_stride;
    }
  }

  [[gnu::always_inline]] void store(const i32x4 (&low)[kOutputs], const i32x4 (&high)[kOutputs], std::ptrdiff_t n,
                                    std::ptrdiff_t c, std::uint8_t* y) const {
    const auto codes = [&](int o) {
      return lanes_.finish(narrow(lanes_(low[o], high[o], c), lanes_(low[o + 1], high[o + 1], c)));
    };
    const u8x16 first = codes(0), second = codes(2);
    const std::ptrdiff_t channels = std::min<std::ptrdiff_t>(8, d_.out_channels() - c), step = d_.y_pixel_stride;
    if (channels == 8) {
      store_half<0>(y, first);
      if (n > 1) store_half<1>(y + step, first);
      if (n > 2) store_half<0>(y + 2 * step, second);
      if (n > 3) store_half<1>(y + 3 * step, second);
      return;
    }
    store_bytes_of_halves(y, n > 1 ? y + step : nullptr, first, channels);
    if (n > 2) store_bytes_of_halves(y + 2 * step, n > 3 ? y + 3 * step : nullptr, second, channels);
  }

  const DepthwiseU8I8& d_;
  const ConvGeometry& g_;
  Lanes lanes_;
  DepthwisePacking packing_;
  u8x16 flip_;
  std::ptrdiff_t bias_, rows_, groups_, reach_;
  const std::uint8_t* from_[kMaxRows + Dot::kRows];
  u8x16 scratch_[2 * kScratchVectors];
};

/// Rows by the tiles where they fit, else by `otherwise`.
template <typename Dot, typename Lanes>
void depthwise_u8_i8_tiles(const DepthwiseU8I8& d, std::uint8_t flip, std::ptrdiff_t first_row, std::ptrdiff_t last_row,
                           DepthwiseU8I8Kernel otherwise) {
  DepthwiseTiles<Dot, Lanes> tiles(d, flip);
  if (tiles.fits())
    tiles.run(first_row, last_row);
  else
    otherwise(d, first_row, last_row);
}

}  // namespace bitwright
