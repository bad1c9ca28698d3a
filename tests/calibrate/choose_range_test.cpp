#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "calibrate/calibrator.h"
#include "quant/observers/range_search.h"

using namespace bitwright;

namespace {

enum class Kind { one_sided, two_sided, negative, lopsided };

/// A heavy-tailed sample: exponential magnitudes, a few of them ten times larger.
std::vector<float> sample_of(Kind kind, std::uint32_t seed, std::size_t n) {
  std::mt19937 bits(seed);
  std::vector<float> values(n);
  for (float& value : values) {
    const double u = (static_cast<double>(bits()) + 0.5) / 4294967296.0;
    double magnitude = -std::log(u);
    if (bits() % 200 == 0) magnitude *= 10.0;
    const bool is_negative =
        kind == Kind::negative || (kind != Kind::one_sided && bits() % (kind == Kind::lopsided ? 9 : 2) == 0);
    value = static_cast<float>(is_negative ? -magnitude : magnitude);
  }
  return values;
}

TensorStatistics observed(const std::vector<float>& values, int n_bins) {
  CalibrationOptions options;
  options.method = CalibrationMethod::entropy;
  options.n_bins = n_bins;
  Calibrator calibrator(options, {"x"});
  calibrator.observe("x", Tensor::of<float>({static_cast<std::int64_t>(values.size())}, std::span<const float>(values)));
  calibrator.end_sample();
  return calibrator.finish().at("x");
}

/// The divergence of one candidate by the definition, bin by bin.
double brute_force_divergence(const Bins& bins, long first, long end, long n_levels) {
  const long n = static_cast<long>(bins.counts.size());
  const auto at = [&](long i) { return i >= 0 && i < n ? static_cast<double>(bins.counts[static_cast<std::size_t>(i)]) : 0.0; };
  const long m = end - first;
  std::vector<double> raw(static_cast<std::size_t>(m));
  for (long i = 0; i < m; ++i) raw[static_cast<std::size_t>(i)] = at(first + i);
  if (std::all_of(raw.begin(), raw.end(), [](double c) { return c == 0.0; })) return std::numeric_limits<double>::infinity();
  std::vector<double> p = raw;
  for (long i = 0; i < n; ++i) {
    if (i < first) p.front() += at(i);
    if (i >= end) p.back() += at(i);
  }
  std::vector<double> q(static_cast<std::size_t>(m), 0.0);
  for (long level = 0; level < n_levels; ++level) {
    double sum = 0.0;
    double occupied = 0.0;
    for (long i = 0; i < m; ++i) {
      if (i * n_levels / m != level) continue;
      sum += raw[static_cast<std::size_t>(i)];
      occupied += p[static_cast<std::size_t>(i)] > 0.0 ? 1.0 : 0.0;
    }
    for (long i = 0; i < m; ++i)
      if (i * n_levels / m == level && p[static_cast<std::size_t>(i)] > 0.0)
        q[static_cast<std::size_t>(i)] = (sum > 0.0 ? sum : 0.5) / occupied;
  }
  double p_sum = 0.0;
  double q_sum = 0.0;
  for (long i = 0; i < m; ++i) {
    p_sum += p[static_cast<std::size_t>(i)];
    q_sum += q[static_cast<std::size_t>(i)];
  }
  double divergence = 0.0;
  for (long i = 0; i < m; ++i) {
    const double pi = p[static_cast<std::size_t>(i)] / p_sum;
    const double qi = q[static_cast<std::size_t>(i)] / q_sum;
    if (pi == 0.0) continue;
    divergence += pi * std::log(pi / qi);
  }
  return divergence;
}

}  // namespace

