#include <algorithm>
#include <cstring>

#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"
#include "kernels/requantize_lanes.h"

namespace bitwright {

namespace {

// Eight channels at a time. The columns of the input rows that an output row takes are widened once into a scratch in L1, the codes of
// two rows side by side as i16; every output of the row that needs the column then multiplies by two dots a pair of rows. So the
// widening is shared by as many outputs as the kernel is wide, and padding, strides and dilation cost nothing in the inner loop.

constexpr std::ptrdiff_t kOutputs = 4;  // of a tile: eight accumulators
constexpr std::ptrdiff_t kScratchVectors = 1536;

template <typename Lanes>
class Depthwise {
 public:
  explicit Depthwise(const DepthwiseU8I8& d)
      : d_(d), g_(d.geometry), lanes_(d.requantize), rows_(g_.kernel[0] * g_.kernel[1]), pairs_((rows_ + 1) / 2) {}

  void run(std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
    const std::ptrdiff_t block_bytes = packed_depthwise_block_bytes(g_.n_taps(), g_.kernel[2]);
    const std::ptrdiff_t reach = (g_.kernel[2] - 1) * g_.dilation[2] + 1;
    // Outputs whose columns fit the scratch; the last tile may touch those of kOutputs - 1 more.
    const std::ptrdiff_t columns = kScratchVectors / (2 * pairs_);
    const std::ptrdiff_t span = std::max<std::ptrdiff_t>(1, (columns - reach) / g_.stride[2] + 2 - kOutputs);
    for (std::ptrdiff_t row = first_row; row < last_row; ++row)
      for (std::ptrdiff_t c = 0; c < d_.out_channels(); c += 8)
        for (std::ptrdiff_t x = 0; x < g_.output[2]; x += span) {
          const std::ptrdiff_t n = std::min(span, g_.output[2] - x);
          widen(row, c, x * g_.stride[2] - g_.pad_begin[2], (n - 1) * g_.stride[2] + reach);
          outputs(row, c, x, n, d_.packed + c / 8 * block_bytes);
        }
  }

  /// Whether the columns of one tile fit the scratch.
  bool fits() const {
    return ((kOutputs - 1) * g_.stride[2] + (g_.kernel[2] - 1) * g_.dilation[2] + 1) * 2 * pairs_ <= kScratchVectors;
  }

 private:
  /// Columns x .. x + n - 1 of the rows that output row `row` takes, channels from c on: scratch [column][pair][2].
  void widen(std::ptrdiff_t row, std::ptrdiff_t c, std::ptrdiff_t x, std::ptrdiff_t n) {
    const std::ptrdiff_t y = row % g_.output[1], slice = row / g_.output[1];
    const std::ptrdiff_t image = slice / g_.output[0], z0 = slice % g_.output[0] * g_.stride[0] - g_.pad_begin[0];
    const std::ptrdiff_t y0 = y * g_.stride[1] - g_.pad_begin[1];
    const u8x16 padding = splat_u8(d_.x_zero_point);
    const std::ptrdiff_t before = std::clamp<std::ptrdiff_t>(-x, 0, n);
    const std::ptrdiff_t inside = std::clamp<std::ptrdiff_t>(g_.input[2] - x, before, n);
    for (std::ptrdiff_t pair = 0; pair < pairs_; ++pair) {
      i16x8* to = scratch_ + 2 * pair;
      const std::uint8_t* from[2] = {};
      for (std::ptrdiff_t r = 0; r < 2 && 2 * pair + r < rows_; ++r) {
        const std::ptrdiff_t z = z0 + (2 * pair + r) / g_.kernel[1] * g_.dilation[0];
        const std::ptrdiff_t in_y = y0 + (2 * pair + r) % g_.kernel[1] * g_.dilation[1];
        if (z >= 0 && z < g_.input[0] && in_y >= 0 && in_y < g_.input[1])
          from[r] = d_.x + (((image * g_.input[0] + z) * g_.input[1] + in_y) * g_.input[2] + x) * d_.x_pixel_stride;
      }
      std::ptrdiff_t i = 0;
      for (; i < before; ++i, to += 2 * pairs_) put(to, padding, padding);
      if (d_.multiplier == 1) {
        // A row of padding is read as its one code, again and again.
        const std::ptrdiff_t step[2] = {from[0] != nullptr ? d_.x_pixel_stride : 0, from[1] != nullptr ? d_.x_pixel_stride : 0};
        std::uint8_t code[8];
        store_half(code, padding);
        const std::uint8_t* a = from[0] != nullptr ? from[0] + i * step[0] + c : code;
        const std::uint8_t* b = from[1] != nullptr ? from[1] + i * step[1] + c : code;
        for (; i < inside; ++i, to += 2 * pairs_, a += step[0], b += step[1]) put(to, load_low_half(a), load_low_half(b));
      } else {
        for (; i < inside; ++i, to += 2 * pairs_) {
          std::uint8_t codes[2][8];
          for (std::ptrdiff_t j = 0; j < 8; ++j)
            for (std::ptrdiff_t r = 0; r < 2; ++r)
              codes[r][j] = from[r] == nullptr
                                ? static_cast<std::uint8_t>(d_.x_zero_point)
                                : from[r][i * d_.x_pixel_stride + std::min((c + j) / d_.multiplier, d_.channels - 1)];
          put(to, load_low_half(codes[0]), load_low_half(codes[1]));
        }
      }
      for (; i < n; ++i, to += 2 * pairs_) put(to, padding, padding);
    }
  }

