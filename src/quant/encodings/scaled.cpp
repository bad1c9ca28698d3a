#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/simd.h"
#include "quant/encodings/groups.h"
#include "quant/encodings/levels.h"
#include "quant/encodings/magnitudes.h"
#include "quant/encodings/stored_scales.h"
#include "quant/observers/histogram.h"
#include "quant/observers/range_search.h"
#include "quant/quantize.h"
#include "quant/quantize_finite.h"
#include "quant/rounding.h"

// Encodings whose reals are scale * (level of the code): uniform ones, small floats, logarithmic levels, NF4, FP4, binary and
// ternary. Choosing a scale, storing it and coding are the same for all; they differ in their levels.

namespace bitwright {

namespace {

constexpr double kMinScale = 0x1p-100;  // as in choose_scale_zero_point

/// Quotients of n_groups groups of `length` values by their divisors; a function of its own as those of quantize_finite.h.
[[gnu::noinline]] void divide(const float* x, std::int64_t length, std::int64_t n_groups, const float* divisors,
                              float* quotients) {
  for (std::int64_t g = 0; g < n_groups; ++g, x += length, quotients += length) {
    const f32x4 divisor = splat(divisors[g]);
    std::int64_t i = 0;
    for (; i + 16 <= length; i += 16) {
      unrolled<4>([&](auto k) { store_f32x4(quotients + i + 4 * k, load_f32x4(x + i + 4 * k) / divisor); });
    }
    for (; i < length; ++i) quotients[i] = x[i] / divisors[g];
  }
}

class ScaledEncoder {
 public:
  ScaledEncoder(EncodedTensor& encoded, std::span<const float> values, const EncodeOptions& options)
      : e_(encoded),
        values_(values),
        options_(options),
        layout_(scale_layout(encoded.granularity, encoded.shape)),
        is_uniform_(encoded.scheme.encoding == Encoding::uniform),
        is_two_level_(has_super_scales(encoded.scheme.scale_form)) {
    if (!is_uniform_) table_ = level_table(e_.scheme.encoding, e_.scheme.bits);
  }

  void run() {
    e_.codes.resize(static_cast<std::size_t>((e_.n_codes() * e_.scheme.bits + 7) / 8));
    if (layout_.has_contiguous_groups() && !values_.empty() && !is_fitted() && !is_two_level_ && e_.scheme.bits <= 8 &&
        e_.scheme.clipping == CalibrationMethod::min_max && e_.scheme.rounding == Rounding::nearest_even)
      return encode_at_once();
    std::fill(e_.codes.begin(), e_.codes.end(), std::uint8_t{0});
    choose();
    if (is_uniform_ && !values_.empty()) {
      QuantParamsView params(e_.range, e_.granularity, e_.scales, e_.zero_points);
      params.rounding = e_.scheme.rounding;
      params.seed = e_.scheme.seed;
      quantize_rounded(values_, e_.shape, params, e_.scheme.bits, options_.rounding_mask, e_.codes);
    }
    e_.levels = std::move(table_.levels);
  }

 private:
  float ideal_scale(RealRange range) const {
    if (is_uniform_) return choose_scale_zero_point(range, e_.range, e_.scheme.is_symmetric).scale;
    const double largest = std::max(-static_cast<double>(range.rmin), static_cast<double>(range.rmax));
    if (largest == 0.0) return 1.0f;
    // The last digits are left, so that the real of the largest level stays finite whatever the scale is rounded to.
    const double reach = std::min(largest, static_cast<double>(std::numeric_limits<float>::max()) * (1.0 - 0x1p-20));
    return static_cast<float>(std::max(reach / static_cast<double>(table_.largest), kMinScale));
  }
  bool is_one_sided() const { return is_uniform_ && !e_.scheme.is_symmetric; }
  double largest_level() const {
    if (!is_uniform_) return static_cast<double>(table_.largest);
    const auto zero = is_one_sided() ? e_.range.qmin : choose_scale_zero_point({}, e_.range, true).zero_point;
    return static_cast<double>(e_.range.qmax - zero);
  }
  double reach(RealRange range) const {
    const double below = -static_cast<double>(range.rmin);
    const double above = range.rmax;
    return is_one_sided() ? below + above : std::max(below, above);
  }
  std::int32_t zero_point(RealRange range, float scale) const {
    if (e_.scheme.is_symmetric || e_.scheme.scale_form == ScaleForm::f32)
      return choose_scale_zero_point(range, e_.range, e_.scheme.is_symmetric).zero_point;
    const double code = round_half_even(e_.range.qmin - static_cast<double>(range.rmin) / static_cast<double>(scale));
    return static_cast<std::int32_t>(std::clamp(code, static_cast<double>(e_.range.qmin), static_cast<double>(e_.range.qmax)));
  }

