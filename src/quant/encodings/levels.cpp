#include "quant/encodings/levels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/simd_int.h"
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
    for (int k = 0; k < 4; ++k) {
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
    }
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

constexpr std::size_t kFewBoundaries = 15;

/// How many boundaries are less, for at most 15 of them (infinities behind them); 16 reals at a time, so that a boundary is loaded
/// once for all.
void few_ranks(const float* boundaries, const float* steps, std::uint8_t* ranks) {
  f32x4 x[4];
  i32x4 rank[4] = {};
  unrolled<4>([&](auto k) {
    x[k] = load_f32x4(steps + 4 * k);
    x[k] = float_of_bits(bits_of(x[k]) & (x[k] == x[k]));
  });
  unrolled<kFewBoundaries>([&](auto b) {
    const f32x4 boundary = std::bit_cast<f32x4>(load_splat(boundaries + b));
    unrolled<4>([&](auto k) { rank[k] -= i32x4(x[k] > boundary); });
  });
  store_codes(ranks, rank[0], rank[1], rank[2], rank[3]);
}

/// The bins of four reals. Whatever is lost in rounding, no bin falls as its real grows, and then ranks are exact.
i32x4 bins_of(f32x4 x, f32x4 per_real, f32x4 offset) {
  constexpr float kMagic = 0x1.8p23f;  // its unit in the last place is 1: adding it rounds half to even
  const f32x4 place = min(max(x * per_real + offset, splat(0.0f)), splat(RankBins::kBins - 1.0f));
  return bits_of(place + splat(kMagic)) - bits_of(splat(kMagic));
}

/// few_ranks for boundaries that lie apart.
class BinnedRanks {
 public:
  explicit BinnedRanks(const RankBins& bins) : per_real_(splat(bins.per_real)), offset_(splat(bins.offset)) {
    for (std::size_t half = 0; half < 2; ++half) {
      ranks_[half] = load_lanes<u8x16>(bins.rank + 16 * half);
      for (std::size_t byte = 0; byte < 4; ++byte) boundaries_[half][byte] = load_lanes<u8x16>(bins.boundary[byte] + 16 * half);
    }
  }

  void operator()(const float* steps, std::uint8_t* ranks) const {
    f32x4 x[4];
    i32x4 bin[4];
    unrolled<4>([&](auto k) {
      x[k] = load_f32x4(steps + 4 * k);
      x[k] = float_of_bits(bits_of(x[k]) & (x[k] == x[k]));
      bin[k] = bins_of(x[k], per_real_, offset_);
    });
    const u8x16 low = narrow(narrow(bin[0], bin[1]), narrow(bin[2], bin[3]));
    const u8x16 high = low - splat_u8(16);  // no index of a table where it is below 16
    const auto find = [&](const u8x16& first, const u8x16& second) { return swizzle(first, low) | swizzle(second, high); };
    i16x8 byte[4];
    unrolled<4>([&](auto i) { byte[i] = (i16x8)find(boundaries_[0][i], boundaries_[1][i]); });
    const i16x8 first_01 = interleave_low_bytes(byte[0], byte[1]), first_23 = interleave_low_bytes(byte[2], byte[3]);
    const i16x8 last_01 = interleave_high_bytes(byte[0], byte[1]), last_23 = interleave_high_bytes(byte[2], byte[3]);
    const i32x4 is_above[4] = {
        i32x4(x[0] > (f32x4)interleave_low(first_01, first_23)), i32x4(x[1] > (f32x4)interleave_high(first_01, first_23)),
        i32x4(x[2] > (f32x4)interleave_low(last_01, last_23)), i32x4(x[3] > (f32x4)interleave_high(last_01, last_23))};
    // A mask is -1, which would be narrowed to 0.
    const u8x16 one = narrow(-narrow(is_above[0], is_above[1]), -narrow(is_above[2], is_above[3]));
    store_lanes(ranks, find(ranks_[0], ranks_[1]) + one);
  }

