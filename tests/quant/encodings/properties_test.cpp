#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base/error.h"
#include "quant/encodings/encoding.h"
#include "quant/encodings/levels.h"
#include "quant/reference.h"
#include "quant/rounding.h"

using namespace bitwright;
using Grain = TensorScheme::Grain;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Roughly normal: the sum of four uniform numbers. With specials, one in nine is not an ordinary number.
std::vector<float> weights(std::size_t n, std::uint32_t seed, bool with_specials = false) {
  std::mt19937 bits(seed);
  const float specials[] = {0.0f, -0.0f, kInfinity, -kInfinity, std::nanf(""), 1e-42f, -1e-42f, 3e38f, -3e38f};
  std::vector<float> values(n);
  for (float& value : values) {
    float sum = 0.0f;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(bits() >> 8) * 0x1p-24f - 0.5f;
    value = with_specials && bits() % 9 == 0 ? specials[bits() % std::size(specials)] : sum * 0.1f;
  }
  return values;
}

double sqnr_db(std::span<const float> x, std::span<const float> y) {
  double signal = 0.0;
  double noise = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    signal += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    noise += (static_cast<double>(x[i]) - static_cast<double>(y[i])) * (static_cast<double>(x[i]) - static_cast<double>(y[i]));
  }
  return 10.0 * std::log10(signal / noise);
}

double squared_error(std::span<const float> x, std::span<const float> y) {
  double noise = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i)
    noise += (static_cast<double>(x[i]) - static_cast<double>(y[i])) * (static_cast<double>(x[i]) - static_cast<double>(y[i]));
  return noise;
}

struct Case {
  Shape shape;
  std::int64_t axis;
};
/// Around the vector width and the piece length, with axes first, in the middle and last.
std::vector<Case> cases() {
  std::vector<Case> found = {{{0}, 0},       {{3, 0}, 1},  {{3, 0}, 0},  {{2, 9, 5}, 0}, {{2, 9, 5}, 1},
                             {{2, 9, 5}, 2}, {{5, 70}, 1}, {{70, 5}, 0}, {{3, 1100}, 0}, {{1100, 3}, 1}};
  for (const std::int64_t n : {1, 3, 4, 5, 15, 16, 17, 33, 1023, 1025}) found.push_back({{n}, 0});
  return found;
}

/// Every named scheme, and each in the other granularities.
std::vector<TensorScheme> all_schemes() {
  std::vector<TensorScheme> found;
  for (const NamedScheme& named : named_schemes()) {
    found.push_back(named.scheme);
    for (const Grain grain : {Grain::per_tensor, Grain::per_channel, Grain::per_block, Grain::per_token}) {
      TensorScheme other = named.scheme;
      if (other.scale_form == ScaleForm::u6 && grain != Grain::per_block) continue;
      other.grain = grain;
      other.block_size = 7;
      found.push_back(other);
      if (grain != Grain::per_channel) continue;
      other.channel_group = 3;
      found.push_back(other);
    }
  }
  return found;
}

std::vector<float> decoded(const EncodedTensor& encoded) {
  std::vector<float> reals(static_cast<std::size_t>(n_elements(encoded.shape)));
  decode_tensor(encoded, reals);
  return reals;
}

/// What the definition in encoding.h says about one element.
float real_of(const EncodedTensor& e, std::int64_t element, const std::vector<std::int32_t>& codes) {
  const std::int32_t code = codes[static_cast<std::size_t>(element)];
  const auto g = static_cast<std::size_t>(reference::scale_index(e.granularity, e.shape, element));
  if (e.scheme.encoding == Encoding::uniform) return reference::dequantize(code, e.scales[g], e.zero_points[g]);
  if (!e.scales.empty()) return e.scales[g] * e.levels[static_cast<std::size_t>(code)];
  return e.levels[g * static_cast<std::size_t>(e.scheme.n_entries) + static_cast<std::size_t>(code)];
}

bool is_half(const TensorScheme& s) { return s.encoding == Encoding::f16 || s.encoding == Encoding::bf16; }

}  // namespace

