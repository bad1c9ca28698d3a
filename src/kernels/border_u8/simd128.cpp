#include <algorithm>

#include "base/simd_int.h"
#include "kernels/border_u8/border_u8.h"

namespace bitwright {

namespace {

constexpr std::ptrdiff_t kTile = 16;
using Tile = u8x16[kTile];

/// Rows become columns: four rounds of interleaving row i with row i + 8.
void transpose(Tile& tile) {
  Tile other;
  u8x16 *from = tile, *to = other;
  for (int round = 0; round < 4; ++round, std::swap(from, to))
    for (int i = 0; i < 8; ++i) {
      to[2 * i] = interleave_low_bytes(from[i], from[i + 8]);
      to[2 * i + 1] = interleave_high_bytes(from[i], from[i + 8]);
    }
}

class Quantizer {
 public:
  explicit Quantizer(const BorderU8& b)
      : scale_(splat(b.scale)),
        low_(splat(static_cast<float>(b.qmin - b.zero_point))),
        high_(splat(static_cast<float>(b.qmax - b.zero_point))),
        magic_(in_register(splat(12582912.0f))),
        zero_(bits_of(magic_) - b.zero_point) {}

  /// The codes of n <= 16 reals, those beyond them of 0.
  u8x16 operator()(const float* x, std::ptrdiff_t n) const {
    float few[16] = {};
    if (n < 16) {
      for (std::ptrdiff_t i = 0; i < n; ++i) few[i] = x[i];
      x = few;
    }
    return narrow(narrow(four(x), four(x + 4)), narrow(four(x + 8), four(x + 12)));
  }

