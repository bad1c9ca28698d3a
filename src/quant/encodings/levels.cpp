#include "quant/encodings/levels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/simd.h"
#include "base/sorted_order.h"
#include "quant/encodings/encoding.h"
#include "quant/store_codes.h"

namespace bitwright {

namespace {

constexpr float kNf4[] = {-1.0f,
                          -0.6961928009986877f,
                          -0.5250730514526367f,
                          -0.39491748809814453f,
                          -0.28444138169288635f,
                          -0.18477343022823334f,
                          -0.09105003625154495f,
                          0.0f,
                          0.07958029955625534f,
                          0.16093020141124725f,
                          0.24611230194568634f,
                          0.33791524171829224f,
                          0.44070982933044434f,
                          0.5626170039176941f,
                          0.7229568362236023f,
                          1.0f};
constexpr float kFp4[] = {0.0f, 0.005208333333f, 0.66666667f, 1.0f, 0.33333333f, 0.5f, 0.16666667f, 0.25f};

constexpr SmallFloat kF6e2m3{2, 3, 1, 7.5f, false, false, false};
constexpr SmallFloat kF6e3m2{3, 2, 3, 28.0f, false, false, false};

const SmallFloat* format_of(Encoding encoding) {
  switch (encoding) {
    case Encoding::f8e4m3fn:
      return &kF8e4m3fn;
    case Encoding::f8e5m2:
      return &kF8e5m2;
    case Encoding::f6e2m3:
      return &kF6e2m3;
    case Encoding::f6e3m2:
      return &kF6e3m2;
    case Encoding::f4e2m1:
      return &kF4e2m1;
    default:
      return nullptr;
  }
}

std::vector<float> magnitudes(Encoding encoding, int bits) {
  std::vector<float> found = {0.0f};
  if (encoding == Encoding::power_of_two) {
    for (int k = 0; k <= (1 << (bits - 1)) - 2; ++k) found.push_back(std::ldexp(1.0f, -k));
    return found;
  }
  const int n_terms = (bits - 1) / 2;
  const bool has_odd = (bits - 1) % 2 != 0;
  const auto add_term = [&](std::initializer_list<int> exponents) {
    const std::size_t n = found.size();
    for (const int exponent : exponents)
      for (std::size_t i = 0; i < n; ++i) found.push_back(found[i] + std::ldexp(1.0f, -exponent));
  };
  for (int i = 0; i < n_terms; ++i) add_term({i + 1, n_terms + i + 1, 2 * n_terms + i + 1 + (has_odd ? 1 : 0)});
  if (has_odd) add_term({2 * n_terms + 1});
  const float largest = *std::max_element(found.begin(), found.end());
  for (float& level : found) level /= largest;
  return found;
}

/// Rounds half to even onto the codes of a small float; beyond the largest value it saturates, NaN counts as 0.
class SmallFloatCodes {
 public:
  explicit SmallFloatCodes(const SmallFloat& f)
      : exponent_shift_(7 - f.mantissa_bits),
        largest_(splat(f.largest)),
        first_exponent_(splat((128 - f.bias) << 23)),
        to_magic_(splat((23 - f.mantissa_bits) << 23)),
        offset_(splat_i16((128 - f.bias) << f.mantissa_bits)),
        sign_(splat_i16(1 << (f.exponent_bits + f.mantissa_bits))) {}

