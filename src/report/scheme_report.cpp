#include "report/scheme_report.h"

#include <algorithm>

#include "base/error.h"
#include "quant/packing.h"
#include "quant/quantize.h"
#include "report/metrics.h"

namespace bitwright {

namespace {

constexpr std::size_t kPieceLength = 4096;

std::vector<std::uint64_t> count_codes(const EncodedTensor& e) {
  const auto n = static_cast<std::size_t>(e.n_codes());
  // Four copies, so that equal neighbours do not wait for each other.
  std::vector<std::uint64_t> counts(4 * 256, 0);
  std::uint8_t codes[kPieceLength];
  std::vector<std::uint64_t> all(std::size_t{1} << e.scheme.bits, 0);
  for (std::size_t at = 0; at < n; at += kPieceLength) {
    const std::size_t count = std::min(kPieceLength, n - at);
    unpack(e.codes.data(), e.scheme.bits, at, count, codes);
    for (std::size_t i = 0; i < count; ++i) ++counts[i % 4 * 256 + codes[i]];
  }
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (i % 256 < all.size()) all[i % 256] += counts[i];
  // Signed codes are stored as two's complement: the negative half comes first.
  if (e.range.qmin < 0) std::rotate(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  return all;
}

/// The ends of the finite values of one scale's group.
MinMax ends_of(std::span<const float> values, const EncodedTensor& e, std::int64_t index) {
  return scan_min_max(values, e.shape, e.granularity)[static_cast<std::size_t>(index)];
}

}  // namespace

SchemeReport report_scheme(std::span<const float> values, const Shape& shape, const TensorScheme& scheme, std::int64_t axis,
                           std::int64_t scale_index, const EncodeOptions& options) {
  const EncodedTensor e = encode_tensor(values, shape, scheme, axis, options);
  const bool is_product = e.scheme.encoding == Encoding::product;
  SchemeReport report;
  report.scheme = e.scheme;
  report.shape = shape;
  report.granularity = to_string(e.granularity);
  report.n_not_finite = e.n_not_finite;
  report.n_scales = is_product ? 0 : static_cast<std::uint64_t>(n_elements(scale_shape(e.granularity, shape)));
  report.stored_bytes = (e.stored_bits() + 7) / 8;
  report.bits_per_weight = e.bits_per_weight();
  report.range = e.range;
  report.scale_index = scale_index;
  if (scale_index < 0 || static_cast<std::uint64_t>(scale_index) >= std::max<std::uint64_t>(report.n_scales, 1))
    throw Error(ErrorCode::invalid_argument,
                "scale " + std::to_string(scale_index) + " was asked for; there are " + std::to_string(report.n_scales));

  std::vector<float> reals(values.size());
  decode_tensor(e, reals);
  ErrorSums sums;
  sums.add(values, reals);
  report.sqnr_db = sums.sqnr_db();
  report.cosine = sums.cosine();
  report.mean_squared_error = sums.mean_squared_error();
  report.max_abs_error = sums.max_abs_error();
  report.histogram = histogram_of(values);
  if (values.empty()) return report;
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
  if (e.scheme.bits > 8 || is_product) return report;
  for (std::int32_t c = 0; c < 1 << e.scheme.bits; ++c) {
    const auto code = static_cast<std::size_t>(c);
    if (e.scheme.encoding == Encoding::uniform) {
      const std::int32_t stored = c - (e.range.qmin < 0 ? 1 << (e.scheme.bits - 1) : 0);
      report.grid.push_back(report.scale * static_cast<float>(stored - report.zero_point));
    } else if (!e.scales.empty()) {
      report.grid.push_back(report.scale * e.levels[code]);
    } else {
      const auto n = static_cast<std::size_t>(e.scheme.n_entries);
      if (code < n) report.grid.push_back(e.levels[index * n + code]);
    }
  }
  report.code_counts.resize(report.grid.size());
  return report;
}

}  // namespace bitwright
