#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/parallel_for.h"

namespace bitwright {

std::span<const DepthwiseU8I8Variant> depthwise_u8_i8_variants() {
  static constexpr DepthwiseU8I8Variant kVariants[] = {
#define DEPTHWISE_U8_I8_KERNEL(function, family, arithmetic) {#function, function, KernelFamily::family, Arithmetic::arithmetic},
#include "kernels/depthwise_u8_i8/variants.inc"
#undef DEPTHWISE_U8_I8_KERNEL
  };
  return kVariants;
}

DepthwiseU8I8Kernel choose_depthwise_u8_i8(KernelFamily family, Arithmetic arithmetic) {
  for (const KernelFamily wanted : {family, KernelFamily::simd128, KernelFamily::reference})
    for (const DepthwiseU8I8Variant& variant : depthwise_u8_i8_variants())
      if (variant.family == wanted && variant.arithmetic == arithmetic) return variant.run;
  return nullptr;
}

void depthwise_u8_i8_blocked(const DepthwiseU8I8& d, DepthwiseU8I8Kernel kernel) {
  constexpr std::ptrdiff_t kProductsPerTask = 1 << 17;
  const std::ptrdiff_t products = d.geometry.output[2] * d.out_channels() * d.geometry.n_taps();
  if (products <= 0) return;
  parallel_for(d.n_rows(), std::max<std::ptrdiff_t>(1, kProductsPerTask / products), [&](std::int64_t begin, std::int64_t end) {
    kernel(d, static_cast<std::ptrdiff_t>(begin), static_cast<std::ptrdiff_t>(end));
  });
}

std::size_t packed_depthwise_u8_i8_bytes(const DepthwiseWeightsU8I8& weights) {
  return static_cast<std::size_t>((weights.out_channels + 7) / 8 *
                                  DepthwisePacking(weights.taps, weights.kernel_width).block_bytes());
}

std::ptrdiff_t pack_depthwise_u8_i8(const DepthwiseWeightsU8I8& weights, std::byte* packed) {
  std::memset(packed, 0, packed_depthwise_u8_i8_bytes(weights));
  const DepthwisePacking packing(weights.taps, weights.kernel_width);
  std::ptrdiff_t unsafe = -1;
  for (std::ptrdiff_t c = 0; c < weights.out_channels; ++c) {
    std::byte* block = packed + c / 8 * packing.block_bytes();
    const std::int32_t zero_point = weights.zero_points != nullptr ? weights.zero_points[c] : 0;
    std::int64_t sum = 0, reach = 0;
    bool are_bytes = c % 8 == 0 || packing.has_bytes(block);
    for (std::ptrdiff_t t = 0; t < weights.taps; ++t) {
      const std::ptrdiff_t from = c * weights.channel_stride + t * weights.tap_stride;
      const std::int32_t code = weights.is_unsigned ? static_cast<const std::uint8_t*>(weights.w)[from]
                                                    : static_cast<const std::int8_t*>(weights.w)[from];
      const auto w = static_cast<std::int16_t>(code - zero_point);
      sum += w;
      reach += 255 * (w < 0 ? -w : w);
      std::memcpy(block + packing.weights(2) + 2 * packing.place(2, t, c), &w, 2);
      block[packing.weights(4) + packing.place(4, t, c)] = static_cast<std::byte>(w);
      are_bytes = are_bytes && w >= -128 && w <= 127;
    }
    block[packing.flipped_bias() + 32] = std::byte{are_bytes};
    const std::int64_t bias = (weights.bias != nullptr ? weights.bias[c] : 0) - weights.x_zero_point * sum;
    reach += bias < 0 ? -bias : bias;
    if (unsafe < 0 && reach > std::numeric_limits<std::int32_t>::max()) unsafe = c;
    const std::int32_t biases[2] = {static_cast<std::int32_t>(bias), static_cast<std::int32_t>(bias + 128 * sum)};
    std::memcpy(block + c % 8 * 4, &biases[0], 4);
    std::memcpy(block + packing.flipped_bias() + c % 8 * 4, &biases[1], 4);
  }
  return unsafe;
}

}  // namespace bitwright