  void operator()(const float* x, std::uint8_t* codes) const {
    i32x4 digits[4];
    i32x4 exponents[4];
    i32x4 signs[4];
    unrolled<4>([&](auto k) {
      const f32x4 real = load_f32x4(x + 4 * k);
      const i32x4 bits = bits_of(real) & (real == real);
      const f32x4 magnitude = min(float_of_bits(bits & magnitude_bits_), largest_);
      // Subnormals share the exponent of the smallest normals.
      const i32x4 exponent = max(bits_of(magnitude) & exponent_bits_, first_exponent_);
      // 2^23 times the mantissa's last digit: what is added to it is rounded to that digit. Its low bits then count such digits,
      // the leading 1 of normals included, which thus moves them past the subnormals.
      const i32x4 magic = exponent + to_magic_;
      digits[k] = bits_of(magnitude + float_of_bits(magic)) - magic;
      exponents[k] = exponent >> 16;
      signs[k] = bits >> 31;
    });
    const auto eight = [&](int k) {
      const i16x8 code = narrow(digits[k], digits[k + 1]) + (narrow(exponents[k], exponents[k + 1]) >> exponent_shift_) - offset_;
      return code | (narrow(signs[k], signs[k + 1]) & sign_);
    };
    store_lanes(codes, narrow(eight(0), eight(2)));
  }

 private:
  int exponent_shift_;
  f32x4 largest_;
  i32x4 first_exponent_;
  i32x4 to_magic_;
  i16x8 offset_;
  i16x8 sign_;
  i32x4 magnitude_bits_ = in_register(splat(INT32_MAX));
  i32x4 exponent_bits_ = in_register(splat(0x7f800000));
};

/// NaN becomes 0.
inline f32x4 numbers(f32x4 x) { return float_of_bits(bits_of(x) & (x == x)); }

constexpr std::size_t kFewBoundaries = 15;

/// Ranks of 16 reals among at most 15 boundaries, infinities behind them.
void few_ranks(const float* boundaries, const float* steps, std::uint8_t* ranks) {
  f32x4 x[4];
  i32x4 rank[4] = {};
  unrolled<4>([&](auto k) { x[k] = numbers(load_f32x4(steps + 4 * k)); });
  for (std::size_t b = 0; b < kFewBoundaries; ++b) {
    const f32x4 boundary = std::bit_cast<f32x4>(load_splat(boundaries + b));
    unrolled<4>([&](auto k) { rank[k] -= i32x4(x[k] > boundary); });
  }
  store_codes(ranks, rank[0], rank[1], rank[2], rank[3]);
}

/// Halves of buckets, 0 to 31, never less for a larger real. The border between the two buckets about 0 is a quarter of a bucket below
/// it: most codebooks have a boundary on either side of 0, near it.
class HalfBuckets {
 public:
  explicit HalfBuckets(float per_unit) : per_unit_(splat(per_unit)) {}
  i32x4 operator()(f32x4 x) const { return bits_of(min(max(x * per_unit_, lowest_), highest_) + magic_) - first_; }

 private:
  static constexpr float kMagic = 0x1.8p22f;  // its unit in the last place is one half
  f32x4 per_unit_;
  f32x4 lowest_ = in_register(splat(-8.0f)), highest_ = in_register(splat(7.5f)), magic_ = in_register(splat(kMagic));
  i32x4 first_ = in_register(splat(std::bit_cast<std::int32_t>(kMagic) - 16));
};
inline u8x16 buckets_of(i32x4 a, i32x4 b, i32x4 c, i32x4 d) {
  return (u8x16)((u16x8)narrow(narrow(a, b), narrow(c, d)) >> 1) & splat_u8(15);
}

RankBuckets bucketed(std::span<const float> boundaries) {
  float furthest = 0.0f;
  for (const float boundary : boundaries) furthest = std::max(furthest, std::abs(boundary));
  RankBuckets best;
  for (const float n_buckets : {7.0f, 7.4f, 8.6f}) {
    RankBuckets found;
    found.per_unit = n_buckets / furthest;
    if (!std::isfinite(found.per_unit)) return {};
    std::size_t n_within[16] = {};
    std::fill_n(&found.boundaries[0][0][0], sizeof(found.boundaries), std::uint8_t{0xff});  // a NaN: no real is more
    for (const float boundary : boundaries) {
      const auto bucket = static_cast<std::size_t>(HalfBuckets(found.per_unit)(splat(boundary))[0] / 2);
      const std::size_t which = n_within[bucket]++;
      found.n_within = std::max(found.n_within, n_within[bucket]);
      if (found.n_within > RankBuckets::kMost) break;
      const auto bits = std::bit_cast<std::uint32_t>(boundary);
      for (int byte = 0; byte < 4; ++byte) found.boundaries[which][byte][bucket] = static_cast<std::uint8_t>(bits >> 8 * byte);
      for (std::size_t after = bucket + 1; after < 16; ++after) ++found.before[after];
    }
    if (found.n_within <= RankBuckets::kMost && (best.per_unit == 0.0f || found.n_within < best.n_within)) best = found;
  }
  return best;
}

/// Calls `sixteen` for all of n reals: what is left over travels through a buffer.
template <typename Sixteen>
void in_sixteens(const float* steps, std::size_t n, std::uint8_t* codes, Sixteen&& sixteen) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) sixteen(steps + i, codes + i);
  if (i == n) return;
  float rest[16] = {};
  std::uint8_t found[16];
  std::copy(steps + i, steps + n, rest);
  sixteen(rest, found);
  std::copy_n(found, n - i, codes + i);
}

