#include "calibrate/calibrator.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "quant/observers/histogram.h"

using namespace bitwright;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Tensor tensor_of(const std::vector<float>& values) {
  return Tensor::of<float>({static_cast<std::int64_t>(values.size())}, std::span<const float>(values));
}

std::vector<float> random_values(std::size_t n, std::uint32_t seed, float magnitude) {
  std::mt19937 bits(seed);
  std::vector<float> values(n);
  for (float& value : values) value = (static_cast<float>(bits() >> 8) * 0x1p-24f - 0.3f) * magnitude;
  return values;
}

}  // namespace

TEST_CASE("Calibrator: min and max over all samples, averages exponential from the first sample on") {
  CalibrationOptions options;
  options.moving_average_rate = 0.25;
  Calibrator calibrator(options, {"a", "never"});
  calibrator.observe("a", tensor_of({-1.0f, 2.0f}));
  calibrator.end_sample();
  calibrator.observe("a", tensor_of({-3.0f, 0.5f}));
  calibrator.observe("a", tensor_of({6.0f}));  // the same sample: a loop
  calibrator.observe("other", tensor_of({100.0f}));
  calibrator.end_sample();
  const Statistics table = calibrator.finish();
  const TensorStatistics& row = table.at("a");
  CHECK(row.n_samples == 2);
  CHECK(row.n_values == 5);
  CHECK(row.rmin == -3.0f);
  CHECK(row.rmax == 6.0f);
  CHECK(row.average_rmin == -1.5f);  // -1 + 0.25 * (-3 - -1)
  CHECK(row.average_rmax == 3.0f);   // 2 + 0.25 * (6 - 2)
  CHECK(row.histogram.empty());
  CHECK(table.at("never").n_values == 0);
  CHECK(table.size() == 2);
}

TEST_CASE("Calibrator: mean squares at each index of an axis, over samples of any size; other shapes and NaN are left out") {
  Calibrator calibrator({}, {"a"}, false, {{"a", 1, 2}, {"a", -1, 3}, {"a", 1, 5}, {"other", 0, 1}});
  calibrator.observe("a", Tensor::of<float>({1, 2, 3}, {1.0f, 2.0f, 3.0f, 0.0f, -4.0f, kInfinity}));
  calibrator.end_sample();
  calibrator.observe("a", Tensor::of<float>({1, 2, 1}, {2.0f, 6.0f}));  // its last axis has another extent
  calibrator.observe("a", tensor_of({100.0f}));                         // no axis 1
  calibrator.end_sample();
  const TensorStatistics row = calibrator.finish().at("a");
  REQUIRE(row.channels.size() == 3);
  CHECK(row.channels[2].squares.empty());
  CHECK(row.channels[0].request.axis == 1);
  CHECK(row.channels[0].squares == std::vector<double>{(1.0 + 4.0 + 9.0 + 4.0) / 4.0, (16.0 + 36.0) / 4.0});
  CHECK(row.channels[1].squares == std::vector<double>{1.0 / 2.0, (4.0 + 16.0) / 2.0, 9.0 / 2.0});
  CHECK(Calibrator({}, {"a"}, false, {{"a", 0, 2}}).finish().at("a").channels[0].squares.empty());
}

TEST_CASE("Calibrator: rows along an axis, at one place or with the window around it") {
  Calibrator calibrator({}, {"a"}, false,
                        {{"a", 1, 2, true}, {"a", 1, 2, true, {2, 3}}, {"a", -1, 2, true}, {"a", 1, 2, true, {3}}});
  // Two channels of 2 x 2: 1 2 / 3 4 and 5 6 / 7 NaN.
  calibrator.observe("a", Tensor::of<float>({1, 2, 2, 2}, {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, std::nanf("")}));
  calibrator.end_sample();
  const auto channels = calibrator.finish().at("a").channels;
  REQUIRE(channels.size() == 4);
  CHECK(channels[0].rows == std::vector<float>{1, 5, 2, 6, 3, 7, 4, 0});
  // A window of 2 x 3 begins above its place and to the left of it.
  CHECK(channels[1].rows == std::vector<float>{0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 5, 6, 0, 0, 0, 1, 2, 0, 0, 0, 0, 5, 6, 0,
                                               0, 1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 0, 1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 0, 0});
  CHECK(channels[2].rows == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 0});
  CHECK(channels[3].rows.empty());  // the value has more axes than the window
}

