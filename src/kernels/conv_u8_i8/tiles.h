#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "kernels/requantize_lanes.h"

namespace bitwright {

// A convolution in tiles of Dot::kRows pixels by 8 columns. The activations of a tile are gathered once into a scratch in L1, in the
// order of k (so there is no im2col buffer and no padded copy), or read where they lie if they have that order already; then every
// panel of the block runs over them. A step is 4 bytes of each activation row, splatted, against two vectors of the panel.
//
//   struct Dot {
//     using Activation = ...;                     // i16: a step is 2 k; u8: a step is 4 k
//     static constexpr int kRows;                 // accumulators that fit the registers
//     static constexpr bool has_zero_points;      // the panel's head says them
//     using Weights = ...;                        // 16 bytes
//     static i32x4 accumulate(i32x4 acc, i32x4 activations, Weights weights);
//   };
//
// `flip` is 0x80 where the instruction takes activations as signed numbers, else 0; activations of 16 bits have none.

template <typename Dot>
class ConvTiles {
 public:
  using Activation = typename Dot::Activation;
  static constexpr std::ptrdiff_t kStep = 4 / sizeof(Activation);
  static constexpr std::ptrdiff_t kHead = Dot::has_zero_points ? 64 : 32;
  static constexpr std::ptrdiff_t kRowBytes = 16 * 1024 + 448;  // the odd lines keep rows apart in the cache
  static constexpr std::ptrdiff_t kMaxKOfTile = (kRowBytes - 64) / static_cast<std::ptrdiff_t>(sizeof(Activation));
  static_assert(kMaxConvU8I8K * sizeof(Activation) + 64 <= Dot::kRows * kRowBytes);

  explicit ConvTiles(const ConvU8I8& conv, std::uint8_t flip)
      : conv_(conv),
        flip_(flip),
        steps_((conv.k() + kStep - 1) / kStep),
        is_pointwise_(conv.geometry.n_taps() == 1 && conv.geometry.stride == Extents3f{1, 1, 1} &&
                      conv.geometry.input == conv.geometry.output && conv.geometry.pad_begin == Extents3f{0, 0, 0}) {}

  /// Has output.store write all of the block.
  template <typename Output>
  void run(const ConvBlock& block, const Output& output) {
    const std::ptrdiff_t panels = conv_.n_panels();
    for (std::ptrdiff_t group = block.first_panel / panels; group * panels < block.last_panel; ++group) {
      const std::ptrdiff_t first = std::max(block.first_panel - group * panels, std::ptrdiff_t{0});
      const std::ptrdiff_t last = std::min(block.last_panel - group * panels, panels);
      begin_at(block.first_pixel);
      std::ptrdiff_t left = block.last_pixel - block.first_pixel;
      if (conv_.k() <= kMaxKOfTile)
        for (; left > 1; left -= Dot::kRows) rows<Dot::kRows>(group, left, first, last, output);
      for (; left > 0; --left) rows<1>(group, left, first, last, output);
    }
  }

 private:
  [[gnu::noinline]] void begin_at(std::ptrdiff_t pixel) {
    const Extents3f& e = conv_.geometry.output;
    const std::ptrdiff_t row = pixel / e[2], slice = row / e[1];
    pixel_ = pixel;
    at_ = {slice / e[0], slice % e[0], row % e[1], pixel % e[2]};
    y_place_ = conv_.y_place(pixel);
  }
  void advance() {
    if (++at_.x == conv_.geometry.output[2]) return begin_at(pixel_ + 1);
    ++pixel_;
    y_place_ += conv_.y_strides[2];
  }

  template <int kRows, typename Output>
  void rows(std::ptrdiff_t group, std::ptrdiff_t left, std::ptrdiff_t first, std::ptrdiff_t last, const Output& output) {
    std::ptrdiff_t places[kRows];
    const std::byte* activations[kRows];
    for (int r = 0; r < kRows; ++r) {
      if (r > 0 && r < left) advance();  // a tile at the end computes its last pixel again: one size of tile serves all
      places[r] = y_place_ + group * conv_.out_channels;
      const std::uint8_t* from = conv_.x + pixel_ * conv_.x_pixel_stride + group * conv_.channels;
      activations[r] = scratch(r);
      if (!is_pointwise_)
        gather(group, scratch(r));
      else if (sizeof(Activation) == 1 && flip_ == 0)
        activations[r] = reinterpret_cast<const std::byte*>(from);
      else
        copy(from, scratch(r), conv_.channels);
    }
    advance();
    const std::ptrdiff_t panel_bytes = kHead + steps_ * 32;
    const std::byte* panel = conv_.packed + (group * conv_.n_panels() + first) * panel_bytes;
    for (std::ptrdiff_t p = first; p < last; ++p, panel += panel_bytes) {
      i32x4 low[kRows], high[kRows];
      multiply<kRows>(activations, panel, low, high);
      if constexpr (Dot::has_zero_points) subtract_zero_points<kRows>(activations, panel, low, high);
      output.template store<kRows>(low, high, left, places, p * 8, group * conv_.out_channels + p * 8,
                                   std::min<std::ptrdiff_t>(8, conv_.out_channels - p * 8));
    }
  }