/// Ranks of n reals, a multiple of 16.
[[gnu::noinline]] void bucket_ranks(const RankBuckets& buckets, const float* steps, std::size_t n, std::uint8_t* ranks) {
  const HalfBuckets half_buckets(buckets.per_unit);
  const u8x16 before = in_register(load_lanes<u8x16>(buckets.before));
  for (std::size_t i = 0; i < n; i += 16) {
    f32x4 x[4];
    i32x4 rank[4] = {};
    i32x4 halves[4];
    unrolled<4>([&](auto k) {
      x[k] = numbers(load_f32x4(steps + i + 4 * k));
      halves[k] = half_buckets(x[k]);
    });
    const u8x16 index = buckets_of(halves[0], halves[1], halves[2], halves[3]);
    for (std::size_t which = 0; which < buckets.n_within; ++which) {
      u8x16 bytes[4];
      unrolled<4>([&](auto b) { bytes[b] = swizzle(load_lanes<u8x16>(buckets.boundaries[which][b]), index); });
      const auto low = (i16x8)interleave_low_bytes(bytes[0], bytes[1]), high = (i16x8)interleave_low_bytes(bytes[2], bytes[3]);
      const auto low_2 = (i16x8)interleave_high_bytes(bytes[0], bytes[1]),
                 high_2 = (i16x8)interleave_high_bytes(bytes[2], bytes[3]);
      rank[0] -= i32x4(x[0] > std::bit_cast<f32x4>(interleave_low(low, high)));
      rank[1] -= i32x4(x[1] > std::bit_cast<f32x4>(interleave_high(low, high)));
      rank[2] -= i32x4(x[2] > std::bit_cast<f32x4>(interleave_low(low_2, high_2)));
      rank[3] -= i32x4(x[3] > std::bit_cast<f32x4>(interleave_high(low_2, high_2)));
    }
    store_lanes(ranks + i, narrow(narrow(rank[0], rank[1]), narrow(rank[2], rank[3])) + swizzle(before, index));
  }
}

/// How many of the ascending boundaries are less; NaN counts as 0.
std::uint8_t rank_of(std::span<const float> boundaries, float step) {
  if (step != step) step = 0.0f;
  std::size_t low = 0;
  std::size_t n = boundaries.size();
  while (n > 0) {  // without branches on the data
    const std::size_t half = (n + 1) / 2;
    low += boundaries[low + half - 1] < step ? half : 0;
    n -= half;
  }
  return static_cast<std::uint8_t>(low);
}

}  // namespace