  static void put(i16x8* to, u8x16 a, u8x16 b) {
    const u8x16 both = interleave_low_bytes(a, b);
    to[0] = widen_low(both);
    to[1] = widen_high(both);
  }

  void outputs(std::ptrdiff_t row, std::ptrdiff_t c, std::ptrdiff_t x, std::ptrdiff_t n, const std::byte* block) {
    const i32x4 bias_low = load_lanes<i32x4>(block), bias_high = load_lanes<i32x4>(block + 16);
    const std::ptrdiff_t apart = g_.stride[2] * pairs_ * 2, per_tap = g_.dilation[2] * pairs_ * 2, pairs = pairs_,
                         width = g_.kernel[2];
    std::uint8_t* y = d_.y + (row * g_.output[2] + x) * d_.y_pixel_stride + c;
    const i16x8* columns = scratch_;
    for (std::ptrdiff_t done = 0; done < n; done += kOutputs, columns += kOutputs * apart) {
      i32x4 low[kOutputs], high[kOutputs];
      for (std::ptrdiff_t o = 0; o < kOutputs; ++o) {
        low[o] = bias_low;
        high[o] = bias_high;
      }
      const std::byte* w = block + 32;
      const i16x8* tap = columns;
      for (std::ptrdiff_t kx = 0; kx < width; ++kx, tap += per_tap)
        for (std::ptrdiff_t pair = 0; pair < pairs; ++pair, w += 32) {
          const i16x8 w_low = load_lanes<i16x8>(w), w_high = load_lanes<i16x8>(w + 16);
#pragma GCC unroll 4
          for (std::ptrdiff_t o = 0; o < kOutputs; ++o) {
            low[o] = low[o] + dot(tap[o * apart + 2 * pair], w_low);
            high[o] = high[o] + dot(tap[o * apart + 2 * pair + 1], w_high);
          }
        }
      store(low, high, std::min(kOutputs, n - done), c, y);
      y += kOutputs * d_.y_pixel_stride;
    }
  }

  void store(const i32x4 (&low)[kOutputs], const i32x4 (&high)[kOutputs], std::ptrdiff_t n, std::ptrdiff_t c, std::uint8_t* y) {
    u8x16 codes[kOutputs / 2];
    for (std::ptrdiff_t o = 0; o < kOutputs; o += 2)
      codes[o / 2] = lanes_.finish(narrow(lanes_(low[o], high[o], c), lanes_(low[o + 1], high[o + 1], c)));
    if (n == kOutputs && c + 8 <= d_.out_channels()) {
      for (std::ptrdiff_t o = 0; o < kOutputs; o += 2) {
        store_half<0>(y + o * d_.y_pixel_stride, codes[o / 2]);
        store_half<1>(y + (o + 1) * d_.y_pixel_stride, codes[o / 2]);
      }
      return;
    }
    const auto channels = static_cast<std::size_t>(std::min<std::ptrdiff_t>(8, d_.out_channels() - c));
    for (std::ptrdiff_t o = 0; o < n; ++o)
      std::memcpy(y + o * d_.y_pixel_stride, reinterpret_cast<const std::uint8_t*>(codes) + 8 * o, channels);
  }

  const DepthwiseU8I8& d_;
  const ConvGeometry& g_;
  Lanes lanes_;
  std::ptrdiff_t rows_, pairs_;
  i16x8 scratch_[kScratchVectors];
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
