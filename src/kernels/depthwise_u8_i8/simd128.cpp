#include <algorithm>
#include <cstring>

#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"
#include "kernels/requantize_lanes.h"

namespace bitwright {

namespace {

// Sixteen channels at a time. The columns of the input rows that an output row takes are widened once into a scratch in L1, the codes
// of two rows side by side as i16; every output of the row that needs the column then multiplies by two dots a pair of rows. So the
// widening is shared by as many outputs as the kernel is wide, and padding, strides and dilation cost nothing in the inner loop.

constexpr int kOutputs = 4;                           // of a tile: eight accumulators
constexpr std::ptrdiff_t kScratchVectors = 768 + 12;  // of each half; the odd lines keep the halves apart in the cache
constexpr std::ptrdiff_t kMaxRows = 64;

template <typename Lanes>
class Depthwise {
 public:
  explicit Depthwise(const DepthwiseU8I8& d)
      : d_(d),
        g_(d.geometry),
        lanes_(d.requantize),
        rows_(g_.kernel[0] * g_.kernel[1]),
        pairs_((rows_ + 1) / 2),
        reach_((g_.kernel[2] - 1) * g_.dilation[2] + 1) {}

  /// Whether the columns of one tile fit the scratch.
  bool fits() const { return rows_ <= kMaxRows && ((kOutputs - 1) * g_.stride[2] + reach_) * 2 * pairs_ <= kScratchVectors; }

  void run(std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
    const std::ptrdiff_t block_bytes = packed_depthwise_block_bytes(g_.n_taps(), g_.kernel[2]);
    // Outputs whose columns fit the scratch; the last tile may touch those of kOutputs - 1 more.
    const std::ptrdiff_t span =
        std::max<std::ptrdiff_t>(1, (kScratchVectors / (2 * pairs_) - reach_) / g_.stride[2] + 2 - kOutputs);
    const bool is_usual = g_.kernel[2] == 3 && pairs_ == 2 && g_.dilation[2] == 1;
    for (std::ptrdiff_t row = first_row; row < last_row; ++row) {
      find_rows(row);
      for (std::ptrdiff_t c = 0; c < d_.out_channels(); c += 16)
        for (std::ptrdiff_t x = 0; x < g_.output[2]; x += span) {
          const std::ptrdiff_t n = std::min(span, g_.output[2] - x);
          widen(c, x * g_.stride[2] - g_.pad_begin[2], (n - 1) * g_.stride[2] + reach_);
          for (std::ptrdiff_t half = 0; half < 2 && c + 8 * half < d_.out_channels(); ++half) {
            const std::ptrdiff_t from = c + 8 * half;
            const std::byte* block = d_.packed + from / 8 * block_bytes;
            std::uint8_t* y = d_.y + (row * g_.output[2] + x) * d_.y_pixel_stride + from;
            if (is_usual && g_.stride[2] == 1) {
              outputs<1>(scratch_ + half * kScratchVectors, from, n, block, y);
            } else if (is_usual && g_.stride[2] == 2) {
              outputs<2>(scratch_ + half * kScratchVectors, from, n, block, y);
            } else {
              outputs<0>(scratch_ + half * kScratchVectors, from, n, block, y);
            }
          }
        }
    }
  }

 private:
  /// Where the rows that output row `row` takes begin, nullptr for padding.
  void find_rows(std::ptrdiff_t row) {
    const std::ptrdiff_t y = row % g_.output[1], slice = row / g_.output[1];
    const std::ptrdiff_t image = slice / g_.output[0], z0 = slice % g_.output[0] * g_.stride[0] - g_.pad_begin[0];
    const std::ptrdiff_t y0 = y * g_.stride[1] - g_.pad_begin[1];
    from_[rows_] = nullptr;  // the partner of a last odd row: its weights are 0
    for (std::ptrdiff_t r = 0; r < rows_; ++r) {
      const std::ptrdiff_t z = z0 + r / g_.kernel[1] * g_.dilation[0], in_y = y0 + r % g_.kernel[1] * g_.dilation[1];
      const bool is_inside = z >= 0 && z < g_.input[0] && in_y >= 0 && in_y < g_.input[1];
      from_[r] = is_inside ? d_.x + ((image * g_.input[0] + z) * g_.input[1] + in_y) * g_.input[2] * d_.x_pixel_stride : nullptr;
    }
  }