LevelTable sorted_levels(std::vector<float> levels, std::size_t n_reals) {
  LevelTable table;
  std::vector<std::uint8_t> order;
  order.reserve(levels.size());
  for (const std::size_t i : sorted_order(levels.size(), [&](std::size_t a, std::size_t b) { return levels[a] < levels[b]; }))
    order.push_back(static_cast<std::uint8_t>(i));
  // -0 and a second level of the same real are found by no value.
  order.erase(std::unique(order.begin(), order.end(), [&](std::uint8_t a, std::uint8_t b) { return levels[a] == levels[b]; }),
              order.end());
  bool is_identity = order.size() == levels.size();
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    is_identity &= order[rank] == rank;
    const float level = levels[order[rank]];
    table.largest = std::max(table.largest, std::abs(level));
    if (rank != 0)
      table.boundaries.push_back(
          static_cast<float>(0.5 * (static_cast<double>(levels[order[rank - 1]]) + static_cast<double>(level))));
  }
  if (n_reals >= kManyReals) table.buckets = bucketed(table.boundaries);
  if (!is_identity) table.code_of_rank = std::move(order);
  table.levels = std::move(levels);
  return table;
}

LevelTable level_table(Encoding encoding, int bits) {
  std::vector<float> levels;
  if (const SmallFloat* format = format_of(encoding)) {
    LevelTable table;
    for (int code = 0; code < 1 << bits; ++code)
      table.levels.push_back(small_float_to_f32(*format, static_cast<std::uint8_t>(code)));
    table.format = format;
    table.largest = format->largest;
    return table;
  }
  switch (encoding) {
    case Encoding::nf4:
      return sorted_levels({std::begin(kNf4), std::end(kNf4)});
    case Encoding::fp4:
      levels.assign(std::begin(kFp4), std::end(kFp4));
      for (const float level : kFp4) levels.push_back(-level);
      return sorted_levels(std::move(levels));
    case Encoding::power_of_two:
    case Encoding::additive_power_of_two: {
      const std::vector<float> positive = magnitudes(encoding, bits);
      levels = positive;
      for (const float level : positive)
        if (level != 0.0f) levels.push_back(-level);
      sort_floats(levels);
      return sorted_levels(std::move(levels));
    }
    case Encoding::binary: {
      LevelTable table = sorted_levels({-1.0f, 1.0f}, 0);
      table.boundaries[0] = -0x1p-149f;  // the sign of 0 is +
      return table;
    }
    case Encoding::ternary: {
      LevelTable table = sorted_levels({-1.0f, 0.0f, 1.0f}, 0);
      table.boundaries = {std::nextafter(-1.0f, -2.0f), 1.0f};  // what is as large as the threshold is 0
      return table;
    }
    default:
      throw_error(ErrorCode::invalid_argument, {encoding_info(encoding).name, " has no fixed levels"});
  }
}

std::uint8_t code_of(const LevelTable& table, float step) {
  if (table.format != nullptr) return f32_to_small_float(*table.format, step != step ? 0.0f : step);
  if (step != step) step = 0.0f;
  std::size_t rank = 0;
  for (const float boundary : table.boundaries) rank += boundary < step ? 1 : 0;
  return table.code_of_rank.empty() ? static_cast<std::uint8_t>(rank) : table.code_of_rank[rank];
}

void codes_of(const LevelTable& table, const float* steps, std::size_t n, std::uint8_t* codes) {
  if (table.format != nullptr) return in_sixteens(steps, n, codes, SmallFloatCodes(*table.format));
  std::size_t n_done = 0;
  if (table.buckets.per_unit > 0.0f) {
    n_done = n / 16 * 16;
    bucket_ranks(table.buckets, steps, n_done, codes);
  } else if (table.boundaries.size() <= kFewBoundaries) {
    float boundaries[kFewBoundaries];
    std::fill(boundaries, boundaries + kFewBoundaries, std::numeric_limits<float>::infinity());
    std::copy(table.boundaries.begin(), table.boundaries.end(), boundaries);
    for (; n_done + 16 <= n; n_done += 16) few_ranks(boundaries, steps + n_done, codes + n_done);
  }
  for (std::size_t i = n_done; i < n; ++i) codes[i] = rank_of(table.boundaries, steps[i]);
  if (table.code_of_rank.empty()) return;
  for (std::size_t i = 0; i < n; ++i) codes[i] = table.code_of_rank[codes[i]];
}

}  // namespace bitwright