  template <int kRows>
  [[gnu::always_inline]] void multiply(const std::byte* const (&activations)[kRows], const std::byte* panel, i32x4 (&low)[kRows],
                                       i32x4 (&high)[kRows]) const {
    const i32x4 bias_low = load_lanes<i32x4>(panel), bias_high = load_lanes<i32x4>(panel + 16);
    const std::byte* a[kRows];
    unrolled<kRows>([&](auto r) {
      low[r] = bias_low;
      high[r] = bias_high;
      a[r] = activations[r];
    });
    const std::byte* b = panel + kHead;
    const auto step = [&](int s) __attribute__((always_inline)) {
      const auto b_low = load_lanes<typename Dot::Weights>(b + 32 * s),
                 b_high = load_lanes<typename Dot::Weights>(b + 32 * s + 16);
      unrolled<kRows>([&](auto r) {
        const i32x4 x = load_splat(a[r] + 4 * s);
        low[r] = Dot::accumulate(low[r], x, b_low);
        high[r] = Dot::accumulate(high[r], x, b_high);
      });
    };
    std::ptrdiff_t left = steps_;
    for (; left >= 2; left -= 2) {
      step(0);
      step(1);
      b += 64;
      unrolled<kRows>([&](auto r) { a[r] += 8; });
    }
    if (left > 0) step(0);
  }

  /// acc -= zero point * sum of the row's activations, where the panel has zero points.
  template <int kRows>
  [[gnu::always_inline]] void subtract_zero_points(const std::byte* const (&activations)[kRows], const std::byte* panel,
                                                   i32x4 (&low)[kRows], i32x4 (&high)[kRows]) const {
    const i32x4 zero_low = load_lanes<i32x4>(panel + 32), zero_high = load_lanes<i32x4>(panel + 48);
    const i32x4 any = zero_low | zero_high;
    if ((any[0] | any[1] | any[2] | any[3]) == 0) return;
    unrolled<kRows>([&](auto r) {
      const i32x4 sum = splat(sum_of(activations[r]));
      low[r] = low[r] - zero_low * sum;
      high[r] = high[r] - zero_high * sum;
    });
  }
  [[gnu::noinline]] std::int32_t sum_of(const std::byte* activations) const {
    std::int32_t sum = 0;
    for (std::ptrdiff_t i = 0; i < conv_.k(); ++i) sum += std::to_integer<std::int32_t>(activations[i]) ^ flip_;
    return sum;
  }

  std::byte* scratch(int r) { return scratch_ + r * kRowBytes; }

  /// The activations of the pixel at_, by k. Writes up to 32 bytes further.
  void gather(std::ptrdiff_t group, std::byte* to) const {
    const ConvGeometry& g = conv_.geometry;
    const std::uint8_t* x = conv_.x + at_.image * g.n_inputs() * conv_.x_pixel_stride + group * conv_.channels;
    const std::ptrdiff_t width = g.kernel[2], step = conv_.channels * static_cast<std::ptrdiff_t>(sizeof(Activation));
    const std::ptrdiff_t z0 = at_.z * g.stride[0] - g.pad_begin[0], y0 = at_.y * g.stride[1] - g.pad_begin[1],
                         x0 = at_.x * g.stride[2] - g.pad_begin[2];
    // Neighbouring taps of full pixels are one run of bytes.
    const bool is_run = x0 >= 0 && x0 + width <= g.input[2] && g.dilation[2] == 1 && conv_.channels == conv_.x_pixel_stride;
    const std::ptrdiff_t run = width * conv_.channels, last_y = y0 + (g.kernel[1] - 1) * g.dilation[1];
    if (is_run && run <= 16 && g.kernel[0] == 1 && z0 >= 0 && z0 < g.input[0] && y0 >= 0 && last_y < g.input[1]) {
      // Few channels, as of pictures: the bytes of a row of taps are one vector, whose rest is written over by the next row's.
      const std::ptrdiff_t row = g.input[2] * conv_.x_pixel_stride;
      const std::uint8_t* from = x + ((z0 * g.input[1] + y0) * g.input[2] + x0) * conv_.x_pixel_stride;
      for (std::ptrdiff_t y = y0; y <= last_y; y += g.dilation[1], from += g.dilation[1] * row, to += width * step)
        copy(from, to, 16);
      return;
    }
    for (std::ptrdiff_t kz = 0; kz < g.kernel[0]; ++kz)
      for (std::ptrdiff_t ky = 0; ky < g.kernel[1]; ++ky) {
        const std::ptrdiff_t z = z0 + kz * g.dilation[0], y = y0 + ky * g.dilation[1];
        if (z < 0 || z >= g.input[0] || y < 0 || y >= g.input[1]) {
          fill(to, width * conv_.channels);
          to += width * step;
          continue;
        }
        const std::uint8_t* from = x + ((z * g.input[1] + y) * g.input[2] + x0) * conv_.x_pixel_stride;
        if (is_run) {
          copy(from, to, width * conv_.channels);
          to += width * step;
          continue;
        }
        for (std::ptrdiff_t kx = 0; kx < width; ++kx, to += step) {
          const std::ptrdiff_t at = kx * g.dilation[2];
          if (x0 + at < 0 || x0 + at >= g.input[2]) {
            fill(to, conv_.channels);
          } else {
            copy(from + at * conv_.x_pixel_stride, to, conv_.channels);
          }
        }
      }
  }