TEST_CASE("Calibrator: of many places as many rows stay, each place as likely as another") {
  Calibrator calibrator({}, {"a"}, false, {{"a", 1, 2, true}});
  constexpr std::int64_t kPlaces = 4000;
  for (std::int64_t sample = 0; sample < 3; ++sample) {
    Tensor tensor(DType::f32, {kPlaces, 2});
    for (std::int64_t i = 0; i < 2 * kPlaces; ++i)
      tensor.data<float>()[static_cast<std::size_t>(i)] = static_cast<float>(sample * kPlaces + i / 2);
    calibrator.observe("a", tensor);
    calibrator.end_sample();
  }
  const ChannelStatistics seen = calibrator.finish().at("a").channels[0];
  CHECK(seen.n_places == 3 * kPlaces);
  REQUIRE(seen.rows.size() == 2 * kMaxSampleRows);
  double sum = 0.0;
  for (std::size_t i = 0; i < seen.rows.size(); i += 2) {
    CHECK(seen.rows[i] == seen.rows[i + 1]);
    sum += static_cast<double>(seen.rows[i]) / kMaxSampleRows;
  }
  // The mean of 256 places of 12000 spreads by 12000 / sqrt(12 * 256) = 217 about 6000; four times that.
  CHECK(std::abs(sum - 6000.0) < 870.0);
}

TEST_CASE("Calibrator: NaN and infinities are counted, left out, and the first sample with one is named") {
  CalibrationOptions options;
  options.method = CalibrationMethod::percentile;
  Calibrator calibrator(options, {"a", "b"});
  calibrator.observe("a", tensor_of({1.0f}));
  calibrator.observe("b", tensor_of({std::nanf("")}));
  calibrator.end_sample();
  calibrator.observe("a", tensor_of({kInfinity, -2.0f, std::nanf("")}));
  calibrator.end_sample();
  const Statistics table = calibrator.finish();
  CHECK(table.at("a").n_not_finite == 2);
  CHECK(table.at("a").first_not_finite_sample == 1);
  CHECK(table.at("a").rmin == -2.0f);
  CHECK(table.at("a").rmax == 1.0f);
  std::uint64_t n_counted = 0;
  for (const std::uint64_t count : table.at("a").histogram) n_counted += count;
  CHECK(n_counted == 2);
  CHECK_THROWS_WITH_AS(choose_range(table.at("b"), options, {0, 255}, false), doctest::Contains("sample 0"), Error);
}

TEST_CASE("Calibrator: options out of range are refused") {
  CalibrationOptions options;
  options.moving_average_rate = 0.0;
  CHECK_THROWS_AS(Calibrator(options, {}), Error);
  options = {};
  options.percentile = 101.0;
  CHECK_THROWS_AS(Calibrator(options, {}), Error);
  options = {};
  options.method = CalibrationMethod::mse;
  options.n_bins = 3;
  CHECK_THROWS_AS(Calibrator(options, {"a"}), Error);
}

TEST_CASE("WideningHistogram: every value lies in its bin, whatever the order and the cuts into samples") {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    const float magnitude = std::ldexp(1.0f, static_cast<int>(seed % 60) - 30);
    std::vector<float> values = random_values(5000, seed, magnitude);
    for (std::size_t i = 0; i < 50; ++i) values[i * 7] *= 1000.0f;
    for (std::size_t i = 0; i < 50; ++i) values[i * 7 + 1] = 0.0f;
    WideningHistogram pieces(256, true);
    std::mt19937 bits(seed);
    for (std::size_t at = 0; at < values.size();) {
      const std::size_t n = std::min<std::size_t>(1 + bits() % 900, values.size() - at);
      const std::span<const float> piece(values.data() + at, n);
      pieces.add(piece, *std::min_element(piece.begin(), piece.end()), *std::max_element(piece.begin(), piece.end()), true);
      at += n;
    }
    WideningHistogram whole(256, true);
    whole.add(values, *std::min_element(values.begin(), values.end()), *std::max_element(values.begin(), values.end()), true);
    REQUIRE(pieces.counts() == whole.counts());
    REQUIRE(pieces.min() == whole.min());
    REQUIRE(pieces.max() == whole.max());
    std::vector<std::uint64_t> expected(256, 0);
    for (const float value : values)
      ++expected[static_cast<std::size_t>(std::floor(static_cast<double>(value) / whole.bin_width()) -
                                          static_cast<double>(whole.min()) / whole.bin_width())];
    REQUIRE(whole.counts() == expected);
    // The sum of all values, whatever bins they went through; sums of 5000 floats in another order.
    double sum = 0.0, magnitudes = 0.0, by_pieces = 0.0, by_whole = 0.0;
    for (const float value : values) {
      sum += value;
      magnitudes += std::abs(value);
    }
    for (std::size_t i = 0; i < 256; ++i) {
      const double edge = whole.min() + static_cast<double>(whole.bin_width()) * static_cast<double>(i);
      by_whole += edge * static_cast<double>(expected[i]) + whole.rests()[i] * whole.bin_width();
      by_pieces += edge * static_cast<double>(expected[i]) + pieces.rests()[i] * whole.bin_width();
    }
    REQUIRE(std::abs(by_whole - sum) <= 1e-6 * magnitudes);
    REQUIRE(std::abs(by_pieces - sum) <= 1e-6 * magnitudes);
  }
}