TEST_CASE("choose_range: entropy equals a brute-force search over every threshold") {
  // Few bins and levels, so that the oracle's loops stay short; sums of logarithms differ by rounding only.
  constexpr double kRounding = 1e-9;
  for (const Kind kind : {Kind::one_sided, Kind::two_sided, Kind::negative, Kind::lopsided}) {
    for (const bool is_symmetric : {false, true}) {
      for (std::uint32_t seed = 1; seed <= 6; ++seed) {
        const long n_levels = 16;
        const TensorStatistics statistics = observed(sample_of(kind, seed, 3000), 128);
        const Bins bins = occupied_bins(statistics.histogram, statistics.histogram_min, statistics.histogram_max);
        const RealRange chosen = entropy_range(bins, n_levels, is_symmetric);
        const long zero = static_cast<long>(bins.zero);
        const long n = static_cast<long>(bins.counts.size());
        double least = std::numeric_limits<double>::infinity();
        std::vector<double> by_threshold(static_cast<std::size_t>(n) + 1, least);
        for (long t = 1; t <= std::max(zero, n - zero); ++t) {
          const long first = is_symmetric ? zero - t : std::max(0L, zero - t);
          const long end = is_symmetric ? zero + t : std::min(n, zero + t);
          if (end - first < n_levels) continue;
          by_threshold[static_cast<std::size_t>(t)] = brute_force_divergence(bins, first, end, n_levels);
          least = std::min(least, by_threshold[static_cast<std::size_t>(t)]);
        }
        const double widest = std::max(-static_cast<double>(chosen.rmin), static_cast<double>(chosen.rmax));
        const auto t = static_cast<std::size_t>(std::lround(widest / bins.width));
        REQUIRE(std::isfinite(least));
        CHECK(by_threshold[t] <= least + kRounding);
      }
    }
  }
}

TEST_CASE("choose_range: entropy clips rare outliers and keeps the range where bins are fewer than levels") {
  CalibrationOptions options;
  options.method = CalibrationMethod::entropy;
  std::vector<float> values = sample_of(Kind::one_sided, 3, 200000);
  values[0] = 400.0f;
  const TensorStatistics statistics = observed(values, 2048);
  CHECK(choose_range(statistics, options, {0, 255}, false).rmax < 390.0f);
  CHECK(choose_range(statistics, options, {0, 65535}, false).rmax == 400.0f);
}

TEST_CASE("choose_range: entropy does not take what ReLU6 cut off for a reason to clip") {
  // Two thirds exact zeros, a twentieth at 6, the rest a broad slope: the usual output of a Clip.
  std::vector<float> values = sample_of(Kind::one_sided, 5, 60000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float within = 6.0f * static_cast<float>((i * 7919) % 10007) / 10007.0f;
    values[i] = i % 3 != 0 ? 0.0f : i % 60 == 0 ? 6.0f : within * within / 6.0f;
  }
  CalibrationOptions options;
  options.method = CalibrationMethod::entropy;
  CHECK(choose_range(observed(values, 2048), options, {0, 255}, false).rmax > 5.0f);
}

TEST_CASE("choose_range: percentile keeps the share asked for, 100 keeps everything") {
  std::vector<float> values;
  for (int i = 1; i <= 1000; ++i) values.push_back(static_cast<float>(i % 2 == 0 ? i : -i));
  const TensorStatistics statistics = observed(values, 2048);
  CalibrationOptions options;
  options.method = CalibrationMethod::percentile;
  options.percentile = 90.0;
  const RealRange chosen = choose_range(statistics, options, {0, 255}, false);
  const auto n_kept = std::count_if(values.begin(), values.end(), [&](float v) { return v >= chosen.rmin && v <= chosen.rmax; });
  CHECK(n_kept >= 900);
  CHECK(n_kept <= 902);
  CHECK(chosen.rmax == doctest::Approx(900.0f).epsilon(0.005));
  CHECK(chosen.rmin == doctest::Approx(-900.0f).epsilon(0.005));
  options.percentile = 100.0;
  CHECK(choose_range(statistics, options, {0, 255}, false).rmax == 1000.0f);
  CHECK(choose_range(statistics, options, {0, 255}, false).rmin == -999.0f);
}

TEST_CASE("percentile_range: where no bin holds anything, all go and nothing else is looked at") {
  const std::vector<std::uint64_t> neighbours(3, 0);
  Bins bins;
  bins.counts = std::span(neighbours).subspan(1, 1);
  bins.width = 1.0;
  const RealRange range = percentile_range(bins, 50.0);
  CHECK(range.rmin == 0.0f);
  CHECK(range.rmax == 0.0f);
}

TEST_CASE("percentile_range: a bin goes where just as many values may go as it holds") {
  const std::vector<std::uint64_t> counts = {5, 1, 2};
  const Bins bins{counts, 1.0, 0, 8};
  CHECK(percentile_range(bins, 75.0).rmax == 2.0f);  // 2 of 8 may go
  CHECK(percentile_range(bins, 80.0).rmax == 3.0f);  // 1 of 8
}

