#include "report/scheme_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/error.h"
#include "base/simd.h"
#include "base/simd_int.h"
#include "quant/packing.h"
#include "quant/quantize.h"
#include "quant/runs.h"
#include "report/metrics.h"

namespace bitwright {

namespace {

constexpr std::size_t kPieceLength = 1024;
constexpr std::size_t kErrorBins = 97;  // odd: no error has a bin of its own

std::vector<std::uint64_t> count_codes(const EncodedTensor& e) {
  const auto n = static_cast<std::size_t>(e.n_codes());
  // Four copies, so that equal neighbours do not wait for each other.
  std::vector<std::uint32_t> counts(4 * 256, 0);
  std::uint8_t codes[kPieceLength];
  std::vector<std::uint64_t> all(std::size_t{1} << e.scheme.bits, 0);
  for (std::size_t at = 0; at < n; at += kPieceLength) {
    const std::size_t count = std::min(kPieceLength, n - at);
    unpack(e.codes.data(), e.scheme.bits, at, count, codes);
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) unrolled<4>([&](auto k) __attribute__((always_inline)) { ++counts[k * 256 + codes[i + k]]; });
    for (; i < count; ++i) ++counts[codes[i]];
  }
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (i % 256 < all.size()) all[i % 256] += counts[i];
  // Signed codes are stored as two's complement: the negative half comes first.
  if (e.range.qmin < 0) std::rotate(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  return all;
}

/// Counts of errors, and sums of their squares for each bin of the values. In parts of the largest error, so that no square is too
/// large or too small for a float; sums are double.
class ErrorBins {
 public:
  ErrorBins(std::size_t n_value_bins, double most)
      : most_(most),
        per_most_(static_cast<float>(std::min(1.0 / most, static_cast<double>(std::numeric_limits<float>::max())))),
        n_values_(n_value_bins),
        sums_(kCopies * n_values_, 0.0),
        counts_(kCopies * kErrorBins, 0) {}

  /// Finite pairs, at most kPieceLength.
  void add(const float* values, const float* reals, const std::uint8_t* value_bins, std::size_t n) {
    float squares[kPieceLength];
    std::int32_t error_bins[kPieceLength];
    const f32x4 per_most = splat(per_most_), one = splat(1.0f), half = splat(0.5f * kErrorBins), last = splat(kErrorBins - 1.0f);
    const auto four = [&](std::size_t i, const float* x, const float* y) __attribute__((always_inline)) {
      const f32x4 part = (load_f32x4(x) - load_f32x4(y)) * per_most;
      store_f32x4(squares + i, part * part);
      store_lanes(error_bins + i, to_i32x4(min(max(f32x4{}, (part + one) * half), last)));
    };
    std::size_t done = 0;
    for (; done + 4 <= n; done += 4) four(done, values + done, reals + done);
    if (done < n) {  // places beyond n are looked at by nobody
      float rest[2][4] = {};
      std::copy(values + done, values + n, rest[0]);
      std::copy(reals + done, reals + n, rest[1]);
      four(done, rest[0], rest[1]);
    }
    double* const sums = sums_.data();
    std::uint32_t* const counts = counts_.data();
    const auto count = [&](std::size_t i, std::size_t copy) __attribute__((always_inline)) {
      sums[copy * n_values_ + value_bins[i]] += static_cast<double>(squares[i]);
      ++counts[copy * kErrorBins + static_cast<std::size_t>(error_bins[i])];
    };
    std::size_t i = 0;
    for (; i + kCopies <= n; i += kCopies) unrolled<kCopies>([&](auto k) __attribute__((always_inline)) { count(i + k, k); });
    for (; i < n; ++i) count(i, 0);
  }

  double root_mean_square(std::size_t bin, std::uint64_t n) const {
    double total = 0.0;
    for (std::size_t k = 0; k < kCopies; ++k) total += sums_[k * n_values_ + bin];
    return most_ * std::sqrt(total / static_cast<double>(n));
  }
  std::uint64_t count(std::size_t bin) const {
    std::uint64_t total = 0;
    for (std::size_t k = 0; k < kCopies; ++k) total += counts_[k * kErrorBins + bin];
    return total;
  }

 private:
  static constexpr std::size_t kCopies = 4;  // so that equal neighbours do not wait for each other