 private:
  f32x4 per_real_;
  f32x4 offset_;
  u8x16 ranks_[2];
  u8x16 boundaries_[2][4];
};

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

}  // namespace

RankBins rank_bins(std::span<const float> boundaries) {
  constexpr float kNone = std::numeric_limits<float>::infinity();
  constexpr float kMost = 0x1p100f;
  RankBins bins;
  if (boundaries.size() < 2 || boundaries.size() > kFewBoundaries) return bins;
  bins.per_real = (RankBins::kBins - 2) / (boundaries.back() - boundaries.front());
  bins.offset = 0.5f - boundaries.front() * bins.per_real;
  if (!(std::abs(bins.per_real) < kMost && std::abs(bins.offset) < kMost)) return bins;
  float held[RankBins::kBins];
  std::fill(held, held + RankBins::kBins, kNone);
  for (const float boundary : boundaries) {
    const i32x4 found = bins_of(splat(boundary), splat(bins.per_real), splat(bins.offset));
    const auto bin = static_cast<std::size_t>(found[0]);
    if (held[bin] != kNone) return bins;
    held[bin] = boundary;
    for (std::size_t higher = bin + 1; higher < RankBins::kBins; ++higher) ++bins.rank[higher];
  }
  for (std::size_t bin = 0; bin < RankBins::kBins; ++bin) {
    const auto bits = std::bit_cast<std::uint32_t>(held[bin]);
    for (std::size_t byte = 0; byte < 4; ++byte) bins.boundary[byte][bin] = static_cast<std::uint8_t>(bits >> (8 * byte));
  }
  bins.are_apart = true;
  return bins;
}

LevelTable sorted_levels(std::vector<float> levels) {
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
  table.bins = rank_bins(table.boundaries);
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
      LevelTable table = sorted_levels({-1.0f, 1.0f});
      table.boundaries[0] = -0x1p-149f;  // the sign of 0 is +
      return table;
    }
    case Encoding::ternary: {
      LevelTable table = sorted_levels({-1.0f, 0.0f, 1.0f});
      table.boundaries = {std::nextafter(-1.0f, -2.0f), 1.0f};  // what is as large as the threshold is 0
      table.bins = rank_bins(table.boundaries);
      return table;
    }
    default:
      throw_error(ErrorCode::invalid_argument, {encoding_info(encoding).name, " has no fixed levels"});
  }
}

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

std::uint8_t code_of(const LevelTable& table, float step) {
  if (table.format != nullptr) return f32_to_small_float(*table.format, step != step ? 0.0f : step);
  if (step != step) step = 0.0f;
  std::size_t rank = 0;
  for (const float boundary : table.boundaries) rank += boundary < step ? 1 : 0;
  return table.code_of_rank.empty() ? static_cast<std::uint8_t>(rank) : table.code_of_rank[rank];
}

void codes_of(const LevelTable& table, const float* steps, std::size_t n, std::uint8_t* codes) {
  if (table.format != nullptr) return in_sixteens(steps, n, codes, SmallFloatCodes(*table.format));
  if (table.boundaries.size() <= kFewBoundaries) {
    float boundaries[kFewBoundaries];
    std::fill(boundaries, boundaries + kFewBoundaries, std::numeric_limits<float>::infinity());
    std::copy(table.boundaries.begin(), table.boundaries.end(), boundaries);
    if (table.bins.are_apart)
      in_sixteens(steps, n, codes, BinnedRanks(table.bins));
    else
      in_sixteens(steps, n, codes, [&](const float* x, std::uint8_t* out) { few_ranks(boundaries, x, out); });
  } else {
    for (std::size_t i = 0; i < n; ++i) codes[i] = rank_of(table.boundaries, steps[i]);
  }
  if (table.code_of_rank.empty()) return;
  for (std::size_t i = 0; i < n; ++i) codes[i] = table.code_of_rank[codes[i]];
}

}  // namespace bitwright