TEST_CASE("expected_mse: equals a numeric integral over the bins") {
  const TensorStatistics statistics = observed(sample_of(Kind::lopsided, 9, 500), 64);
  const Bins bins = occupied_bins(statistics.histogram, statistics.histogram_min, statistics.histogram_max);
  for (const RealRange range :
       {RealRange{statistics.rmin, statistics.rmax}, RealRange{statistics.rmin / 3, statistics.rmax / 4}}) {
    for (const bool is_symmetric : {false, true}) {
      const CodeRange codes = {-8, 7};
      const ScaleZeroPoint chosen = choose_scale_zero_point(range, codes, is_symmetric);
      double sum = 0.0;
      constexpr int kPoints = 4000;
      for (std::size_t i = 0; i < bins.counts.size(); ++i) {
        double in_bin = 0.0;
        for (int k = 0; k < kPoints; ++k) {
          const double x = bins.edge(i) + bins.width * (k + 0.5) / kPoints;
          const double code = std::clamp(std::nearbyint(x / chosen.scale) + chosen.zero_point, -8.0, 7.0);
          const double error = x - chosen.scale * (code - chosen.zero_point);
          in_bin += error * error / kPoints;
        }
        sum += in_bin * static_cast<double>(bins.counts[i]);
      }
      CHECK(expected_mse(bins, range, codes, is_symmetric) ==
            doctest::Approx(sum / static_cast<double>(bins.total)).epsilon(1e-5));
    }
  }
}

TEST_CASE("choose_range: mse is never worse than min_max, and better where there are outliers") {
  CalibrationOptions options;
  options.method = CalibrationMethod::mse;
  for (const Kind kind : {Kind::one_sided, Kind::two_sided, Kind::negative, Kind::lopsided}) {
    for (std::uint32_t seed = 1; seed <= 5; ++seed) {
      for (const bool is_symmetric : {false, true}) {
        const TensorStatistics statistics = observed(sample_of(kind, seed, 4000), 512);
        const Bins bins = occupied_bins(statistics.histogram, statistics.histogram_min, statistics.histogram_max);
        const CodeRange codes = code_range(4, is_symmetric, false);
        const RealRange chosen = choose_range(statistics, options, codes, is_symmetric);
        const RealRange whole = {std::min(0.0f, statistics.rmin), std::max(0.0f, statistics.rmax)};
        CHECK(expected_mse(bins, chosen, codes, is_symmetric) < expected_mse(bins, whole, codes, is_symmetric));
        CHECK(chosen.rmin >= whole.rmin);
        CHECK(chosen.rmax <= whole.rmax);
      }
    }
  }
  const TensorStatistics uniform = observed({-1.0f, -0.5f, 0.25f, 0.5f, 1.0f}, 512);
  const Bins bins = occupied_bins(uniform.histogram, uniform.histogram_min, uniform.histogram_max);
  CHECK(expected_mse(bins, choose_range(uniform, options, {0, 255}, false), {0, 255}, false) <=
        expected_mse(bins, {-1.0f, 1.0f}, {0, 255}, false));
}

TEST_CASE("occupied_bins: bins without width hold nothing") {
  const std::vector<std::uint64_t> counts = {1, 2};
  CHECK(occupied_bins(counts, 3.0, 3.0).counts.empty());
  CHECK(occupied_bins(counts, 3.0, 3.0).total == 0);
  CHECK(occupied_bins(counts, 3.0, 5.0).total == 3);
}

TEST_CASE("choose_range: every method holds 0, never exceeds what was seen, and takes constants and nothing") {
  for (const auto method : {CalibrationMethod::min_max, CalibrationMethod::moving_average, CalibrationMethod::percentile,
                            CalibrationMethod::entropy, CalibrationMethod::mse}) {
    CalibrationOptions options;
    options.method = method;
    for (const std::vector<float>& values : {std::vector<float>{5.0f, 6.0f}, {-4.0f}, {0.0f}, {0.0f, 0.0f, 3.0f}, {}}) {
      const RealRange chosen = choose_range(observed(values, 2048), options, {0, 255}, false);
      CHECK(chosen.rmin <= 0.0f);
      CHECK(chosen.rmax >= 0.0f);
      for (const float v : values) {
        CHECK(chosen.rmax <= std::max(0.0f, *std::max_element(values.begin(), values.end())));
        if (method == CalibrationMethod::min_max) CHECK((v >= chosen.rmin && v <= chosen.rmax));
      }
    }
  }
}