TEST_CASE("encode_tensor: codes in range, scales finite and positive, decoding as defined, for each scheme and granularity") {
  std::uint32_t seed = 1;
  for (const TensorScheme& scheme : all_schemes()) {
    for (const Case& c : cases()) {
      CAPTURE(encoding_info(scheme.encoding).name);
      CAPTURE(scheme.bits);
      CAPTURE(to_string(c.shape));
      CAPTURE(c.axis);
      const std::vector<float> x = weights(static_cast<std::size_t>(n_elements(c.shape)), ++seed, true);
      const EncodedTensor e = encode_tensor(x, c.shape, scheme, c.axis);
      CAPTURE(to_string(e.granularity));
      const std::vector<std::int32_t> codes = unpack_codes(e);
      REQUIRE(codes.size() == static_cast<std::size_t>(e.n_codes()));
      REQUIRE(pack_codes(codes, e.scheme.bits) == e.codes);
      for (const std::int32_t code : codes) REQUIRE((code >= e.range.qmin && code <= e.range.qmax));
      for (const float scale : e.scales) REQUIRE((std::isfinite(scale) && scale > 0.0f));
      REQUIRE(e.n_not_finite ==
              static_cast<std::uint64_t>(std::count_if(x.begin(), x.end(), [](float v) { return !std::isfinite(v); })));
      const std::vector<float> y = decoded(e);
      for (std::size_t i = 0; i < y.size(); ++i) {
        if (!is_half(scheme)) REQUIRE(std::isfinite(y[i]));
        if (is_half(scheme) || scheme.encoding == Encoding::product) continue;
        const float defined = real_of(e, static_cast<std::int64_t>(i), codes);
        REQUIRE(std::memcmp(&y[i], &defined, sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("encode_tensor: fitted levels: every value takes the nearest of its own group's, wherever it stands") {
  std::uint32_t seed = 50;
  for (const Encoding encoding : {Encoding::kmeans, Encoding::binary_code})
    for (const int bits : {1, 3, 4})
      for (const Grain grain : {Grain::per_tensor, Grain::per_channel, Grain::per_block, Grain::per_token})
        for (const Case& c : cases()) {
          CAPTURE(encoding_info(encoding).name);
          CAPTURE(bits);
          CAPTURE(to_string(c.shape));
          CAPTURE(c.axis);
          ++seed;
          const std::vector<float> x = weights(static_cast<std::size_t>(n_elements(c.shape)), seed, seed % 2 == 0);
          const EncodedTensor e =
              encode_tensor(x, c.shape, {.grain = grain, .block_size = 7, .encoding = encoding, .bits = bits}, c.axis);
          const std::vector<float> y = decoded(e);
          const auto n_levels = static_cast<std::size_t>(e.scheme.n_entries);
          for (std::size_t i = 0; i < x.size(); ++i) {
            const double value = std::isnan(x[i]) ? 0.0 : std::clamp(static_cast<double>(x[i]), -4e38, 4e38);
            const auto g = static_cast<std::size_t>(reference::scale_index(e.granularity, e.shape, static_cast<std::int64_t>(i)));
            double least = 1e40;
            for (std::size_t k = 0; k < n_levels; ++k)
              least = std::min(least, std::abs(value - static_cast<double>(e.levels[g * n_levels + k])));
            // The boundary between two levels is rounded to a float.
            REQUIRE(std::abs(value - static_cast<double>(y[i])) <= least + 1e-6 * std::abs(value));
          }
        }
}

TEST_CASE("encode_tensor: the range of a watched scale is that of its group, whichever it is") {
  const Shape shape = {3, 1000};
  const std::vector<float> x = weights(3000, 77);
  for (const Encoding encoding : {Encoding::uniform, Encoding::nf4, Encoding::ternary})
    for (const auto& [grain, axis] :
         {std::pair(Grain::per_tensor, 0), std::pair(Grain::per_channel, 0), std::pair(Grain::per_channel, 1),
          std::pair(Grain::per_block, 0), std::pair(Grain::per_block, 1)}) {
      const TensorScheme scheme{.dtype = DType::u4, .grain = grain, .block_size = 8, .encoding = encoding};
      const auto n_scales = static_cast<std::int64_t>(encode_tensor(x, shape, scheme, axis).scales.size());
      for (std::int64_t watched = 0; watched < n_scales; watched += 1 + n_scales / 40) {
        CAPTURE(encoding_info(encoding).name);
        CAPTURE(watched);
        const EncodedTensor e = encode_tensor(x, shape, scheme, axis, {.watched_scale = watched});
        RealRange range;
        double sum = 0.0;
        double n = 0.0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          if (reference::scale_index(e.granularity, shape, static_cast<std::int64_t>(i)) != watched) continue;
          range = {std::min(range.rmin, x[i]), std::max(range.rmax, x[i])};
          sum += std::abs(static_cast<double>(x[i]));
          ++n;
        }
        CHECK(e.watched_range.rmin == range.rmin);
        CHECK(e.watched_range.rmax == range.rmax);
        if (encoding == Encoding::ternary)
          CHECK(static_cast<double>(e.watched_threshold) == doctest::Approx(0.7 * sum / n).epsilon(1e-6));
      }
    }
}

TEST_CASE("encode_tensor: fixed levels take the nearest one, as the slow twin does") {
  std::uint32_t seed = 900;
  for (const NamedScheme& named : named_schemes()) {
    const TensorScheme& scheme = named.scheme;
    if (scheme.encoding == Encoding::uniform || is_half(scheme) || scheme.encoding == Encoding::kmeans ||
        scheme.encoding == Encoding::binary_code || scheme.encoding == Encoding::product || scheme.encoding == Encoding::ternary)
      continue;
    CAPTURE(named.name);
    const LevelTable table = level_table(scheme.encoding, complete_scheme(scheme).bits);
    for (const std::size_t n : {1u, 15u, 16u, 17u, 1000u}) {
      std::vector<float> steps = weights(n + 1, ++seed, true);
      for (float& s : steps) s *= 5.0f * table.largest;
      std::vector<std::uint8_t> fast(n);
      codes_of(table, steps.data() + 1, n, fast.data());  // unaligned
      for (std::size_t i = 0; i < n; ++i) {
        const float x = steps[i + 1];
        CAPTURE(x);
        REQUIRE(fast[i] == code_of(table, x));
        if (!std::isfinite(x)) continue;
        float nearest = kInfinity;
        for (const float level : table.levels)
          if (std::isfinite(level)) nearest = std::min(nearest, std::abs(x - level));
        REQUIRE(std::abs(x - table.levels[fast[i]]) == doctest::Approx(nearest).epsilon(1e-6));
      }
    }
    // Ties, levels and all boundaries.
    std::vector<float> edges = table.levels;
    for (std::size_t i = 0; i + 1 < table.levels.size(); ++i) edges.push_back(0.5f * (table.levels[i] + table.levels[i + 1]));
    for (const float boundary : table.boundaries)
      for (const float beside : {std::nextafter(boundary, -kInfinity), boundary, std::nextafter(boundary, kInfinity)})
        edges.push_back(beside);
    for (const float edge : edges) {
      if (std::isnan(edge)) continue;
      std::uint8_t code = 0;
      codes_of(table, &edge, 1, &code);
      REQUIRE(code == code_of(table, edge));
    }
  }
}

TEST_CASE("codes_of: codebooks of any spacing, at their boundaries and beyond all reals, as the slow twin") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const std::size_t n = 2 + random() % 15;
    const float spread = std::ldexp(1.0f, static_cast<int>(random() % 240) - 120);
    std::vector<float> levels(n);
    for (std::size_t i = 0; i < n; ++i)  // evenly, or crowded about 0
      levels[i] =
          spread * (round % 2 == 0 ? static_cast<float>(i) + static_cast<float>(random() % 64) / 256.0f - 4.0f
                                   : std::ldexp(1.0f, -static_cast<int>(random() % 12)) * (random() % 2 == 0 ? 1.0f : -1.0f));
    const LevelTable table = sorted_levels(levels, round % 4 < 2 ? kManyReals : 0);  // with buckets and without
    constexpr float kMost = std::numeric_limits<float>::max();
    std::vector<float> reals = {0.0f,  -0.0f,  kInfinity, -kInfinity,
                                kMost, -kMost, 0x1p-149f, std::numeric_limits<float>::quiet_NaN()};
    for (const float boundary : table.boundaries)
      for (const float beside : {std::nextafter(boundary, -kInfinity), boundary, std::nextafter(boundary, kInfinity)})
        reals.push_back(beside);
    for (int i = 0; i < 20; ++i) reals.push_back(spread * (static_cast<float>(random() % 4096) / 256.0f - 6.0f));
    std::vector<std::uint8_t> fast(reals.size());
    codes_of(table, reals.data(), reals.size(), fast.data());
    for (std::size_t i = 0; i < reals.size(); ++i) {
      CAPTURE(reals[i]);
      REQUIRE(fast[i] == code_of(table, reals[i]));
    }
  }
}

TEST_CASE("encode_tensor: real 0 is exact where the levels hold it") {
  std::uint32_t seed = 50;
  for (const NamedScheme& named : named_schemes()) {
    const TensorScheme& s = named.scheme;
    if (s.encoding == Encoding::kmeans || s.encoding == Encoding::binary || s.encoding == Encoding::binary_code ||
        s.encoding == Encoding::product)
      continue;
    CAPTURE(named.name);
    std::vector<float> x = weights(640, ++seed);
    for (std::size_t i = 0; i < x.size(); i += 3) x[i] = 0.0f;
    const std::vector<float> y = decoded(encode_tensor(x, {10, 64}, s, s.grain == Grain::per_block ? 1 : 0));
    for (std::size_t i = 0; i < x.size(); i += 3) REQUIRE(y[i] == 0.0f);
  }
}

TEST_CASE("encode_tensor: decoded values encode to themselves, and order is kept within a scale") {
  std::uint32_t seed = 70;
  for (const NamedScheme& named : named_schemes()) {
    const TensorScheme& s = named.scheme;
    if (s.encoding == Encoding::ternary || s.encoding == Encoding::product) continue;
    CAPTURE(named.name);
    for (int round = 0; round < 20; ++round) {
      std::vector<float> x = weights(64, ++seed);
      std::sort(x.begin(), x.end());
      TensorScheme one = s;
      if (one.scale_form != ScaleForm::u6) one.grain = Grain::per_tensor;
      if (one.encoding == Encoding::kmeans) one.bits = std::min(one.bits, 4);
      const EncodedTensor e = encode_tensor(x, {64}, one, 0);
      const std::vector<float> y = decoded(e);
      if (one.scale_form != ScaleForm::u6) REQUIRE(std::is_sorted(y.begin(), y.end()));
      // With the same scales: the largest real may have been clipped, and then min_max would choose another.
      if (one.encoding == Encoding::uniform) {
        for (std::size_t i = 0; i < y.size(); ++i) {
          const auto g = static_cast<std::size_t>(reference::scale_index(e.granularity, e.shape, static_cast<std::int64_t>(i)));
          REQUIRE(reference::quantize(y[i], e.scales[g], e.zero_points[g], e.range) == unpack_codes(e)[i]);
        }
      } else if (!is_half(one)) {
        const LevelTable table = e.scales.empty() ? sorted_levels(e.levels) : level_table(one.encoding, e.scheme.bits);
        const float scale = e.scales.empty() ? 1.0f : e.scales[0];
        for (const float real : y) {
          const float again = scale * table.levels[code_of(table, real / scale)];
          REQUIRE(again == real);
        }
      }
    }
  }
}

TEST_CASE("encode_tensor: uniform codes equal the reference for each width, within half a step inside the range") {
  std::uint32_t seed = 300;
  for (int bits = 1; bits <= 8; ++bits)
    for (const bool is_signed : {false, true})
      for (const bool is_symmetric : {false, true})
        for (const bool narrow : {false, true}) {
          if (bits == 1 && (is_symmetric || narrow)) continue;
          for (const std::int64_t axis : {0, 1}) {
            const TensorScheme scheme{.dtype = is_signed ? DType::i8 : DType::u8,
                                      .is_symmetric = is_symmetric,
                                      .narrow_range = narrow,
                                      .grain = Grain::per_channel,
                                      .bits = bits};
            const std::vector<float> x = weights(33 * 19, ++seed);
            const EncodedTensor e = encode_tensor(x, {33, 19}, scheme, axis);
            const std::vector<std::int32_t> codes = unpack_codes(e);
            const std::vector<float> y = decoded(e);
            for (std::size_t i = 0; i < x.size(); ++i) {
              const auto g =
                  static_cast<std::size_t>(reference::scale_index(e.granularity, e.shape, static_cast<std::int64_t>(i)));
              REQUIRE(codes[i] == reference::quantize(x[i], e.scales[g], e.zero_points[g], e.range));
              const float low = e.scales[g] * static_cast<float>(e.range.qmin - e.zero_points[g]);
              const float high = e.scales[g] * static_cast<float>(e.range.qmax - e.zero_points[g]);
              if (x[i] >= low && x[i] <= high) REQUIRE(std::abs(x[i] - y[i]) <= 0.50001f * e.scales[g]);
            }
          }
        }
}

TEST_CASE("encode_tensor: every scheme keeps what its bits allow of normal weights") {
  // Lower bounds a few dB under the theory of a Gaussian source (Lloyd-Max: 4.4, 9.3, 14.6, 20.2 dB for 1 to 4 bits; 6 dB a bit).
  const struct {
    const char* name;
    double least_db;
  } bounds[] = {{"i8", 36},        {"u8", 36},       {"i16", 80},      {"i8_b32", 40}, {"i6", 26},     {"i4_b32", 17},
                {"u4_b32", 18},    {"k4", 17},       {"i3_b32", 10},   {"i2_b32", 2},  {"u2_b32", 7},  {"pot4", 12},
                {"apot4", 15},     {"nf4", 18},      {"fp4", 16},      {"f16", 70},    {"bf16", 50},   {"f8e4m3fn", 30},
                {"f8e5m2", 24},    {"mxint8", 40},   {"mxfp8", 30},    {"mxfp6", 26},  {"mxfp4", 16},  {"nvfp4", 18},
                {"kmeans256", 38}, {"kmeans16", 19}, {"kmeans4", 8.5}, {"bcq4", 16},   {"bcq3", 13.5}, {"bcq2", 8.5},
                {"ternary", 6},    {"binary", 4},    {"pq4", 8}};
  const std::vector<float> x = weights(64 * 512, 7);
  for (const auto& bound : bounds) {
    CAPTURE(bound.name);
    const TensorScheme& scheme = find_scheme(bound.name)->scheme;
    const EncodedTensor e = encode_tensor(x, {64, 512}, scheme, scheme.grain == Grain::per_channel ? 0 : 1);
    const double found = sqnr_db(x, decoded(e));
    CHECK(found > bound.least_db);
  }
}

TEST_CASE("encode_tensor: clipping by mse and output_error is never worse than min_max") {
  std::uint32_t seed = 400;
  for (const char* name :
       {"i8", "u8", "i4", "u4_b32", "k4", "i3_b32", "u2_b32", "pot4", "apot4", "nf4", "f8e4m3fn", "mxfp4", "mxint8", "nvfp4"}) {
    for (int round = 0; round < 6; ++round) {
      CAPTURE(name);
      std::vector<float> x = weights(6 * 64, ++seed);
      x[17] *= 8.0f;  // an outlier
      TensorScheme scheme = find_scheme(name)->scheme;
      const std::int64_t axis = scheme.grain == Grain::per_channel ? 0 : 1;
      const double plain = squared_error(x, decoded(encode_tensor(x, {6, 64}, scheme, axis)));
      scheme.clipping = CalibrationMethod::mse;
      CHECK(squared_error(x, decoded(encode_tensor(x, {6, 64}, scheme, axis))) <= plain);
      // Importance that only the first column has: its error may not grow.
      std::vector<float> importance(64, 0.0f);
      importance[0] = 1.0f;
      const auto first_column = [&](const std::vector<float>& y) {
        double sum = 0.0;
        for (std::size_t r = 0; r < 6; ++r) sum += std::pow(static_cast<double>(x[r * 64]) - static_cast<double>(y[r * 64]), 2.0);
        return sum;
      };
      scheme.clipping = CalibrationMethod::min_max;
      const double before = first_column(decoded(encode_tensor(x, {6, 64}, scheme, axis)));
      scheme.clipping = CalibrationMethod::output_error;
      const EncodeOptions options{.importance = importance, .importance_axis = 1};
      CHECK(first_column(decoded(encode_tensor(x, {6, 64}, scheme, axis, options))) <= before);
    }
  }
}

TEST_CASE("encode_tensor: stochastic rounding is unbiased and repeats with its seed") {
  const std::vector<float> x = weights(2000, 11);
  TensorScheme scheme = find_scheme("i4_b32")->scheme;
  scheme.grain = Grain::per_tensor;
  scheme.rounding = Rounding::stochastic;
  double sum = 0.0;
  double squares = 0.0;
  int n = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    scheme.seed = seed;
    const EncodedTensor e = encode_tensor(x, {2000}, scheme, 0);
    REQUIRE(encode_tensor(x, {2000}, scheme, 0).codes == e.codes);
    const std::vector<float> y = decoded(e);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = (static_cast<double>(y[i]) - static_cast<double>(x[i])) / static_cast<double>(e.scales[0]);
      REQUIRE(std::abs(error) < 1.0001);
      sum += error;
      squares += error * error;
      ++n;
    }
  }
  const double standard_error = std::sqrt(squares / n / n);
  CHECK(std::abs(sum / n) < 3.0 * standard_error);
  CHECK(squares / n > 0.1);  // uniform errors of a whole step would have 1/6
}

TEST_CASE("encode_tensor: groups without a number other than 0 get a usable scale; hostile schemes are refused") {
  for (const NamedScheme& named : named_schemes()) {
    CAPTURE(named.name);
    for (const float value :
         {0.0f, 2.5f, -0.0f, std::nanf(""), kInfinity, -kInfinity, 1e-44f, std::numeric_limits<float>::max()}) {
      CAPTURE(value);
      for (const std::int64_t n : {1, 40}) {
        const std::vector<float> x(static_cast<std::size_t>(n), value);
        const EncodedTensor e = encode_tensor(x, {n}, named.scheme, 0);
        for (const float scale : e.scales) REQUIRE((std::isfinite(scale) && scale > 0.0f));
        if (!is_half(named.scheme))
          for (const float y : decoded(e)) REQUIRE(std::isfinite(y));
      }
    }
  }
  const std::vector<float> x(64, 1.0f);
  const auto refused = [&](TensorScheme scheme, std::int64_t axis = 0, const EncodeOptions& options = {}) {
    CHECK_THROWS_AS(encode_tensor(x, {64}, scheme, axis, options), Error);
  };
  refused({.bits = -1});
  refused({.bits = 9});
  refused({.bits = 17});
  refused({.dtype = DType::f32});
  refused({.is_symmetric = true, .bits = 1});
  refused({.narrow_range = true, .bits = 1});
  refused({.grain = Grain::per_block, .block_size = 0});
  refused({.grain = Grain::per_channel, .channel_group = 0});
  refused({.grain = Grain::per_channel}, 1);
  refused({.grain = Grain::per_channel}, -2);
  refused({.encoding = Encoding::nf4, .bits = 5});
  refused({.encoding = Encoding::kmeans, .n_entries = 257});
  refused({.encoding = Encoding::kmeans, .n_entries = 1});
  refused({.encoding = Encoding::kmeans, .scale_form = ScaleForm::f16});
  refused({.encoding = Encoding::kmeans, .clipping = CalibrationMethod::mse});
  refused({.encoding = Encoding::product, .sub_vector = 9});
  refused({.encoding = Encoding::product, .sub_vector = 1});
  refused({.encoding = Encoding::product, .column_group = -1});
  refused({.encoding = Encoding::nf4, .rounding = Rounding::floor});
  refused({.scale_form = ScaleForm::u6});
  refused({.clipping = CalibrationMethod::moving_average});
  refused({.clipping = CalibrationMethod::percentile, .percentile = 0.0});
  refused({.clipping = CalibrationMethod::percentile, .percentile = std::nan("")});
  refused({.clipping = CalibrationMethod::output_error});
  refused({.rounding = Rounding::mask});
  const std::vector<float> bad = {1.0f, -1.0f};
  refused({}, 0, {.importance = bad});
  const std::vector<float> negative(64, -1.0f);
  refused({}, 0, {.importance = negative});
  refused({}, 0, {.samples = negative});
  CHECK_THROWS_AS(encode_tensor(x, {63}, {}, 0), Error);
  std::vector<float> few(3);
  CHECK_THROWS_AS(decode_tensor(encode_tensor(x, {64}, {}, 0), few), Error);
  // A block longer than its axis is the axis.
  CHECK(encode_tensor(x, {64}, {.grain = Grain::per_block, .block_size = 1000}, 0).scales.size() == 1);
}