  RealRange shrunk(RealRange range) const {
    const auto ratio = static_cast<float>(e_.scheme.clip_ratio);
    return {range.rmin * ratio, range.rmax * ratio};
  }
  bool is_fitted() const { return e_.scheme.encoding == Encoding::binary || e_.scheme.encoding == Encoding::ternary; }
  bool is_zero(RealRange range) const { return range.rmin == 0.0f && range.rmax == 0.0f; }

  void make_room_for_scales() {
    const auto n = static_cast<std::size_t>(n_elements(scale_shape(e_.granularity, e_.shape)));
    e_.scales.resize(n);
    if (is_uniform_) e_.zero_points.resize(n, SymmetricScale(e_.range).zero_point());
    if (is_two_level_ || e_.scheme.scale_form == ScaleForm::e8m0) e_.scale_codes.resize(n);
  }

  /// Sets the stored scale of group `index`, and its zero point.
  void settle(std::size_t index, RealRange range, float ideal, const StoredScales& stored) {
    const auto number = static_cast<std::int64_t>(index);
    if (number == options_.watched_scale) e_.watched_range = range;
    if (is_uniform_ && e_.scheme.scale_form == ScaleForm::f32) {
      const ScaleZeroPoint chosen = choose_scale_zero_point(range, e_.range, e_.scheme.is_symmetric);
      e_.scales[index] = chosen.scale;
      e_.zero_points[index] = chosen.zero_point;
      return;
    }
    const StoredScales::Stored scale = stored.round(ideal, is_fitted() ? ideal : reach(range), number);
    e_.scales[index] = scale.scale;
    if (!e_.scale_codes.empty()) e_.scale_codes[index] = scale.code;
    if (is_uniform_) e_.zero_points[index] = zero_point(range, scale.scale);
  }

