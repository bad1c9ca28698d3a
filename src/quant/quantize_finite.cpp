#include "quant/quantize_finite.h"

#include <algorithm>
#include <bit>

#include "base/simd_int.h"

namespace bitwright {

namespace {

constexpr float kMagic = 0x1.8p23f;  // its unit in the last place is 1: adding it rounds half to even

/// The same for 4 n groups whose length is a multiple of 16: ends come together in vectors.
[[gnu::noinline]] std::int32_t largest_of_fours(const float* x, std::int64_t length, std::int64_t n_groups, std::int32_t* bits) {
  const i32x4 magnitude_bits = in_register(splat(INT32_MAX));
  i32x4 most{};
  for (std::int64_t g = 0; g < n_groups; g += 4, x += 4 * length) {
    i32x4 largest[4];
    unrolled<4>([&](auto k) {
      const float* from = x + k * length;
      i32x4 one{}, other{};
      for (std::int64_t i = 0; i < length; i += 16) {
        const auto four = [&](std::int64_t at) { return bits_of(load_f32x4(from + i + at)) & magnitude_bits; };
        one = max(one, max(four(0), four(4)));
        other = max(other, max(four(8), four(12)));
      }
      largest[k] = max(one, other);
    });
    const auto halves = [](i32x4 a, i32x4 b) {  // a0, b0, a1, b1 of what is left of each
      return max(__builtin_shufflevector(a, b, 0, 4, 1, 5), __builtin_shufflevector(a, b, 2, 6, 3, 7));
    };
    const i32x4 first = halves(largest[0], largest[1]), second = halves(largest[2], largest[3]);
    const i32x4 four =
        max(__builtin_shufflevector(first, second, 0, 1, 4, 5), __builtin_shufflevector(first, second, 2, 3, 6, 7));
    store_lanes(bits + g, four);
    most = max(most, four);
  }
  return std::max(std::max(most[0], most[1]), std::max(most[2], most[3]));
}

}  // namespace

[[gnu::noinline]] std::int32_t largest_magnitudes(const float* x, std::int64_t length, std::int64_t n_groups,
                                                  std::int32_t* bits) {
  const i32x4 magnitude_bits = in_register(splat(INT32_MAX));
  const std::int64_t n_in_fours = length % 16 == 0 ? n_groups / 4 * 4 : 0;
  std::int32_t most = largest_of_fours(x, length, n_in_fours, bits);
  x += n_in_fours * length;
  for (std::int64_t g = n_in_fours; g < n_groups; ++g, x += length) {
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

[[gnu::noinline]] void quantize_finite_to_nibbles(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                                                  const std::int32_t* zero_points, CodeRange range, std::uint8_t* nibbles,
                                                  ReadAhead& shared_ahead) {
  ReadAhead ahead = shared_ahead;
  const f32x4 magic = in_register(splat(kMagic));
  const i16x8 low = in_register(splat_i16(range.qmin));
  const i16x8 high = in_register(splat_i16(range.qmax));
  const i16x8 low_half = in_register(splat_i16(0x0f));
  const i16x8 places = in_register(i16x8{1, 16, 1, 16, 1, 16, 1, 16});  // of two codes in a byte
  for (std::int64_t g = 0; g < n_groups; ++g, x += length) {
    const f32x4 divisor = splat(scales[g]);
    const i32x4 offset = splat(zero_points[g] - std::bit_cast<std::int32_t>(kMagic));
    const auto four_bytes = [&](const float* from) {
      const i32x4 a = bits_of(load_f32x4(from) / divisor + magic) + offset;
      const i32x4 b = bits_of(load_f32x4(from + 4) / divisor + magic) + offset;
      return dot(clamp(narrow(a, b), low, high) & low_half, places);
    };
    for (std::int64_t i = 0; i < length; i += 32, nibbles += 16) {
      ahead.two_lines();
      const float* from = x + i;
      store_lanes(nibbles,
                  narrow(narrow(four_bytes(from), four_bytes(from + 8)), narrow(four_bytes(from + 16), four_bytes(from + 24))));
    }
  }
  shared_ahead = ahead;
}

[[gnu::noinline]] void quantize_finite(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                                       const std::int32_t* zero_points, CodeRange range, std::uint8_t* codes,
                                       ReadAhead& shared_ahead) {
  ReadAhead ahead = shared_ahead;  // bytes that are stored could be its own otherwise
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
    if (length % 32 == 0) {
      for (; i < length; i += 32) {
        ahead.two_lines();
        store_lanes(codes + i, narrow(eight(x + i), eight(x + i + 8)));
        store_lanes(codes + i + 16, narrow(eight(x + i + 16), eight(x + i + 24)));
      }
    } else {
      for (; i + 16 <= length; i += 16) {
        ahead.line();
        store_lanes(codes + i, narrow(eight(x + i), eight(x + i + 8)));
      }
    }
    if (i < length) quantize_run(x + i, static_cast<std::size_t>(length - i), scales[g], zero_points[g], range, codes + i);
  }
  shared_ahead = ahead;
}

}  // namespace bitwright
