#include "quant/encodings/magnitudes.h"

#include <bit>
#include <cmath>
#include <limits>

#include "base/simd.h"

// Nothing here puts a group in order or copies it: it may be as large as the tensor.

namespace bitwright {

double mean_above(const Group& group, double threshold) {
  double sum = 0.0;
  double n = 0.0;
  group.for_each_piece([&](std::span<const float> values, const Importance& importance) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double magnitude = std::abs(static_cast<double>(values[i]));
      if (!(magnitude > threshold)) continue;
      const double weight = importance.empty() ? 1.0 : static_cast<double>(importance[i]);
      sum += weight * magnitude;
      n += weight;
    }
  });
  return n > 0.0 ? sum / n : 0.0;
}

/// Found bit by bit.
float magnitude_at(const Group& group, std::size_t rank) {
  std::uint32_t found = 0;
  for (std::uint32_t bit = 1u << 30; bit != 0; bit >>= 1) {
    std::size_t n_less = 0;
    group.for_each_piece([&](std::span<const float> values, const Importance&) {
      for (const float value : values) n_less += (std::bit_cast<std::uint32_t>(value) & 0x7fffffff) < (found | bit) ? 1 : 0;
    });
    if (n_less <= rank) found |= bit;
  }
  return std::bit_cast<float>(found);
}

namespace {

/// The ternary threshold of least squared error. With the k largest magnitudes kept at their mean, the error falls by
/// (sum of them)^2 / k. Magnitudes are counted in bins, and only bins within which that can be more than between any two are looked into.
class TernarySearch {
 public:
  explicit TernarySearch(const Group& group) : group_(group) { look_into(0, 31, group.size(), 0.0, 0.0); }

  /// The largest magnitude that is not kept.
  double threshold() const {
    float most = 0.0f;
    group_.for_each_piece([&](std::span<const float> values, const Importance&) {
      for (const float value : values) most = std::abs(value) < least_kept_ ? std::max(most, std::abs(value)) : most;
    });
    return static_cast<double>(most);
  }

 private:
  void consider(double k, double sum, float least_kept) {
    const double gain = k > 0.0 ? sum * sum / k : 0.0;
    if (!(gain > most_)) return;
    most_ = gain;
    least_kept_ = least_kept;
  }

  /// The bits of magnitudes that are `low` but for the last `n_bits`.
  void for_each(std::uint32_t low, int n_bits, FunctionRef<void(std::uint32_t)> take) const {
    group_.for_each_piece([&](std::span<const float> values, const Importance&) {
      for (const float value : values) {
        const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) & 0x7fffffff;
        if ((bits - low) >> n_bits == 0) take(bits);
      }
    });
  }

  /// `count` magnitudes whose bits are `low` but for the last `n_bits`; k larger ones have `sum`.
  void look_into(std::uint32_t low, int n_bits, std::size_t count, double k, double sum) {
    // As many bins as there are magnitudes: few of small groups.
    const int shift = std::max(n_bits - std::min(static_cast<int>(std::bit_width(count)), 10), 0);
    std::vector<f64x2> bins(std::size_t{1} << (n_bits - shift), f64x2{});  // count and sum
    for_each(low, n_bits, [&](std::uint32_t bits) {
      bins[(bits - low) >> shift] += f64x2{1.0, static_cast<double>(std::bit_cast<float>(bits))};
    });
    // Twice: the ends of all bins first, so that few bins can hold more.
    for (const bool is_deeper : {false, true}) {
      f64x2 above = {k, sum};
      for (auto i = static_cast<std::uint32_t>(bins.size()); i-- > 0; above += bins[i]) {
        if (bins[i][0] == 0.0) continue;
        const std::uint32_t from = low + (i << shift);
        const f64x2 with = above + bins[i];
        if (!is_deeper) {
          consider(with[0], with[1], std::bit_cast<float>(from));
          continue;
        }
        // As if all were as large as they can be: convex in how many are kept, so most at an end. The sums are not exact.
        const double at_most = above[1] + bins[i][0] * static_cast<double>(std::bit_cast<float>(from + ((1u << shift) - 1)));
        if (shift > 0 && at_most * at_most / with[0] * (1.0 + 1e-9) > most_)
          look_into(from, shift, static_cast<std::size_t>(bins[i][0]), above[0], above[1]);
      }
    }
  }

  const Group& group_;
  double most_ = 0.0;
  float least_kept_ = std::numeric_limits<float>::infinity();
};

}  // namespace

double best_ternary_threshold(const Group& group) { return TernarySearch(group).threshold(); }

}  // namespace bitwright
