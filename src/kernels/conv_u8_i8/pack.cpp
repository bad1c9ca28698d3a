#include <cstring>
#include <limits>

#include "kernels/conv_u8_i8/conv_u8_i8.h"

namespace bitwright {

namespace {

bool is_relaxed(KernelFamily family) { return family == KernelFamily::usdot || family == KernelFamily::sdot; }

std::size_t panel_bytes(KernelFamily family, const ConvWeightsU8I8& weights) {
  const auto k = static_cast<std::size_t>(weights.channels * weights.taps);
  return is_relaxed(family) ? 64 + (k + 3) / 4 * 32 : 32 + (k + 1) / 2 * 32;
}

}  // namespace

std::size_t packed_conv_u8_i8_bytes(KernelFamily family, const ConvWeightsU8I8& weights) {
  return static_cast<std::size_t>(weights.groups * ((weights.out_channels + 7) / 8)) * panel_bytes(family, weights);
}

std::ptrdiff_t pack_conv_u8_i8(KernelFamily family, const ConvWeightsU8I8& weights, std::byte* packed) {
  const std::ptrdiff_t panels = (weights.out_channels + 7) / 8, k = weights.channels * weights.taps;
  const auto bytes = static_cast<std::ptrdiff_t>(panel_bytes(family, weights));
  const std::int32_t to_signed = weights.is_unsigned ? 128 : 0;
  std::ptrdiff_t unsafe = k > kMaxConvU8I8K ? 0 : -1;
  std::memset(packed, 0, packed_conv_u8_i8_bytes(family, weights));
  for (std::ptrdiff_t channel = 0; channel < weights.groups * weights.out_channels; ++channel) {
    const std::ptrdiff_t group = channel / weights.out_channels, n = channel % weights.out_channels, j = n % 8;
    std::byte* panel = packed + (group * panels + n / 8) * bytes;
    const std::int32_t zero_point = (weights.zero_points != nullptr ? weights.zero_points[channel] : 0) - to_signed;
    std::int64_t sum = 0, reach = 0;
    for (std::ptrdiff_t i = 0; i < k; ++i) {
      const std::ptrdiff_t from = channel * weights.column_stride + i % weights.channels * weights.channel_stride +
                                  i / weights.channels * weights.tap_stride;
      const std::int32_t w = weights.is_unsigned ? static_cast<const std::uint8_t*>(weights.w)[from] - 128
                                                 : static_cast<const std::int8_t*>(weights.w)[from];
      sum += w - zero_point;
      // Partial sums too stay in int32: of the centered weights, or of w and the zero point alone.
      const std::int64_t centered = w - zero_point, apart = (w < 0 ? -w : w) + (zero_point < 0 ? -zero_point : zero_point);
      reach += 255 * (is_relaxed(family) ? apart : centered < 0 ? -centered : centered);
      if (is_relaxed(family)) {
        panel[64 + i / 4 * 32 + j * 4 + i % 4] = static_cast<std::byte>(static_cast<std::uint8_t>(w));
      } else {
        const auto wide = static_cast<std::int16_t>(w - zero_point);
        std::memcpy(panel + 32 + (i / 2 * 16 + j * 2 + i % 2) * 2, &wide, 2);
      }
    }
    // sdot sees x - 128: sum (x - 128) w + 128 sum w.
    std::int64_t bias = (weights.bias != nullptr ? weights.bias[channel] : 0) - weights.x_zero_point * sum;
    reach += bias < 0 ? -bias : bias;
    if (family == KernelFamily::sdot) {
      bias += 128 * (sum + zero_point * k);
      reach += 128 * (sum + zero_point * k < 0 ? -(sum + zero_point * k) : sum + zero_point * k);
    }
    if (unsafe < 0 && reach > std::numeric_limits<std::int32_t>::max()) unsafe = channel;
    const auto bias_i32 = static_cast<std::int32_t>(bias);
    std::memcpy(panel + j * 4, &bias_i32, 4);
    if (is_relaxed(family)) std::memcpy(panel + 32 + j * 4, &zero_point, 4);
  }
  return unsafe;
}

}  // namespace bitwright