  /// Where each group's values stand side by side and nothing but their ends decides its scale: values are read from memory once.
  /// Short groups are worked on in batches, their ends, their scales, their codes, so that no step waits for the one before.
  void encode_at_once() {
    const StoredScales stored(e_.scheme.scale_form, layout_, largest_level(), e_.super_scales);
    const SymmetricScale symmetric_scale(e_.range);
    make_room_for_scales();
    const bool has_f32_scales = e_.scheme.scale_form == ScaleForm::f32;
    const bool has_plain_scales = is_uniform_ && has_f32_scales;
    const bool is_symmetric = !is_uniform_ || e_.scheme.is_symmetric;
    const auto ratio = static_cast<float>(e_.scheme.clip_ratio);
    Packer packer(e_.codes.data(), e_.scheme.bits);
    float steps[kCodePiece];
    std::uint8_t piece[kCodePiece];
    // Codes of 8 bits need no packing: each piece is made where it belongs.
    std::uint8_t* codes = e_.scheme.bits == 8 ? e_.codes.data() : piece;
    const std::int64_t row = layout_.extent * layout_.inner;
    const std::int64_t group = layout_.block * layout_.inner;
    const bool has_tails = row % group != 0;  // rows end with shorter groups
    const float* x = values_.data();
    const float* const end = x + layout_.outer * row;
    std::int32_t largest[kBatch];  // kNotFinite or more: both ends are needed, or not all values are finite
    for (std::size_t first = 0; x != end;) {
      const std::int64_t left = has_tails ? row - (x - values_.data()) % row : end - x;
      const std::int64_t length = std::min(group, left);
      const std::int64_t n_groups = std::clamp<std::int64_t>(std::min(kCodePiece, left) / length, 1, kBatch);
      std::int32_t most = kNotFinite;
      if (is_symmetric)
        most = largest_magnitudes(x, length, n_groups, largest);
      else
        std::fill(largest, largest + n_groups, kNotFinite);
      if (const std::int64_t watched = options_.watched_scale - static_cast<std::int64_t>(first);
          watched >= 0 && watched < n_groups)
        most = largest[watched] = kNotFinite;
      if (has_plain_scales) scales_of(symmetric_scale, largest, n_groups, ratio, &e_.scales[first]);
      bool is_finite = true;
      for (std::int64_t i = 0; i < n_groups && !(has_plain_scales && most < kNotFinite); ++i) {
        const std::size_t index = first + static_cast<std::size_t>(i);
        if (largest[i] >= kNotFinite) {
          const MinMax ends = scan_min_max({x + i * length, static_cast<std::size_t>(length)});
          e_.n_not_finite += ends.n_not_finite;
          is_finite &= ends.n_not_finite == 0;
          const RealRange range = shrunk(ends.range());
          settle(index, range, has_plain_scales ? 0.0f : ideal_scale(range), stored);
        } else if (!has_plain_scales) {
          const float reach = std::bit_cast<float>(largest[i]) * ratio;
          const float ideal = ideal_scale({-reach, reach});
          if (has_f32_scales)
            e_.scales[index] = ideal;
          else
            settle(index, {-reach, reach}, ideal, stored);
        }
      }
      const bool is_small = has_plain_scales && is_finite && ratio == 1.0f;  // every quotient, that is
      // A piece is one batch, or a part of one long group.
      for (std::int64_t at = 0; at < n_groups * length; at += kCodePiece) {
        const std::int64_t n = std::min(kCodePiece, n_groups * length - at);
        const std::int64_t count = std::min(length, n);
        if (is_small && e_.scheme.bits == 4 && count % 32 == 0) {
          if (std::uint8_t* place = packer.place(static_cast<std::size_t>(n))) {
            quantize_finite_to_nibbles(x, count, n_groups, &e_.scales[first], &e_.zero_points[first], e_.range, place);
            x += n;
            continue;
          }
        }
        if (is_small) {
          quantize_finite(x, count, n_groups, &e_.scales[first], &e_.zero_points[first], e_.range, codes);
        } else if (is_uniform_) {
          for (std::int64_t i = 0; i < n_groups; ++i) {
            const std::size_t index = first + static_cast<std::size_t>(i);
            quantize_run(x + i * count, static_cast<std::size_t>(count), e_.scales[index], e_.zero_points[index], e_.range,
                         codes + i * count);
          }
        } else {
          divide(x, count, n_groups, &e_.scales[first], steps);
          codes_of(table_, steps, static_cast<std::size_t>(n), codes);
        }
        if (codes == piece)
          packer.append(piece, static_cast<std::size_t>(n));
        else
          codes += n;
        x += n;
      }
      first += static_cast<std::size_t>(n_groups);
    }
    packer.finish();
    e_.levels = std::move(table_.levels);
  }

