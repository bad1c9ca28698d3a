#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "base/simd_int.h"
#include "kernels/conv_u8_i8/conv_u8_i8.h"

namespace bitwright {

namespace {

bool is_relaxed(KernelFamily family) { return family == KernelFamily::usdot || family == KernelFamily::sdot; }

std::size_t panel_bytes(KernelFamily family, const ConvWeightsU8I8& weights) {
  const auto k = static_cast<std::size_t>(weights.channels * weights.taps);
  return is_relaxed(family) ? 64 + (k + 3) / 4 * 32 : 32 + (k + 1) / 2 * 32;
}

/// What a row adds up to: sum w, and sum |w - point|. Both stay in int32 for k <= kMaxConvU8I8K.
struct RowSums {
  std::int32_t sum = 0, magnitude = 0;
};

/// The weights of one output channel, taps before channels, as signed bytes and as i16 less a point; zeros behind them.
class ChannelRow {
 public:
  explicit ChannelRow(const ConvWeightsU8I8& weights) : weights_(weights), k_(weights.channels * weights.taps) {
    if (weights.scratch == nullptr) own_.resize(pack_scratch_bytes(k_));
    std::byte* const scratch = weights.scratch == nullptr ? own_.data() : weights.scratch;
    centered_ = reinterpret_cast<std::int16_t*>(scratch);
    codes_ = reinterpret_cast<std::uint8_t*>(centered_ + k_ + 8);
  }

  RowSums gather(std::ptrdiff_t channel, std::int32_t point) {
    const auto* from = static_cast<const std::uint8_t*>(weights_.w) + channel * weights_.column_stride;
    std::uint8_t* to = codes_;
    if (weights_.taps == 1 && weights_.channel_stride == 1)
      std::memcpy(to, from, static_cast<std::size_t>(k_));
    else
      for (std::ptrdiff_t tap = 0; tap < weights_.taps; ++tap, from += weights_.tap_stride)
        for (std::ptrdiff_t i = 0; i < weights_.channels; ++i) *to++ = from[i * weights_.channel_stride];
    const i16x8 points = splat_i16(point), ones = splat_i16(1);
    const u8x16 flip = splat_u8(weights_.is_unsigned ? 0x80 : 0);  // minus 128
    i32x4 sums{}, magnitudes{};
    for (std::ptrdiff_t i = 0; i < k_; i += 8) {
      const u8x16 codes = load_low_half(codes_ + i) ^ flip;
      store_half(codes_ + i, codes);
      const i16x8 w = ((i16x8)interleave_low_bytes(u8x16{}, codes) >> 8) - points;
      store_lanes(centered_ + i, w);
      sums += dot(w, ones);
      magnitudes += dot((w ^ (w >> 15)) - (w >> 15), ones);
    }
    RowSums row{total(sums) + point * static_cast<std::int32_t>(k_), total(magnitudes)};
    for (std::ptrdiff_t i = k_; i % 8 != 0; ++i) {  // what stood behind the row
      row.sum -= centered_[i];
      row.magnitude -= std::abs(centered_[i]);
      codes_[i] = 0;
      centered_[i] = 0;
    }
    return row;
  }

  /// Four bytes at each step of a panel.
  void place(bool is_centered, std::ptrdiff_t n_steps, std::byte* to) const {
    const void* const row = is_centered ? static_cast<const void*>(centered_) : codes_;
    for (std::ptrdiff_t step = 0; step < n_steps; ++step)
      std::memcpy(to + step * 32, static_cast<const std::byte*>(row) + step * 4, 4);
  }

 private:
  static std::int32_t total(i32x4 v) { return v[0] + v[1] + v[2] + v[3]; }

  const ConvWeightsU8I8& weights_;
  std::ptrdiff_t k_;
  std::vector<std::byte> own_;
  std::uint8_t* codes_;
  std::int16_t* centered_;
};

}  // namespace

std::size_t packed_conv_u8_i8_bytes(KernelFamily family, const ConvWeightsU8I8& weights) {
  return static_cast<std::size_t>(weights.groups * ((weights.out_channels + 7) / 8)) * panel_bytes(family, weights);
}

std::ptrdiff_t pack_conv_u8_i8(KernelFamily family, const ConvWeightsU8I8& weights, std::byte* packed) {
  const std::ptrdiff_t panels = (weights.out_channels + 7) / 8, k = weights.channels * weights.taps;
  const auto bytes = static_cast<std::ptrdiff_t>(panel_bytes(family, weights));
  if (k > kMaxConvU8I8K) return 0;
  std::ptrdiff_t unsafe = -1;
  const std::ptrdiff_t head = is_relaxed(family) ? 64 : 32;
  ChannelRow row(weights);
  for (std::ptrdiff_t p = 0; p < weights.groups * panels; ++p) {
    const std::ptrdiff_t first_of_group = p % panels * 8, first = p / panels * weights.out_channels + first_of_group;
    const std::ptrdiff_t n_channels = std::min<std::ptrdiff_t>(8, weights.out_channels - first_of_group);
    std::byte* panel = packed + p * bytes;
    std::memset(panel, 0, static_cast<std::size_t>(bytes));
    for (std::ptrdiff_t j = 0; j < n_channels; ++j) {
      const std::ptrdiff_t channel = first + j;
      const std::int32_t zero_point =
          (weights.zero_points != nullptr ? weights.zero_points[channel] : 0) - (weights.is_unsigned ? 128 : 0);
      const std::int32_t zero_points = zero_point * static_cast<std::int32_t>(k);
      const auto [sum, magnitude] = row.gather(channel, is_relaxed(family) ? 0 : zero_point);
      row.place(!is_relaxed(family), (bytes - head) / 32, panel + head + j * 4);
      // Partial sums too stay in int32: of the centered weights, or of w and the zero point alone.
      std::int64_t reach = 255 * (std::int64_t{magnitude} + (is_relaxed(family) ? std::abs(zero_points) : 0));
      // sdot sees x - 128: sum (x - 128) w + 128 sum w.
      std::int64_t bias =
          (weights.bias != nullptr ? weights.bias[channel] : 0) - std::int64_t{weights.x_zero_point} * (sum - zero_points);
      reach += bias < 0 ? -bias : bias;
      if (family == KernelFamily::sdot) {
        bias += 128 * std::int64_t{sum};
        reach += 128 * std::int64_t{std::abs(sum)};
      }
      if (unsafe < 0 && reach > std::numeric_limits<std::int32_t>::max()) unsafe = channel;
      const auto bias_i32 = static_cast<std::int32_t>(bias);
      std::memcpy(panel + j * 4, &bias_i32, 4);
      if (is_relaxed(family)) std::memcpy(panel + 32 + j * 4, &zero_point, 4);
    }
  }
  return unsafe;
}

}  // namespace bitwright
