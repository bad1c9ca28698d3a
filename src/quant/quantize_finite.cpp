#include "quant/quantize_finite.h"

#include <algorithm>
#include <bit>

#include "base/simd_int.h"

namespace bitwright {

[[gnu::noinline]] std::int32_t largest_magnitudes(const float* x, std::int64_t length, std::int64_t n_groups,
                                                  std::int32_t* bits) {
  const i32x4 magnitude_bits = in_register(splat(INT32_MAX));
  std::int32_t most = 0;
  for (std::int64_t g = 0; g < n_groups; ++g, x += length) {
    i32x4 largest{}, other{};  // two chains run beside each other
    std::int64_t i = 0;
    for (; i + 8 <= length; i += 8) {
      largest = max(largest, bits_of(load_f32x4(x + i)) & magnitude_bits);
      other = max(other, bits_of(load_f32x4(x + i + 4)) & magnitude_bits);
    }
    largest = max(largest, other);
    for (; i < length; ++i) largest = max(largest, splat(std::bit_cast<std::int32_t>(x[i])) & magnitude_bits);
    largest = max(largest, __builtin_shufflevector(largest, largest, 2, 3, 0, 1));
    bits[g] = std::max(largest[0], largest[1]);
    most = std::max(most, bits[g]);
  }
  return most;
}

[[gnu::noinline]] void scales_of(const SymmetricScale& scale, const std::int32_t* bits, std::int64_t n_groups, float ratio,
                                 float* scales) {
  for (std::int64_t g = 0; g < n_groups; ++g) scales[g] = scale(static_cast<double>(std::bit_cast<float>(bits[g]) * ratio));
}

[[gnu::noinline]] void quantize_finite(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                                       const std::int32_t* zero_points, CodeRange range, std::uint8_t* codes,
                                       ReadAhead& shared_ahead) {
  ReadAhead ahead = shared_ahead;      // bytes that are stored could be its own otherwise
  constexpr float kMagic = 0x1.8p23f;  // its unit in the last place is 1: adding it rounds half to even
  const f32x4 magic = in_register(splat(kMagic));
  const i16x8 low = in_register(splat_i16(range.qmin));
  const i16x8 high = in_register(splat_i16(range.qmax));
  const i16x8 low_byte = in_register(splat_i16(0xff));
  for (std::int64_t g = 0; g < n_groups; ++g, x += length, codes += length) {
    const f32x4 divisor = splat(scales[g]);
    const i32x4 offset = splat(zero_points[g] - std::bit_cast<std::int32_t>(kMagic));
    const auto eight = [&](const float* from) {
      const i32x4 a = bits_of(load_f32x4(from) / divisor + magic) + offset;
      const i32x4 b = bits_of(load_f32x4(from + 4) / divisor + magic) + offset;
      return clamp(narrow(a, b), low, high) & low_byte;
    };
    std::int64_t i = 0;
    for (; i + 16 <= length; i += 16) {
      ahead.line();
      store_lanes(codes + i, narrow(eight(x + i), eight(x + i + 8)));
    }
    if (i < length) quantize_run(x + i, static_cast<std::size_t>(length - i), scales[g], zero_points[g], range, codes + i);
  }
  shared_ahead = ahead;
}

}  // namespace bitwright