  void choose() {
    StoredScales stored(e_.scheme.scale_form, layout_, largest_level(), e_.super_scales);
    GroupReader groups(values_, layout_, e_.shape, options_);
    make_room_for_scales();
    const std::size_t n_scales = e_.scales.size();
    const bool is_ternary = e_.scheme.encoding == Encoding::ternary;
    std::vector<float> thresholds;  // of the scales looked at together
    // The scales hold the ideal ones until they are settled.
    const auto begin = [&](std::size_t first, std::span<const MinMax> ends) {
      thresholds.clear();
      std::size_t i = first;
      for (const MinMax& end : ends) {
        e_.n_not_finite += end.n_not_finite;
        const RealRange range = shrunk(end.range());
        float& ideal = e_.scales[i];
        ideal = ideal_scale(range);
        if (is_fitted()) {
          float threshold = ideal;
          ideal = fit(groups(i, end.n_not_finite != 0), ideal, threshold);
          if (is_ternary) thresholds.push_back(threshold);
          if (is_ternary && static_cast<std::int64_t>(i) == options_.watched_scale) e_.watched_threshold = threshold;
        }
        if (is_two_level_ && !is_zero(range)) stored.include(ideal, static_cast<std::int64_t>(i));
        ++i;
      }
      if (is_ternary) code_levels(first, ends.size(), thresholds.data());
    };
    const auto finish = [&](std::size_t first, std::span<const MinMax> ends) {
      std::size_t i = first;
      for (const MinMax& end : ends) {
        RealRange range = shrunk(end.range());
        float ideal = e_.scales[i];
        if (!is_fitted() && e_.scheme.clipping != CalibrationMethod::min_max && !is_zero(range)) {
          const RealRange narrower = clipped(groups(i, end.n_not_finite != 0), end.range(), stored, static_cast<std::int64_t>(i));
          if (!is_zero(narrower)) range = shrunk(narrower);
          ideal = ideal_scale(range);
        }
        settle(i++, range, ideal, stored);
      }
      if (!is_uniform_ && !is_ternary) code_levels(first, ends.size(), &e_.scales[first]);
    };
    scan_min_max(values_, layout_, n_scales, [&](std::size_t first, std::span<const MinMax> ends) {
      begin(first, ends);
      if (!is_two_level_) finish(first, ends);
    });
    if (!is_two_level_) return;
    stored.settle_super_scales();
    scan_min_max(values_, layout_, n_scales, finish);
  }

  /// Binary: the mean magnitude is the scale of least error (Rastegari et al. 2016, XNOR-Net, arXiv 1603.05279, eq. 6).
  /// Ternary: threshold 0.7 mean|x|, scale the mean of what is above (Li, Zhang, Liu 2016, TWN, arXiv 1605.04711, eq. 4 to 6);
  /// clipping mse takes the best threshold instead. `threshold` stays where nothing is above it.
  float fit(const Group& group, float otherwise, float& chosen_threshold) const {
    if (e_.scheme.encoding == Encoding::binary) {
      const double mean = mean_above(group, -1.0);
      return mean > 0.0 ? static_cast<float>(std::max(mean, kMinScale)) : otherwise;
    }
    double threshold = 0.0;
    if (e_.scheme.clipping == CalibrationMethod::mse) {
      threshold = best_ternary_threshold(group);
    } else {
      group.for_each_piece([&](std::span<const float> values, const Importance&) {
        for (const float value : values) threshold += std::abs(static_cast<double>(value));
      });
      threshold *= group.size() == 0 ? 0.0 : 0.7 / static_cast<double>(group.size());
    }
    const double scale = mean_above(group, threshold);
    if (scale == 0.0) return otherwise;
    chosen_threshold = static_cast<float>(std::max(threshold, kMinScale));
    return static_cast<float>(std::max(scale, kMinScale));
  }

  RealRange clipped(const Group& group, RealRange seen, const StoredScales& stored, std::int64_t index) const {
    RealRange range = seen;
    switch (e_.scheme.clipping) {
      case CalibrationMethod::percentile: {
        const double n = static_cast<double>(group.size());
        const auto kept = static_cast<std::size_t>(std::clamp(std::ceil(n * (e_.scheme.percentile / 100.0)), 1.0, n)) - 1;
        const float most = magnitude_at(group, kept);
        range = {-most, most};
        break;
      }
      case CalibrationMethod::entropy: {
        WideningHistogram histogram(kEntropyBins);
        group.for_each_piece(
            [&](std::span<const float> values, const Importance&) { histogram.add(values, seen.rmin, seen.rmax, true); });
        const Bins bins = occupied_bins(histogram.counts(), histogram.min(), histogram.max());
        std::vector<std::uint64_t> levelled;
        if (!bins.counts.empty())
          range = entropy_range(level_spikes(bins, levelled), n_levels(), !is_uniform_ || e_.scheme.is_symmetric);
        break;
      }
      case CalibrationMethod::aciq_laplace:
      case CalibrationMethod::aciq_gaussian:
        range = aciq_range(moments_of([&](FunctionRef<void(std::span<const float>)> take) {
                             group.for_each_piece([&](std::span<const float> values, const Importance&) { take(values); });
                           }),
                           e_.scheme.bits, e_.scheme.clipping == CalibrationMethod::aciq_laplace);
        break;
      default:  // mse, output_error
        range = search_range(seen, !is_uniform_ || e_.scheme.is_symmetric, [&](RealRange tried) {
          return error_of(group, tried, stored.round(ideal_scale(tried), reach(tried), index).scale);
        });
    }
    return {std::clamp(range.rmin, seen.rmin, 0.0f), std::clamp(range.rmax, 0.0f, seen.rmax)};
  }

