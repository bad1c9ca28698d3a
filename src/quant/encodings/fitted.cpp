#include <algorithm>
#include <cmath>
#include <limits>

#include "base/float16.h"
#include "base/random.h"
#include "base/sorted_order.h"
#include "quant/encodings/groups.h"
#include "quant/encodings/levels.h"
#include "quant/quantize.h"

// Encodings whose levels are fitted to the values of each scale's group: k-means codebooks and binary codes. Both take turns:
// values to their nearest level, then levels to the best for their values; the squared error never grows.

namespace bitwright {

namespace {

/// Passes over the values at most; fewer where the levels have come to rest.
constexpr int kMaxPasses = 18;
/// Seeds are drawn from this many values at most, taken at even distances.
constexpr std::size_t kSeedSample = 4096;

/// Spreads `levels` over the values: each is drawn with a probability in proportion to its squared distance from those before.
/// Source: Arthur, Vassilvitskii 2007, k-means++.
void seed_levels(const Group& group, std::uint64_t seed, std::span<float> levels) {
  const std::size_t n = std::min(group.size(), kSeedSample);
  std::vector<float> sample(n);
  std::vector<double> weights(n, 1.0);
  std::vector<double> distance(n, 1.0);
  std::size_t before = 0;  // this piece
  std::size_t i = 0;
  group.for_each_piece([&](std::span<const float> values, const Importance& importance) {
    for (; i < n; ++i) {
      const auto at = static_cast<std::size_t>(std::uint64_t{i} * group.size() / n) - before;  // 32 bits would overflow in wasm
      if (at >= values.size()) break;
      sample[i] = values[at];
      if (!importance.empty()) weights[i] = static_cast<double>(importance[at]);
    }
    before += values.size();
  });
  for (std::size_t k = 0; k < levels.size(); ++k) {
    double total = 0.0;
    for (std::size_t i = 0; i < n; ++i) total += weights[i] * distance[i];
    double drawn = random_unit(seed, k) * total;
    std::size_t chosen = 0;
    for (; chosen + 1 < n; ++chosen) {
      drawn -= weights[chosen] * distance[chosen];
      if (drawn < 0.0) break;
    }
    levels[k] = n == 0 ? 0.0f : sample[chosen];
    for (std::size_t i = 0; i < n; ++i) {
      const double d = static_cast<double>(sample[i]) - static_cast<double>(levels[k]);
      distance[i] = k == 0 ? d * d : std::min(distance[i], d * d);
    }
  }
  sort_floats(levels);
}

/// Lloyd 1982, Least squares quantization in PCM.
void fit_levels(const Group& group, std::uint64_t seed, std::span<float> levels) {
  seed_levels(group, seed, levels);
  const double width = static_cast<double>(levels.back()) - static_cast<double>(levels.front());
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    const LevelTable table = sorted_levels({levels.begin(), levels.end()}, group.size());
    const CodeSums sums = sum_by_code(table, group);
    double moved = 0.0;
    for (std::size_t k = 0; k < levels.size(); ++k) {
      if (!(sums.count[k] > 0.0)) continue;  // a level nobody is near stays
      const auto mean = static_cast<float>(sums.sum[k] / sums.count[k]);
      moved = std::max(moved, std::abs(static_cast<double>(mean) - static_cast<double>(levels[k])));
      levels[k] = mean;
    }
    sort_floats(levels);
    if (moved <= 1e-6 * width) break;
  }
}

/// Solves a symmetric positive semidefinite system in place; unknowns that nothing decides become 0.
void solve(std::vector<double>& a, std::vector<double>& b) {
  const std::size_t n = b.size();
  double largest = 0.0;
  for (std::size_t i = 0; i < n; ++i) largest = std::max(largest, a[i * n + i]);
  for (std::size_t i = 0; i < n; ++i) {
    if (!(a[i * n + i] > 1e-12 * largest)) {
      for (std::size_t j = 0; j < n; ++j) a[i * n + j] = a[j * n + i] = 0.0;
      a[i * n + i] = 1.0;
      b[i] = 0.0;
      continue;
    }
    for (std::size_t r = i + 1; r < n; ++r) {
      const double share = a[r * n + i] / a[i * n + i];
      for (std::size_t c = i; c < n; ++c) a[r * n + c] -= share * a[i * n + c];
      b[r] -= share * b[i];
    }
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t c = i + 1; c < n; ++c) b[i] -= a[i * n + c] * b[c];
    b[i] /= a[i * n + i];
  }
}

/// levels[c] = sum of +-alphas[p], + where bit p of c is set.
void levels_of(std::span<const float> alphas, std::span<float> levels) {
  for (std::size_t c = 0; c < levels.size(); ++c) {
    double sum = 0.0;
    for (std::size_t p = 0; p < alphas.size(); ++p)
      sum += (c >> p & 1) != 0 ? static_cast<double>(alphas[p]) : -static_cast<double>(alphas[p]);
    constexpr double kLargest = std::numeric_limits<float>::max();
    levels[c] = static_cast<float>(std::clamp(sum, -kLargest, kLargest));
  }
}

