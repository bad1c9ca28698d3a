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
  constexpr auto kPlainBits = std::bit_cast<std::int32_t>(SymmetricScale::kPlain);
  for (std::int64_t g = 0; g < n_groups;) {
    const auto* four = bits + g;
    if (n_groups - g >= 4 && std::max(std::max(four[0], four[1]), std::max(four[2], four[3])) <= kPlainBits) {
      store_f32x4(scales + g, scale(float_of_bits(load_lanes<i32x4>(four)) * splat(ratio)));
      g += 4;
    } else {
      scales[g] = scale(static_cast<double>(std::bit_cast<float>(bits[g]) * ratio));
      ++g;
    }
  }
}

namespace {

/// Steps of one group, rounded: codes less `bias`, which makes them signed bytes.
class CodesOf {
 public:
  CodesOf(CodeRange range)
      : bias_(range.qmin < 0 ? 0 : 128),
        low_(in_register(splat_i8(range.qmin - bias_))),
        high_(in_register(splat_i8(range.qmax - bias_))) {}

  void group(float scale, std::int32_t zero_point) {
    divisor_ = splat(scale);
    offset_ = splat(zero_point - bias_ - std::bit_cast<std::int32_t>(kMagic));
  }
  u8x16 sixteen(const float* x) const {
    const auto four = [&](int at) { return bits_of(load_f32x4(x + at) / divisor_ + magic_) + offset_; };
    return clamp(narrow_signed(narrow(four(0), four(4)), narrow(four(8), four(12))), low_, high_);
  }
  std::int32_t bias() const { return bias_; }

 private:
  std::int32_t bias_;
  i8x16 low_, high_;
  f32x4 magic_ = in_register(splat(kMagic));
  f32x4 divisor_{};
  i32x4 offset_{};
};

/// Codes of groups of whole 32 values, one byte each.
[[gnu::noinline]] void quantize_whole(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                                      const std::int32_t* zero_points, CodeRange range, std::uint8_t* codes) {
  CodesOf codes_of(range);
  const u8x16 flip = in_register(splat_u8(codes_of.bias()));
  const float *end = x + n_groups * length, *group_end = x;
  for (; x != end; x += 32, codes += 32) {
    if (x == group_end) {
      codes_of.group(*scales++, *zero_points++);
      group_end += length;
    }
    store_lanes(codes, codes_of.sixteen(x) ^ flip);
    store_lanes(codes + 16, codes_of.sixteen(x + 16) ^ flip);
  }
}

}  // namespace

[[gnu::noinline]] void quantize_finite_to_nibbles(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                                                  const std::int32_t* zero_points, CodeRange range, std::uint8_t* nibbles) {
  CodesOf codes_of(range);
  const u16x8 low_halves = in_register((u16x8)splat_i16(0x0f0f)), low_byte = in_register((u16x8)splat_i16(0xff));
  const float *end = x + n_groups * length, *group_end = x;
  for (; x != end; x += 32, nibbles += 16) {
    if (x == group_end) {
      codes_of.group(*scales++, *zero_points++);
      group_end += length;
    }
    const auto eight_bytes = [&](const float* from) {
      const u16x8 v = (u16x8)(codes_of.sixteen(from)) & low_halves;
      return (i16x8)((v | v >> 4) & low_byte);
    };
    store_lanes(nibbles, narrow(eight_bytes(x), eight_bytes(x + 16)));
  }
}

void quantize_finite(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                     const std::int32_t* zero_points, CodeRange range, std::uint8_t* codes) {
  const std::int64_t n_whole = length / 32 * 32;
  if (n_whole == length) return quantize_whole(x, length, n_groups, scales, zero_points, range, codes);
  for (std::int64_t g = 0; g < n_groups; ++g, x += length, codes += length) {
    quantize_whole(x, n_whole, n_whole == 0 ? 0 : 1, scales + g, zero_points + g, range, codes);
    quantize_run(x + n_whole, static_cast<std::size_t>(length - n_whole), scales[g], zero_points[g], range, codes + n_whole);
  }
}

}  // namespace bitwright