  double most_;
  float per_most_;
  std::size_t n_values_;
  std::vector<double> sums_;
  std::vector<std::uint32_t> counts_;
};

/// Where errors lie, and how large they are for values of each bin of the histogram.
void add_errors(SchemeReport& report, std::span<const float> values, std::span<const float> reals,
                const std::vector<std::uint8_t>& value_bins, bool is_finite) {
  const double most = report.max_abs_error;
  if (!report.histogram) return;
  const ValueHistogram& shown = *report.histogram;
  report.rms_errors.assign(shown.counts.size(), 0.0);
  if (!(most > 0.0)) return;
  ErrorBins bins(shown.counts.size(), most);
  for (std::size_t at = 0; at < values.size(); at += kPieceLength) {
    const std::size_t n = std::min(kPieceLength, values.size() - at);
    if (is_finite) {
      bins.add(values.data() + at, reals.data() + at, value_bins.data() + at, n);
      continue;
    }
    for (std::size_t i = at; i < at + n; ++i)
      if (std::isfinite(values[i]) && std::isfinite(reals[i])) bins.add(&values[i], &reals[i], &value_bins[i], 1);
  }
  ValueHistogram& errors = report.error_histogram.emplace();
  errors.min = static_cast<float>(-most);
  errors.max = static_cast<float>(most);
  for (std::size_t b = 0; b < kErrorBins; ++b) errors.counts.push_back(bins.count(b));
  for (std::size_t b = 0; b < shown.counts.size(); ++b)
    if (shown.counts[b] != 0) report.rms_errors[b] = bins.root_mean_square(b, shown.counts[b]);
}

/// The ends of the finite values of one scale's group.
MinMax ends_of(std::span<const float> values, const EncodedTensor& e, std::int64_t index) {
  MinMax ends = scan_min_max({});
  for_each_run_of(scale_layout(e.granularity, e.shape), index, 1, [&](const Run& run) {
    const MinMax found = scan_min_max(values.subspan(static_cast<std::size_t>(run.element), static_cast<std::size_t>(run.count)));
    ends.rmin = std::min(ends.rmin, found.rmin);
    ends.rmax = std::max(ends.rmax, found.rmax);
  });
  return ends;
}

}  // namespace

SchemeReport report_scheme(std::span<const float> values, const Shape& shape, const TensorScheme& scheme, std::int64_t axis,
                           std::int64_t scale_index, const EncodeOptions& given, const ShownValues* shown) {
  std::optional<ShownValues> own;
  if (shown == nullptr) shown = &own.emplace(values);
  EncodeOptions options = given;
  options.watched_scale = scale_index;
  const EncodedTensor e = encode_tensor(values, shape, scheme, axis, options);
  const bool is_product = e.scheme.encoding == Encoding::product;
  SchemeReport report;
  report.scheme = e.scheme;
  report.shape = shape;
  report.granularity = to_string(e.granularity);
  report.n_not_finite = e.n_not_finite;
  const auto n_reals = static_cast<std::size_t>(e.scheme.n_entries * e.scheme.sub_vector);  // of a codebook of vectors
  report.n_scales =
      is_product ? e.levels.size() / n_reals : static_cast<std::uint64_t>(n_elements(scale_shape(e.granularity, shape)));
  report.stored_bytes = (e.stored_bits() + 7) / 8;
  report.bits_per_weight = e.bits_per_weight();
  report.range = e.range;
  report.scale_index = scale_index;
  if (scale_index < 0 || static_cast<std::uint64_t>(scale_index) >= std::max<std::uint64_t>(report.n_scales, 1))
    throw_error(ErrorCode::invalid_argument, {"scale ", scale_index, " was asked for; there are ", report.n_scales});

  const auto decoded = std::make_unique_for_overwrite<float[]>(values.size());
  const std::span<float> reals(decoded.get(), values.size());
  decode_tensor(e, reals);
  ErrorSums sums;
  sums.add(values, reals);
  report.sqnr_db = sums.sqnr_db();
  report.cosine = sums.cosine();
  report.mean_squared_error = sums.mean_squared_error();
  report.max_abs_error = sums.max_abs_error();
  report.histogram = shown->histogram;
  report.clip = e.watched_range;
  if (values.empty()) return report;
  add_errors(report, values, reals, shown->bins, sums.n_not_finite() == 0);
  if (e.scheme.bits <= 8) report.code_counts = count_codes(e);

  if (!is_product) {
    const MinMax ends = ends_of(values, e, scale_index);
    if (ends.has_finite()) {
      report.rmin = ends.rmin;
      report.rmax = ends.rmax;
    }
  }
  const auto index = static_cast<std::size_t>(scale_index);
  if (!e.scales.empty()) report.scale = e.scales[index];
  if (!e.zero_points.empty()) report.zero_point = e.zero_points[index];
  if (!e.scale_codes.empty()) report.scale_code = e.scale_codes[index];
  report.threshold = e.watched_threshold;
  if (is_product) {
    const auto first = e.levels.begin() + static_cast<std::ptrdiff_t>(index * n_reals);
    report.codebook.assign(first, first + static_cast<std::ptrdiff_t>(n_reals));
  }
  if (e.scheme.bits > 8 || is_product) return report;
  for (std::int32_t c = 0; c < 1 << e.scheme.bits; ++c) {
    const auto code = static_cast<std::size_t>(c);
    if (e.scheme.encoding == Encoding::uniform) {
      const std::int32_t stored = c - (e.range.qmin < 0 ? 1 << (e.scheme.bits - 1) : 0);
      report.grid.push_back(report.scale * static_cast<float>(stored - report.zero_point));
    } else {
      const bool is_shared = !e.scales.empty();  // by all groups
      const std::size_t n = is_shared ? e.levels.size() : static_cast<std::size_t>(e.scheme.n_entries);
      if (code < n) report.grid.push_back(is_shared ? report.scale * e.levels[code] : e.levels[index * n + code]);
    }
  }
  report.code_counts.resize(report.grid.size());
  return report;
}

}  // namespace bitwright