/// Greedy first (each plane takes the sign of what is left, alpha its mean magnitude), then alternating least squares.
/// Source: Xu et al. 2018, Alternating multi-bit quantization, arXiv 1802.00150, section 3.
void fit_planes(const Group& group, std::span<float> alphas, std::span<float> levels) {
  const std::size_t n_planes = alphas.size();
  for (std::size_t p = 0; p < n_planes; ++p) {
    double sum = 0.0;
    double n = 0.0;
    group.for_each_piece([&](std::span<const float> values, const Importance& importance) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        float rest = values[i];
        for (std::size_t before = 0; before < p; ++before) rest -= rest < 0.0f ? -alphas[before] : alphas[before];
        const double weight = importance.empty() ? 1.0 : static_cast<double>(importance[i]);
        sum += weight * std::abs(static_cast<double>(rest));
        n += weight;
      }
    });
    alphas[p] = n > 0.0 ? static_cast<float>(sum / n) : 0.0f;
  }
  levels_of(alphas, levels);
  for (int pass = 0; pass < kMaxPasses - 3; ++pass) {
    const LevelTable table = sorted_levels({levels.begin(), levels.end()}, group.size());
    const CodeSums sums = sum_by_code(table, group);
    std::vector<double> normal(n_planes * n_planes, 0.0);
    std::vector<double> right(n_planes, 0.0);
    for (std::size_t c = 0; c < levels.size(); ++c) {
      const auto sign = [&](std::size_t p) { return 2.0 * static_cast<double>(c >> p & 1) - 1.0; };
      for (std::size_t p = 0; p < n_planes; ++p) {
        right[p] += sign(p) * sums.sum[c];
        for (std::size_t q = 0; q < n_planes; ++q) normal[p * n_planes + q] += sign(p) * sign(q) * sums.count[c];
      }
    }
    solve(normal, right);
    bool has_moved = false;
    for (std::size_t p = 0; p < n_planes; ++p) {
      const auto alpha = static_cast<float>(std::abs(right[p]));
      has_moved |= std::abs(alpha - alphas[p]) > 1e-6f * alphas[0];
      alphas[p] = alpha;
    }
    levels_of(alphas, levels);
    if (!has_moved) break;
  }
}

void encode_fitted(EncodedTensor& e, std::span<const float> values, const EncodeOptions& options) {
  const ScaleLayout layout = scale_layout(e.granularity, e.shape);
  const auto n_scales = static_cast<std::size_t>(n_elements(scale_shape(e.granularity, e.shape)));
  const auto n_levels = static_cast<std::size_t>(e.scheme.n_entries);
  const auto n_planes = static_cast<std::size_t>(e.scheme.bits);
  const bool has_planes = e.scheme.encoding == Encoding::binary_code;
  e.n_not_finite = scan_min_max(values).n_not_finite;
  e.levels.resize(n_scales * n_levels);
  if (has_planes) e.alphas.resize(n_scales * n_planes);
  e.codes.assign(static_cast<std::size_t>((e.n_codes() * e.scheme.bits + 7) / 8), 0);
  GroupReader groups(values, layout, e.shape, options);
  for (std::size_t g = 0; g < n_scales; ++g) {
    const std::span<float> levels = std::span(e.levels).subspan(g * n_levels, n_levels);
    const Group group = groups(g, e.n_not_finite != 0);
    if (has_planes)
      fit_planes(group, std::span(e.alphas).subspan(g * n_planes, n_planes), levels);
    else
      fit_levels(group, e.scheme.seed + g, levels);
    const LevelTable table = sorted_levels({levels.begin(), levels.end()}, group.size());
    for_each_run_of(layout, static_cast<std::int64_t>(g), 1, [&](const Run& run) {
      std::uint8_t codes[kCodePiece];
      for (std::int64_t at = run.element; at < run.element + run.count; at += kCodePiece) {
        const auto n = static_cast<std::size_t>(std::min(kCodePiece, run.element + run.count - at));
        codes_of(table, values.data() + at, n, codes);
        set_codes(e.codes.data(), e.scheme.bits, static_cast<std::size_t>(at), n, codes);
      }
    });
  }
}

}  // namespace

void encode_kmeans(EncodedTensor& encoded, std::span<const float> values, std::int64_t, const EncodeOptions& options) {
  encode_fitted(encoded, values, options);
}

void encode_binary_code(EncodedTensor& encoded, std::span<const float> values, std::int64_t, const EncodeOptions& options) {
  encode_fitted(encoded, values, options);
}

void encode_half(EncodedTensor& e, std::span<const float> values, std::int64_t, const EncodeOptions&) {
  e.n_not_finite = scan_min_max(values).n_not_finite;
  e.codes.resize(values.size() * 2);
  const bool is_f16 = e.scheme.encoding == Encoding::f16;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half = is_f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
    e.codes[2 * i] = static_cast<std::uint8_t>(half);
    e.codes[2 * i + 1] = static_cast<std::uint8_t>(half >> 8);
  }
}

}  // namespace bitwright
