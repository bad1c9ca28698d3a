#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/conv_u8_i8/conv_u8_i8.h"

namespace bitwright {

namespace {

bool is_relaxed(KernelFamily family) { return family == KernelFamily::usdot || family == KernelFamily::sdot; }

std::size_t panel_bytes(KernelFamily family, const ConvWeightsU8I8& weights) {
  const auto k = static_cast<std::size_t>(weights.channels * weights.taps);
  return is_relaxed(family) ? 64 + (k + 3) / 4 * 32 : 32 + (k + 1) / 2 * 32;
}

/// The weights of up to 8 output channels as signed rows, taps before channels, with zeros to a multiple of 4 behind them.
class PanelRows {
 public:
  explicit PanelRows(const ConvWeightsU8I8& weights)
      : weights_(weights),
        k_(weights.channels * weights.taps),
        length_((k_ + 3) / 4 * 4),
        rows_(static_cast<std::size_t>(8 * length_)) {}

  void gather(std::ptrdiff_t first_channel, std::ptrdiff_t n_channels) {
    const auto* from = static_cast<const std::int8_t*>(weights_.w) + first_channel * weights_.column_stride;
    for (std::ptrdiff_t j = 0; j < n_channels; ++j, from += weights_.column_stride)
      for (std::ptrdiff_t tap = 0; tap < weights_.taps; ++tap)
        copy_strided(from + tap * weights_.tap_stride, weights_.channel_stride, weights_.channels,
                     row(j) + tap * weights_.channels);
    for (std::ptrdiff_t j = 0; j < n_channels && weights_.is_unsigned; ++j)  // minus 128
      for (std::ptrdiff_t i = j * length_; i < j * length_ + k_; ++i) rows_[static_cast<std::size_t>(i)] ^= 0x80u;
  }
  std::int8_t* row(std::ptrdiff_t j) { return reinterpret_cast<std::int8_t*>(rows_.data()) + j * length_; }

 private:
  static void copy_strided(const std::int8_t* from, std::ptrdiff_t stride, std::ptrdiff_t n, std::int8_t* to) {
    if (stride == 1 && n > 0) {
      std::memcpy(to, from, static_cast<std::size_t>(n));
      return;
    }
    for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = from[i * stride];
  }

  const ConvWeightsU8I8& weights_;
  std::ptrdiff_t k_, length_;
  std::vector<std::uint8_t> rows_;
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
  std::memset(packed, 0, packed_conv_u8_i8_bytes(family, weights));
  PanelRows rows(weights);
  for (std::ptrdiff_t p = 0; p < weights.groups * panels; ++p) {
    const std::ptrdiff_t first_of_group = p % panels * 8, first = p / panels * weights.out_channels + first_of_group;
    const std::ptrdiff_t n_channels = std::min<std::ptrdiff_t>(8, weights.out_channels - first_of_group);
    std::byte* panel = packed + p * bytes;
    rows.gather(first, n_channels);
    for (std::ptrdiff_t j = 0; j < n_channels; ++j) {
      const std::ptrdiff_t channel = first + j;
      const std::int8_t* row = rows.row(j);
      const std::int32_t zero_point =
          (weights.zero_points != nullptr ? weights.zero_points[channel] : 0) - (weights.is_unsigned ? 128 : 0);
      const std::int32_t zero_points = zero_point * static_cast<std::int32_t>(k), point = is_relaxed(family) ? 0 : zero_point;
      std::int32_t sum = 0, magnitude = 0;  // k is small enough for both
      for (std::ptrdiff_t i = 0; i < k; ++i) {
        sum += row[i];
        magnitude += std::abs(row[i] - point);
      }
      // Partial sums too stay in int32: of the centered weights, or of w and the zero point alone.
      std::int64_t reach = 255 * (std::int64_t{magnitude} + (is_relaxed(family) ? std::abs(zero_points) : 0));
      if (is_relaxed(family)) {
        for (std::ptrdiff_t i = 0; i < k; i += 4) std::memcpy(panel + 64 + i * 8 + j * 4, row + i, 4);
      } else {
        for (std::ptrdiff_t i = 0; i < k; i += 2) {
          const std::int16_t pair[] = {static_cast<std::int16_t>(row[i] - zero_point),
                                       i + 1 < k ? static_cast<std::int16_t>(row[i + 1] - zero_point) : std::int16_t{0}};
          std::memcpy(panel + 32 + i * 16 + j * 4, pair, 4);
        }
      }
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
