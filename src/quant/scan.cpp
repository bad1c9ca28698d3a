#include <limits>

#include "base/simd.h"
#include "quant/quantize.h"
#include "quant/runs.h"

namespace bitwright {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr MinMax kNothing{kInfinity, -kInfinity, 0};
/// Values scanned before it is asked whether all were finite: small enough to stay in the cache for a second look.
constexpr std::size_t kPieceLength = 2048;

struct Ends {
  float rmin;
  float rmax;
  bool is_finite;
};

bool is_finite(float value) { return value - value == 0.0f; }

void widen(MinMax& ends, float value) {
  if (!is_finite(value)) {
    ++ends.n_not_finite;
    return;
  }
  if (value < ends.rmin) ends.rmin = value;
  if (value > ends.rmax) ends.rmax = value;
}

/// min and max drop a NaN that comes second; infinities show in the ends, NaN in a mask of its own.
Ends scan_piece(const float* x, std::size_t n) {
  f32x4 low[2] = {splat(kInfinity), splat(kInfinity)};
  f32x4 high[2] = {splat(-kInfinity), splat(-kInfinity)};
  i32x4 is_nan = splat(std::int32_t{0});
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const f32x4 a = load_f32x4(x + i);
    const f32x4 b = load_f32x4(x + i + 4);
    low[0] = min(low[0], a);
    high[0] = max(high[0], a);
    low[1] = min(low[1], b);
    high[1] = max(high[1], b);
    is_nan |= (a != a) | (b != b);
  }
  low[0] = min(low[0], low[1]);
  high[0] = max(high[0], high[1]);
  // No lane is NaN here: min and max dropped them.
  low[0] = min(low[0], __builtin_shufflevector(low[0], low[0], 2, 3, 0, 1));
  low[0] = min(low[0], __builtin_shufflevector(low[0], low[0], 1, 0, 3, 2));
  high[0] = max(high[0], __builtin_shufflevector(high[0], high[0], 2, 3, 0, 1));
  high[0] = max(high[0], __builtin_shufflevector(high[0], high[0], 1, 0, 3, 2));
  Ends ends{low[0][0], high[0][0], (is_nan[0] | is_nan[1] | is_nan[2] | is_nan[3]) == 0};
  for (; i < n; ++i) {
    ends.is_finite &= is_finite(x[i]);
    if (x[i] < ends.rmin) ends.rmin = x[i];
    if (x[i] > ends.rmax) ends.rmax = x[i];
  }
  ends.is_finite &= ends.rmin >= std::numeric_limits<float>::lowest() && ends.rmax <= std::numeric_limits<float>::max();
  return ends;
}

void scan(const float* x, std::size_t n, MinMax& ends) {
  for (std::size_t at = 0; at < n; at += kPieceLength) {
    const std::size_t count = std::min(kPieceLength, n - at);
    const Ends piece = scan_piece(x + at, count);
    if (piece.is_finite) {
      if (piece.rmin < ends.rmin) ends.rmin = piece.rmin;
      if (piece.rmax > ends.rmax) ends.rmax = piece.rmax;
    } else {
      for (std::size_t i = 0; i < count; ++i) widen(ends, x[at + i]);
    }
  }
}

/// x[i] into ends[i]: neighbours belong to different scales. Infinities show in `low` and `high`, where the caller finds them.
void scan_varying(const float* x, std::size_t n, float* low, float* high, MinMax* ends) {
  i32x4 is_nan = splat(std::int32_t{0});
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const f32x4 a = load_f32x4(x + i);
    is_nan |= a != a;
    store_f32x4(low + i, min(load_f32x4(low + i), a));
    store_f32x4(high + i, max(load_f32x4(high + i), a));
  }
  const std::size_t n_vector = i;
  for (; i < n; ++i) widen(ends[i], x[i]);
  if ((is_nan[0] | is_nan[1] | is_nan[2] | is_nan[3]) == 0) return;
  for (i = 0; i < n_vector; ++i) ends[i].n_not_finite += is_finite(x[i]) ? 0 : 1;
}

}  // namespace

RealRange MinMax::range() const {
  if (!has_finite()) return {};
  return {std::min(rmin, 0.0f), std::max(rmax, 0.0f)};
}

MinMax scan_min_max(std::span<const float> values) {
  MinMax ends = kNothing;
  scan(values.data(), values.size(), ends);
  ends.rmin += 0.0f;
  ends.rmax += 0.0f;
  return ends;
}

void scan_min_max(std::span<const float> values, const ScaleLayout& layout, std::size_t n_scales, TakeEnds take) {
  constexpr std::int64_t kMostTogether = 1024;
  const auto n = static_cast<std::int64_t>(n_scales);
  std::vector<MinMax> found;
  std::vector<float> low;  // for neighbours of different scales
  std::vector<float> high;
  for (std::int64_t first = 0; first < n; first += static_cast<std::int64_t>(found.size())) {
    const std::int64_t count = n_scales_together(layout, first, std::min(kMostTogether, n - first));
    const auto reset = [&](auto& list, auto value) { list.assign(static_cast<std::size_t>(count), value); };
    reset(found, kNothing);
    low.clear();
    for_each_run_of(layout, first, count, [&](const Run& run) {
      const float* x = values.data() + run.element;
      const auto length = static_cast<std::size_t>(run.count);
      if (!run.varies) return scan(x, length, found[static_cast<std::size_t>(run.scale - first)]);
      if (low.empty()) {
        reset(low, kInfinity);
        reset(high, -kInfinity);
      }
      scan_varying(x, length, low.data(), high.data(), found.data());
    });
    // An infinity spoils the lanes' ends, and a value hidden behind it is lost: those scales are looked at again, one by
    // one.
    bool has_infinity = false;
    for (std::size_t i = 0; i < low.size(); ++i) {
      if (low[i] < found[i].rmin) found[i].rmin = low[i];
      if (high[i] > found[i].rmax) found[i].rmax = high[i];
      has_infinity |= found[i].rmin == -kInfinity || found[i].rmax == kInfinity;
    }
    if (has_infinity) {
      reset(found, kNothing);
      for_each_run_of(layout, first, count, [&](const Run& run) {
        for (std::int64_t i = 0; i < run.count; ++i)
          widen(found[static_cast<std::size_t>(i)], values[static_cast<std::size_t>(run.element + i)]);
      });
    }
    for (MinMax& ends : found) {
      ends.rmin += 0.0f;
      ends.rmax += 0.0f;
    }
    take(static_cast<std::size_t>(first), found);
  }
}

}  // namespace bitwright