 private:
  i32x4 four(const float* x) const {
    const f32x4 steps = load_f32x4(x) / scale_;
    const f32x4 known = float_of_bits(bits_of(steps) & (i32x4)(steps == steps));  // NaN is 0
    return bits_of(max(min(known, high_), low_) + magic_) - zero_;
  }
  f32x4 scale_, low_, high_, magic_;
  i32x4 zero_;
};

void store_some(std::uint8_t* to, u8x16 codes, std::ptrdiff_t n) {
  if (n >= 16) {
    store_lanes(to, codes);
  } else {
    store_bytes(to, codes, n);
  }
}

/// One pixel, or one channel in dense pixels: a plain array for each image.
bool is_plain(const BorderU8& b) { return b.pixels == 1 || (b.channels == 1 && b.pixel_stride == 1); }

/// Three planes to dense pixels: a picture.
void quantize_picture(const BorderU8& b, const float* x, std::uint8_t* codes, std::ptrdiff_t first, std::ptrdiff_t last) {
  const Quantizer quantizer(b);
  for (std::ptrdiff_t p = first; p < last; p += kTile) {
    const std::ptrdiff_t n = std::min(kTile, last - p);
    const u8x16 red = quantizer(x + p, n), green = quantizer(x + b.pixels + p, n), blue = quantizer(x + 2 * b.pixels + p, n);
    const u8x16 pairs[2] = {interleave_low_bytes(red, green), interleave_high_bytes(red, green)};
    const u8x16 rest[2] = {interleave_low_bytes(blue, blue), interleave_high_bytes(blue, blue)};
    for (std::ptrdiff_t i = 0; i < 4; ++i) {  // four pixels of r g b b, squeezed; the next store covers the excess
      const i16x8 four = i % 2 == 0 ? interleave_low((i16x8)pairs[i / 2], (i16x8)rest[i / 2])
                                    : interleave_high((i16x8)pairs[i / 2], (i16x8)rest[i / 2]);
      const auto dense =
          (u8x16)__builtin_shufflevector((u8x16)four, (u8x16)four, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0, 0, 0, 0);
      const std::ptrdiff_t left = 3 * (last - p) - 12 * i;
      if (left >= 16) {
        store_lanes(codes + 3 * p + 12 * i, dense);
      } else if (left > 0) {
        store_bytes(codes + 3 * p + 12 * i, dense, std::min<std::ptrdiff_t>(left, 12));
      }
    }
  }
}

f32x4 reals(i32x4 codes, i32x4 zero_point, f32x4 scale) { return to_f32x4(codes - zero_point) * scale; }

}  // namespace

void quantize_u8(const BorderU8& b, const float* x, std::uint8_t* codes, std::ptrdiff_t first, std::ptrdiff_t last) {
  const Quantizer quantizer(b);
  const std::ptrdiff_t plane = b.channels * b.pixels;
  for (std::ptrdiff_t image = 0; image < b.images; ++image, x += plane, codes += b.pixels * b.pixel_stride) {
    if (is_plain(b)) {
      const std::ptrdiff_t end = last * b.channels;
      for (std::ptrdiff_t i = first * b.channels; i < end; i += kTile)
        store_some(codes + i, quantizer(x + i, std::min(kTile, end - i)), end - i);
      continue;
    }
    if (b.channels == 3 && b.pixel_stride == 3) {
      quantize_picture(b, x, codes, first, last);
      continue;
    }
    for (std::ptrdiff_t p = first; p < last; p += kTile)
      for (std::ptrdiff_t c = 0; c < b.channels; c += kTile) {
        Tile tile;
        const std::ptrdiff_t n = std::min(kTile, last - p), channels = std::min(kTile, b.channels - c);
        for (std::ptrdiff_t i = 0; i < kTile; ++i) tile[i] = i < channels ? quantizer(x + (c + i) * b.pixels + p, n) : u8x16{};
        transpose(tile);
        for (std::ptrdiff_t i = 0; i < n; ++i) store_some(codes + (p + i) * b.pixel_stride + c, tile[i], channels);
      }
  }
}

void dequantize_u8(const BorderU8& b, const std::uint8_t* codes, float* x, std::ptrdiff_t first, std::ptrdiff_t last) {
  const i32x4 zero_point = splat(b.zero_point);
  const f32x4 scale = splat(b.scale);
  const auto write = [&](u8x16 v, float* to, std::ptrdiff_t n) {
    const i16x8 low = widen_low(v), high = widen_high(v);
    const f32x4 four[4] = {reals(widen_low(low), zero_point, scale), reals(widen_high(low), zero_point, scale),
                           reals(widen_low(high), zero_point, scale), reals(widen_high(high), zero_point, scale)};
    for (std::ptrdiff_t i = 0; i < 4; ++i) {
      if (n - 4 * i >= 4) {
        store_f32x4(to + 4 * i, four[i]);
      } else {
        for (std::ptrdiff_t j = 0; j < n - 4 * i; ++j) to[4 * i + j] = four[i][j];
      }
    }
  };
  const std::ptrdiff_t plane = b.channels * b.pixels;
  for (std::ptrdiff_t image = 0; image < b.images; ++image, x += plane, codes += b.pixels * b.pixel_stride) {
    if (is_plain(b)) {
      const std::ptrdiff_t end = last * b.channels;
      for (std::ptrdiff_t i = first * b.channels; i < end; i += kTile) write(load_lanes<u8x16>(codes + i), x + i, end - i);
      continue;
    }
    for (std::ptrdiff_t p = first; p < last; p += kTile)
      for (std::ptrdiff_t c = 0; c < b.channels; c += kTile) {
        Tile tile;
        const std::ptrdiff_t n = std::min(kTile, last - p), channels = std::min(kTile, b.channels - c);
        for (std::ptrdiff_t i = 0; i < kTile; ++i)
          tile[i] = i < n ? load_lanes<u8x16>(codes + (p + i) * b.pixel_stride + c) : u8x16{};
        transpose(tile);
        for (std::ptrdiff_t i = 0; i < channels; ++i) write(tile[i], x + (c + i) * b.pixels + p, n);
      }
  }
}

void transpose_u8(const TransposeU8& t) {
  const u8x16 flip = splat_u8(t.flip);
  for (std::ptrdiff_t image = 0; image < t.images; ++image) {
    const std::uint8_t* x = t.x + image * t.rows * t.x_row_stride;
    std::uint8_t* y = t.y + image * t.columns * t.y_row_stride;
    for (std::ptrdiff_t i = 0; i < t.rows; i += kTile)
      for (std::ptrdiff_t j = 0; j < t.columns; j += kTile) {
        Tile tile;
        const std::ptrdiff_t rows = std::min(kTile, t.rows - i), columns = std::min(kTile, t.columns - j);
        for (std::ptrdiff_t r = 0; r < kTile; ++r)
          tile[r] = r < rows ? load_lanes<u8x16>(x + (i + r) * t.x_row_stride + j) ^ flip : u8x16{};
        transpose(tile);
        for (std::ptrdiff_t c = 0; c < columns; ++c) store_some(y + (j + c) * t.y_row_stride + i, tile[c], rows);
      }
  }
}

}  // namespace bitwright