  std::int64_t n_levels() const {
    return is_uniform_ ? std::int64_t{e_.range.qmax} - e_.range.qmin + 1 : static_cast<std::int64_t>(table_.levels.size());
  }

  /// The sum of importance * (x - x')^2 with this scale.
  double error_of(const Group& group, RealRange range, float scale) const {
    const auto zero = is_uniform_ ? zero_point(range, scale) : 0;
    const auto low = static_cast<float>(e_.range.qmin - zero);
    const auto high = static_cast<float>(e_.range.qmax - zero);
    float steps[kCodePiece];
    std::uint8_t codes[kCodePiece];
    double lanes[4] = {0.0, 0.0, 0.0, 0.0};  // so that four sums run beside each other
    group.for_each_piece([&](std::span<const float> values, const Importance& importance) {
      for (std::size_t at = 0; at < values.size(); at += kCodePiece) {
        const std::size_t n = std::min<std::size_t>(kCodePiece, values.size() - at);
        const float* x = values.data() + at;
        for (std::size_t i = 0; i < n; ++i) steps[i] = x[i] / scale;
        if (is_uniform_) {
          for (std::size_t i = 0; i < n; ++i) steps[i] = std::min(std::max(steps[i], low), high);
          for (std::size_t i = 0; i < n; ++i) steps[i] = (steps[i] + 0x1.8p23f) - 0x1.8p23f;
        } else {
          codes_of(table_, steps, n, codes);
          for (std::size_t i = 0; i < n; ++i) steps[i] = table_.levels[codes[i]];
        }
        for (std::size_t i = 0; i < n; ++i) {
          const double error = static_cast<double>(x[i]) - static_cast<double>(scale * steps[i]);
          const double weight = importance.empty() ? 1.0 : static_cast<double>(importance[at + i]);
          lanes[i % 4] += weight * error * error;
        }
      }
    });
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  }

  /// Codes the values of scales [first, first + n). Steps of runs that follow each other are gathered, so that coding does not notice
  /// how short blocks are.
  void code_levels(std::size_t first, std::size_t n_scales, const float* divisors) {
    float steps[kCodePiece];
    std::uint8_t codes[kCodePiece];
    std::int64_t held_from = 0, n_held = 0;
    const auto flush = [&] {
      const auto n = static_cast<std::size_t>(n_held);
      codes_of(table_, steps, n, codes);
      set_codes(e_.codes.data(), e_.scheme.bits, static_cast<std::size_t>(held_from), n, codes);
      n_held = 0;
    };
    for_each_run_of(layout_, static_cast<std::int64_t>(first), static_cast<std::int64_t>(n_scales), [&](const Run& run) {
      const float* d = divisors + (run.scale - static_cast<std::int64_t>(first));
      for (std::int64_t element = run.element, count = run.count; count > 0;) {
        if (n_held == kCodePiece || element != held_from + n_held) flush();
        if (n_held == 0) held_from = element;
        const std::int64_t n = std::min(kCodePiece - n_held, count);
        const float* x = values_.data() + element;
        if (run.varies)
          for (std::int64_t i = 0; i < n; ++i) steps[n_held + i] = x[i] / *d++;
        else
          divide(x, n, 1, d, steps + n_held);
        n_held += n;
        element += n;
        count -= n;
      }
    });
    flush();
  }

  static constexpr int kEntropyBins = 2048;
  static constexpr std::int64_t kBatch = 64;  // groups

  EncodedTensor& e_;
  std::span<const float> values_;
  const EncodeOptions& options_;
  ScaleLayout layout_;
  bool is_uniform_;
  bool is_two_level_;
  LevelTable table_;
};

}  // namespace

void encode_scaled(EncodedTensor& encoded, std::span<const float> values, std::int64_t, const EncodeOptions& options) {
  ScaledEncoder(encoded, values, options).run();
}

}  // namespace bitwright