  void copy(const std::uint8_t* from, std::byte* to, std::ptrdiff_t n) const {
    const u8x16 flip = splat_u8(flip_);
    for (std::ptrdiff_t i = 0; i < n; i += 16) {
      if constexpr (sizeof(Activation) == 2) {
        store_lanes(to + 2 * i, load_widened(from + i));
        if (n - i > 8) store_lanes(to + 2 * i + 16, load_widened(from + i + 8));
      } else {
        store_lanes(to + i, load_lanes<u8x16>(from + i) ^ flip);
      }
    }
  }
  void fill(std::byte* to, std::ptrdiff_t n) const {
    const u8x16 value = sizeof(Activation) == 2 ? (u8x16)splat_i16(conv_.x_zero_point) : splat_u8(conv_.x_zero_point ^ flip_);
    for (std::ptrdiff_t i = 0; i < n * static_cast<std::ptrdiff_t>(sizeof(Activation)); i += 16) store_lanes(to + i, value);
  }

  const ConvU8I8& conv_;
  std::uint8_t flip_;
  std::ptrdiff_t steps_;
  bool is_pointwise_;
  // The output pixel that is next: its number, where it stands, and its place in y.
  std::ptrdiff_t pixel_ = 0, y_place_ = 0;
  struct {
    std::ptrdiff_t image, z, y, x;
  } at_{};
  alignas(16) std::byte scratch_[Dot::kRows * kRowBytes];
};

/// Codes, by one of the requantizations.
template <typename Lanes>
class CodeOutput {
 public:
  explicit CodeOutput(const ConvU8I8& conv) : lanes_(conv.requantize), y_(static_cast<std::uint8_t*>(conv.y)) {}

  template <int kRows>
  [[gnu::always_inline]] void store(const i32x4 (&low)[kRows], const i32x4 (&high)[kRows], std::ptrdiff_t n,
                                    const std::ptrdiff_t (&places)[kRows], std::ptrdiff_t column, std::ptrdiff_t channel,
                                    std::ptrdiff_t columns) const {
    unrolled<(kRows + 1) / 2>([&](auto pair) {
      constexpr int r = 2 * pair, next = r + 1 < kRows ? r + 1 : r;
      const u8x16 two = lanes_.finish(narrow(lanes_(low[r], high[r], channel), lanes_(low[next], high[next], channel)));
      if (columns == 8) {
        store_half<0>(y_ + places[r] + column, two);
        if constexpr (next != r) store_half<1>(y_ + places[next] + column, two);
        return;
      }
      std::uint8_t* const second = next != r && next < n ? y_ + places[next] + column : nullptr;
      store_bytes_of_halves(y_ + places[r] + column, second, two, columns);
    });
  }

 private:
  Lanes lanes_;
  std::uint8_t* y_;
};

/// The accumulators, or their reals: both are four bytes, and one loop serves them.
class WideOutput {
 public:
  WideOutput(const ConvU8I8& conv, bool is_real)
      : multipliers_(is_real ? conv.requantize.multipliers : nullptr), y_(static_cast<std::int32_t*>(conv.y)) {}

  template <int kRows>
  [[gnu::always_inline]] void store(const i32x4 (&low)[kRows], const i32x4 (&high)[kRows], std::ptrdiff_t n,
                                    const std::ptrdiff_t (&places)[kRows], std::ptrdiff_t column, std::ptrdiff_t channel,
                                    std::ptrdiff_t columns) const {
    unrolled<kRows>([&](auto r) {
      if (r >= n) return;
      std::int32_t wide[8];
      store_lanes(wide, value(low[r], channel));
      store_lanes(wide + 4, value(high[r], channel + 4));
      if (columns == 8) {
        std::memcpy(y_ + places[r] + column, wide, sizeof(wide));
      } else {
        for (std::ptrdiff_t i = 0; i < columns; ++i) y_[places[r] + column + i] = wide[i];
      }
    });
  }

 private:
  i32x4 value(i32x4 acc, std::ptrdiff_t channel) const {
    return multipliers_ == nullptr ? acc : bits_of(to_f32x4(acc) * load_f32x4(multipliers_ + channel));
  }
  const float* multipliers_;  // null for accumulators
  std::int32_t* y_;
};

template <typename Dot, typename Output>
[[gnu::noinline]] void conv_u8_i8_tiles(const ConvU8I8& conv, const ConvBlock& block, std::uint8_t flip, const Output& output) {
  ConvTiles<Dot> tiles(conv, flip);
  const Output own = output;  // what bytes are stored through may not change it: its constants stay in registers
  tiles.run(block, own);
}

}  // namespace bitwright