TEST_CASE("WideningHistogram: bins are as narrow as powers of two allow") {
  std::mt19937 random(9);
  for (int i = 0; i < 2000; ++i) {
    const auto end = [&] { return std::ldexp(static_cast<float>(random() >> 8) * 0x1p-24f, static_cast<int>(random() % 9)); };
    const float rmin = i % 3 == 0 ? 0.0f : -end(), rmax = i % 5 == 0 ? 0.0f : end();
    if (rmin == rmax) continue;
    WideningHistogram histogram(64);
    const std::vector<float> values = {rmin, rmax};
    histogram.add(values, rmin, rmax, true);
    const auto n_bins = [&](double width) {
      return std::floor(static_cast<double>(rmax) / width) - std::floor(static_cast<double>(rmin) / width) + 1.0;
    };
    const double width = histogram.bin_width();
    CHECK(std::exp2(std::round(std::log2(width))) == width);
    CHECK(n_bins(width) <= 64.0);
    CHECK(n_bins(width / 2.0) > 64.0);
  }
}

TEST_CASE("WideningHistogram: what begins at 0 begins there however wide it grows") {
  WideningHistogram histogram(64);
  const std::vector<float> near = {0.0f, 1.0f, 2.0f, 3.5f}, far = {30.0f};
  histogram.add(near, 0.0f, 3.5f, true);
  histogram.add(far, 0.0f, 30.0f, true);
  CHECK(histogram.min() == 0.0f);
  CHECK(histogram.bin_width() == 0.5);  // 1/16 before
  std::vector<std::uint64_t> expected(64, 0);
  for (const std::size_t bin : {0, 2, 4, 7, 60}) expected[bin] = 1;
  CHECK(histogram.counts() == expected);
}

TEST_CASE("WideningHistogram: equal values are counted, and those that are not finite leave it empty") {
  const float infinity = std::numeric_limits<float>::infinity();
  WideningHistogram histogram(64);
  const std::vector<float> nothing = {infinity, std::nanf("")}, sevens(3, 7.0f);
  histogram.add(nothing, infinity, -infinity, false);
  histogram.add({}, 0.0f, 1.0f, true);
  CHECK(histogram.bin_width() == 0.0f);
  histogram.add(sevens, 7.0f, 7.0f, true);
  CHECK(histogram.bin_width() == 0.125f);  // 7 / 0.125 = 56, the least of at most 63
  CHECK(histogram.counts()[56] == 3);
}

TEST_CASE("WideningHistogram: zeros first, then the widest floats there are") {
  WideningHistogram histogram(64);
  const std::vector<float> zeros(10, 0.0f);
  histogram.add(zeros, 0.0f, 0.0f, true);
  CHECK(histogram.min() == 0.0f);
  CHECK((histogram.bin_width() > 0.0 && histogram.bin_width() < 1e-30));
  const float most = std::numeric_limits<float>::max();
  const std::vector<float> ends = {-most, most, -1e-45f};
  histogram.add(ends, -most, most, true);
  std::uint64_t n_counted = 0;
  for (const std::uint64_t count : histogram.counts()) n_counted += count;
  CHECK(n_counted == 13);
  CHECK(std::isfinite(histogram.min()));
  CHECK(std::isfinite(histogram.max()));
}

TEST_CASE("Calibrator: no data leads to a scale that is not a positive number, whatever the method") {
  const float infinity = std::numeric_limits<float>::infinity(), most = std::numeric_limits<float>::max();
  const std::vector<std::vector<float>> samples[] = {{{}},
                                                     {{0.0f}},
                                                     {{-0.0f, -0.0f}},
                                                     {{1e-45f}, {-1e-45f}},
                                                     {{7.0f, 7.0f, 7.0f}, {7.0f}},
                                                     {{-most, most}, {most}},
                                                     {{std::nanf(""), 2.0f, infinity}, {}},
                                                     {{1.0f}, {-infinity}}};
  for (const auto method : {CalibrationMethod::min_max, CalibrationMethod::moving_average, CalibrationMethod::percentile,
                            CalibrationMethod::entropy, CalibrationMethod::mse})
    for (const auto& sample : samples) {
      CalibrationOptions options;
      options.method = method;
      Calibrator calibrator(options, {"x"});
      for (const std::vector<float>& values : sample) {
        calibrator.observe("x", Tensor::of<float>({static_cast<std::int64_t>(values.size())}, std::span<const float>(values)));
        calibrator.end_sample();
      }
      for (const bool is_symmetric : {false, true}) {
        const CodeRange codes = code_range(DType::u8);
        const RealRange range = choose_range(calibrator.finish().at("x"), options, codes, is_symmetric);
        const ScaleZeroPoint chosen = choose_scale_zero_point(range, codes, is_symmetric);
        CHECK(std::isfinite(chosen.scale));
        CHECK(chosen.scale > 0.0f);
        CHECK((chosen.zero_point >= codes.qmin && chosen.zero_point <= codes.qmax));
      }
    }
}
