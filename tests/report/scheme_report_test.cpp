#include "report/scheme_report.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"

using namespace bitwright;

namespace {

/// Codes -7 to 7; with half of the range kept, [-1, 1] becomes [-0.5, 0.5] and the scale 1 / 14.
constexpr TensorScheme kHalf{.dtype = DType::i4, .is_symmetric = true, .narrow_range = true, .clip_ratio = 0.5};
const std::vector<float> kValues = {-1.0f, 0.25f, 0.5f, 1.0f};

SchemeReport report_of(const std::vector<float>& values, const TensorScheme& scheme) {
  return report_scheme(values, {static_cast<std::int64_t>(values.size())}, scheme, 0);
}

std::uint64_t total(const std::vector<std::uint64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

}  // namespace

TEST_CASE("report_scheme: a clip ratio shrinks the range that the scale is chosen for") {
  const SchemeReport report = report_of(kValues, kHalf);
  CHECK(report.rmin == -1.0f);
  CHECK(report.rmax == 1.0f);
  CHECK(report.clip.rmin == -0.5f);
  CHECK(report.clip.rmax == 0.5f);
  CHECK(report.scale == 1.0f / 14.0f);
  CHECK(report.max_abs_error == 0.5);
}

TEST_CASE("report_scheme: errors are counted around 0, and told for each bin of the values") {
  const SchemeReport report = report_of(kValues, kHalf);
  REQUIRE(report.error_histogram);
  const std::vector<std::uint64_t>& counts = report.error_histogram->counts;
  CHECK(report.error_histogram->min == -0.5f);
  CHECK(report.error_histogram->max == 0.5f);
  CHECK(total(counts) == 4);
  CHECK(counts.front() == 1);             // -1 became -0.5
  CHECK(counts.back() == 1);              // 1 became 0.5
  CHECK(counts[counts.size() / 2] == 1);  // 0.5 is exact
  REQUIRE(report.rms_errors.size() == report.histogram->counts.size());
  CHECK(report.rms_errors.front() == 0.5);
  CHECK(report.rms_errors.back() == 0.5);
  // 0.25 * 14 = 3.5 goes to the even 4: 0.25 - 4 / 14 = -1 / 28, in bin 0.625 * 96 = 60.
  CHECK(report.rms_errors[60] == doctest::Approx(1.0 / 28.0).epsilon(1e-6));
  CHECK(report.rms_errors[61] == 0.0);
}

TEST_CASE("report_scheme: without an error there is no histogram of errors") {
  const SchemeReport report =
      report_of({-7.0f, 0.0f, 3.0f, 7.0f}, {.dtype = DType::i4, .is_symmetric = true, .narrow_range = true});
  CHECK_FALSE(report.error_histogram);
  CHECK(std::isinf(report.sqnr_db));
  CHECK(report.rms_errors == std::vector<double>(report.histogram->counts.size(), 0.0));
}

TEST_CASE("report_scheme: NaN and infinity do not enter the errors") {
  const float nan = std::nanf("");
  const SchemeReport report = report_of({nan, -1.0f, INFINITY, 0.25f, 1.0f}, kHalf);
  REQUIRE(report.error_histogram);
  CHECK(total(report.error_histogram->counts) == 3);
  CHECK(report.n_not_finite == 2);
}

TEST_CASE("report_scheme: ends are of the group of the scale that was asked for") {
  const std::vector<float> values = {-1.0f, 2.0f, -3.0f, 4.0f, 5.0f, -6.0f, std::nanf(""), -8.0f};  // two rows of four
  TensorScheme scheme = kHalf;
  const auto ends = [&](std::int64_t axis, std::int64_t index) {
    const SchemeReport report = report_scheme(values, {2, 4}, scheme, axis, index);
    return std::pair(report.rmin, report.rmax);
  };
  CHECK(ends(0, 0) == std::pair(-8.0f, 5.0f));
  scheme.grain = TensorScheme::Grain::per_channel;
  CHECK(ends(0, 1) == std::pair(-8.0f, 5.0f));
  CHECK(ends(1, 1) == std::pair(-6.0f, 2.0f));
  CHECK(ends(1, 2) == std::pair(-3.0f, -3.0f));
  scheme.grain = TensorScheme::Grain::per_block;
  scheme.block_size = 2;
  CHECK(ends(1, 1) == std::pair(-3.0f, 4.0f));
  CHECK(ends(1, 2) == std::pair(-6.0f, 5.0f));
}

TEST_CASE("report_scheme: what is known of the values need not be counted again") {
  const std::vector<float> values = {-1.0f, std::nanf(""), 0.25f, 1.0f};
  const ShownValues shown(values);
  CHECK(shown.bins == std::vector<std::uint8_t>{0, 0, 60, 95});
  CHECK(total(shown.histogram->counts) == 3);
  const SchemeReport known = report_scheme(values, {4}, kHalf, 0, 0, {}, &shown);
  CHECK(known.histogram->counts == shown.histogram->counts);
  CHECK(known.rms_errors == report_of(values, kHalf).rms_errors);
}

TEST_CASE("encode_tensor: a clip ratio out of range, or where nothing is clipped, is refused") {
  TensorScheme scheme = kHalf;
  for (const double ratio : {0.0, -1.0, 1.5, std::nan("")}) {
    scheme.clip_ratio = ratio;
    CHECK_THROWS_WITH_AS(report_of(kValues, scheme), doctest::Contains("clip_ratio"), Error);
  }
  TensorScheme fitted{.encoding = Encoding::kmeans, .bits = 2, .clip_ratio = 0.5};
  CHECK_THROWS_WITH_AS(report_of(kValues, fitted), doctest::Contains("fitted"), Error);
}

TEST_CASE("report_scheme: the grid has a real for each level that codes stand for, and no other") {
  std::vector<float> values(128);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(0.7f * static_cast<float>(i)) * (1.0f + static_cast<float>(i / 32));
  const auto n_levels = [](const EncodedTensor& e) {
    switch (e.scheme.encoding) {
      case Encoding::ternary:
        return 3;
      case Encoding::power_of_two:
      case Encoding::additive_power_of_two:
        return (1 << e.scheme.bits) - 1;  // one 0 for both signs
      default:
        return 1 << e.scheme.bits;
    }
  };
  for (const NamedScheme& named : named_schemes()) {
    const Shape shape{2, 64};
    const std::int64_t axis = named.scheme.grain == TensorScheme::Grain::per_channel ? 0 : 1;
    const EncodedTensor e = encode_tensor(values, shape, named.scheme, axis);
    if (e.scheme.bits > 8 || e.scheme.encoding == Encoding::product) continue;
    CAPTURE(named.name);
    const SchemeReport report = report_scheme(values, shape, named.scheme, axis, 0);
    REQUIRE(report.grid.size() == static_cast<std::size_t>(n_levels(e)));
    CHECK(report.code_counts.size() == report.grid.size());
    CHECK(total(report.code_counts) == values.size());
    // The first value belongs to the first group whatever the grain.
    std::vector<float> decoded(values.size());
    decode_tensor(e, decoded);
    const std::vector<std::int32_t> codes = unpack_codes(e);
    const std::int32_t least = e.range.qmin < 0 ? -(1 << (e.scheme.bits - 1)) : 0;  // also where it is never used
    for (std::size_t i = 0; i < 16; ++i) CHECK(report.grid[static_cast<std::size_t>(codes[i] - least)] == decoded[i]);
  }
}