  /// Columns x .. x + n - 1 of these rows, 16 channels from c on: scratch [half][column][pair][2].
  void widen(std::ptrdiff_t c, std::ptrdiff_t x, std::ptrdiff_t n) {
    const u8x16 padding = splat_u8(d_.x_zero_point);
    const std::ptrdiff_t before = std::clamp<std::ptrdiff_t>(-x, 0, n);
    const std::ptrdiff_t inside = std::clamp<std::ptrdiff_t>(g_.input[2] - x, before, n);
    std::uint8_t codes[2][16];
    store_lanes(codes[0], padding);
    for (std::ptrdiff_t pair = 0; pair < pairs_; ++pair) {
      const std::uint8_t* const* from = from_ + 2 * pair;
      i16x8* to = scratch_ + 2 * pair;
      std::ptrdiff_t i = 0;
      const std::ptrdiff_t step = 2 * pairs_;
      for (; i < before; ++i, to += step) put(to, padding, padding);
      if (d_.multiplier == 1) {
        // A row of padding is read as its one code, again and again.
        const std::ptrdiff_t a_step = from[0] != nullptr ? d_.x_pixel_stride : 0,
                             b_step = from[1] != nullptr ? d_.x_pixel_stride : 0;
        const std::uint8_t* a = from[0] != nullptr ? from[0] + (x + i) * a_step + c : codes[0];
        const std::uint8_t* b = from[1] != nullptr ? from[1] + (x + i) * b_step + c : codes[0];
        for (; i < inside; ++i, to += step, a += a_step, b += b_step) put(to, load_lanes<u8x16>(a), load_lanes<u8x16>(b));
      } else {
        for (; i < inside; ++i, to += step) {
          for (std::ptrdiff_t j = 0; j < 16; ++j)
            for (std::ptrdiff_t r = 0; r < 2; ++r)
              codes[r][j] = from[r] == nullptr
                                ? static_cast<std::uint8_t>(d_.x_zero_point)
                                : from[r][(x + i) * d_.x_pixel_stride + std::min((c + j) / d_.multiplier, d_.channels - 1)];
          put(to, load_lanes<u8x16>(codes[0]), load_lanes<u8x16>(codes[1]));
        }
      }
      for (; i < n; ++i, to += step) put(to, padding, padding);
    }
  }

  static void put(i16x8* to, u8x16 a, u8x16 b) {
    const u8x16 low = interleave_low_bytes(a, b), high = interleave_high_bytes(a, b);
    to[0] = widen_low(low);
    to[1] = widen_high(low);
    to[kScratchVectors] = widen_low(high);
    to[kScratchVectors + 1] = widen_high(high);
  }

  /// kStride 1 and 2: kernels of 3 columns and 2 pairs of rows, all offsets constant. 0: any.
  template <std::ptrdiff_t kStride>
  void outputs(const i16x8* columns, std::ptrdiff_t c, std::ptrdiff_t n, const std::byte* block, std::uint8_t* y) const {
    const i32x4 bias_low = load_lanes<i32x4>(block), bias_high = load_lanes<i32x4>(block + 16);
    const std::ptrdiff_t pairs = kStride > 0 ? 2 : pairs_, width = kStride > 0 ? 3 : g_.kernel[2];
    const std::ptrdiff_t apart = (kStride > 0 ? kStride : g_.stride[2]) * pairs * 2;
    const std::ptrdiff_t per_tap = (kStride > 0 ? 1 : g_.dilation[2]) * pairs * 2;
    for (std::ptrdiff_t done = 0; done < n; done += kOutputs, columns += kOutputs * apart) {
      i32x4 low[kOutputs], high[kOutputs];
      unrolled<kOutputs>([&](auto o) {
        low[o] = bias_low;
        high[o] = bias_high;
      });
      const auto step = [&](const i16x8* tap, const std::byte* w) {
        const i16x8 w_low = load_lanes<i16x8>(w), w_high = load_lanes<i16x8>(w + 16);
        unrolled<kOutputs>([&](auto o) {
          low[o] = low[o] + dot(tap[o * apart], w_low);
          high[o] = high[o] + dot(tap[o * apart + 1], w_high);
        });
      };
      const std::byte* w = block + 32;
      if constexpr (kStride > 0) {
        const i16x8* tap = columns;
#pragma GCC unroll 1
        for (int kx = 0; kx < 3; ++kx, tap += 4, w += 64) {
          step(tap, w);
          step(tap + 2, w + 32);
        }
      } else {
        for (std::ptrdiff_t kx = 0; kx < width; ++kx)
          for (std::ptrdiff_t pair = 0; pair < pairs; ++pair, w += 32) step(columns + kx * per_tap + 2 * pair, w);
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
    store_bytes<0>(y, first, channels);
    if (n > 1) store_bytes<1>(y + step, first, channels);
    if (n > 2) store_bytes<0>(y + 2 * step, second, channels);
    if (n > 3) store_bytes<1>(y + 3 * step, second, channels);
  }

  const DepthwiseU8I8& d_;
  const ConvGeometry& g_;
  Lanes lanes_;
  std::ptrdiff_t rows_, pairs_, reach_;
  const std::uint8_t* from_[kMaxRows + 1];
  i16x8 scratch_[2 * kScratchVectors];
};

}  // namespace

void depthwise_u8_i8__simd128_fast(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  Depthwise<RequantizeFastLanes> depthwise(d);
  if (!depthwise.fits()) return depthwise_u8_i8__reference_fast(d, first_row, last_row);
  depthwise.run(first_row, last_row);
}
void depthwise_u8_i8__simd128_integer_only(const DepthwiseU8I8& d, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  Depthwise<RequantizeFixedLanes> depthwise(d);
  if (!depthwise.fits()) return depthwise_u8_i8__reference_integer_only(d, first_row, last_row);
  depthwise.run(first_row, last_row);
}

}  // namespace bitwright
