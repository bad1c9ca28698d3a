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

TensorStatistics observed(const std::vector<float>& values, int n_bins, CalibrationMethod method = CalibrationMethod::entropy) {
  CalibrationOptions options;
  options.method = method;
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

/// Of these very values.
double squared_error(const std::vector<float>& values, RealRange range, CodeRange codes, bool is_symmetric) {
  const ScaleZeroPoint chosen = choose_activation_scale(range, codes, is_symmetric);
  double sum = 0.0;
  for (const float x : values) {
    const double code =
        std::clamp(std::nearbyint(double(x) / chosen.scale) + chosen.zero_point, codes.qmin * 1.0, codes.qmax * 1.0);
    const double error = double(x) - chosen.scale * (code - chosen.zero_point);
    sum += error * error;
  }
  return sum;
}

TEST_CASE("error_bounds: hold the error of the values between them, less their variance within bins") {
  for (const Kind kind : {Kind::one_sided, Kind::two_sided, Kind::negative, Kind::lopsided}) {
    for (const int n_bins : {64, 256}) {
      const std::vector<float> values = sample_of(kind, 9, 500);
      const TensorStatistics seen = observed(values, n_bins, CalibrationMethod::mse);
      const Bins bins = occupied_bins(seen.histogram, seen.histogram_min, seen.histogram_max, seen.histogram_rests);
      double variance = 0.0;
      for (std::size_t i = 0; i < bins.counts.size(); ++i) {
        if (bins.counts[i] == 0) continue;
        const double mean = bins.edge(i) + bins.width * bins.rests[i] / static_cast<double>(bins.counts[i]);
        double sum = 0.0, n = 0.0;
        for (const float x : values)
          if (x >= bins.edge(i) && x < bins.edge(i + 1)) {
            variance += (x - mean) * (x - mean);
            sum += x;
            n += 1.0;
          }
        REQUIRE(n == static_cast<double>(bins.counts[i]));
        CHECK(sum / n == doctest::Approx(mean).epsilon(1e-6));
      }
      for (const double share : {1.0, 0.5, 0.1})
        for (const int bits : {2, 4, 8})
          for (const bool is_symmetric : {false, true}) {
            const RealRange range{std::min(0.0f, seen.rmin) * static_cast<float>(share),
                                  std::max(0.0f, seen.rmax) * static_cast<float>(share)};
            const CodeRange codes = code_range(bits, is_symmetric, false);
            const double error = squared_error(values, range, codes, is_symmetric) - variance;
            const ErrorBounds bounds = error_bounds(bins, range, codes, is_symmetric);
            const double rounding = 1e-6 * (std::abs(error) + variance);
            CHECK(bounds.least <= error + rounding);
            CHECK(bounds.most >= error - rounding);
          }
    }
  }
}

TEST_CASE("occupied_bins: from the first to the last bin that holds anything, or real 0") {
  const std::vector<std::uint64_t> counts = {0, 0, 0, 4, 0, 5, 0, 0};  // bins of 1 from -1 on
  const std::vector<double> rests = {0, 0, 0, 2, 0, 1, 0, 0};
  const Bins above = occupied_bins(counts, -1.0, 7.0, rests);
  CHECK(std::vector<std::uint64_t>(above.counts.begin(), above.counts.end()) == std::vector<std::uint64_t>{0, 0, 4, 0, 5});
  CHECK(std::vector<double>(above.rests.begin(), above.rests.end()) == std::vector<double>{0, 0, 2, 0, 1});
  CHECK(above.zero == 0);
  CHECK(above.total == 9);
  const Bins around = occupied_bins(counts, -5.0, 3.0);
  CHECK(around.counts.size() == 3);
  CHECK(around.zero == 2);
}

TEST_CASE("level_spikes: the bin of real 0 and those at both ends take no more than their neighbours hold") {
  const auto levelled = [](const std::vector<std::uint64_t>& counts, std::size_t zero) {
    std::vector<std::uint64_t> own;
    const Bins bins = level_spikes({.counts = counts, .width = 1.0, .zero = zero}, own);
    std::uint64_t sum = 0;
    for (const std::uint64_t count : own) sum += count;
    CHECK(bins.total == sum);
    return own;
  };
  CHECK(levelled({9, 2, 50, 3, 8}, 2) == std::vector<std::uint64_t>{2, 2, 3, 3, 3});
  CHECK(levelled({9, 2, 1, 7}, 1) ==
        std::vector<std::uint64_t>{9, 1, 1, 1});  // below 0 there is one bin, which has no neighbour there
}

TEST_CASE("error_bounds: values count as the centres of their bins where nothing more is known") {
  // Two values between 0.5 and 1, steps of 1: 0.75 becomes 1.
  const std::vector<std::uint64_t> counts = {0, 2};
  const Bins bins{counts, 0.5, 0, 2};
  const ErrorBounds bounds = error_bounds(bins, {0.0f, 3.0f}, {0, 3}, false);
  CHECK(bounds.most == 2 * 0.0625);
  CHECK(bounds.least == 2 * 0.0625);
}

TEST_CASE("choose_range: mse clips where there are outliers") {
  CalibrationOptions options;
  options.method = CalibrationMethod::mse;
  for (const Kind kind : {Kind::one_sided, Kind::two_sided, Kind::negative, Kind::lopsided}) {
    for (std::uint32_t seed = 1; seed <= 5; ++seed) {
      for (const bool is_symmetric : {false, true}) {
        const std::vector<float> values = sample_of(kind, seed, 4000);
        const TensorStatistics statistics = observed(values, 512, CalibrationMethod::mse);
        const CodeRange codes = code_range(4, is_symmetric, false);
        const RealRange chosen = choose_range(statistics, options, codes, is_symmetric);
        const RealRange whole = {std::min(0.0f, statistics.rmin), std::max(0.0f, statistics.rmax)};
        CHECK(squared_error(values, chosen, codes, is_symmetric) < 0.8 * squared_error(values, whole, codes, is_symmetric));
        CHECK(chosen.rmin >= whole.rmin);
        CHECK(chosen.rmax <= whole.rmax);
      }
    }
  }
  // Gaussian: the best range of 8 bits is some 4 deviations, of 200000 values the largest is 4.5 or more.
  std::mt19937 bits(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(200000);
  for (float& value : values) value = normal(bits);
  const TensorStatistics statistics = observed(values, 2048, CalibrationMethod::mse);
  const RealRange chosen = choose_range(statistics, options, {0, 255}, false);
  CHECK(squared_error(values, chosen, {0, 255}, false) <
        0.95 * squared_error(values, {statistics.rmin, statistics.rmax}, {0, 255}, false));
}

TEST_CASE("choose_range: mse is never worse than min_max on the values themselves, however few and discrete") {
  CalibrationOptions options;
  options.method = CalibrationMethod::mse;
  std::mt19937 bits(7);
  const auto uniform = [&] { return static_cast<double>(bits()) / 4294967296.0; };
  for (int round = 0; round < 600; ++round) {
    std::vector<float> values(8u << bits() % 8u);
    const double unit = std::exp(8.0 * uniform() - 4.0), grain = std::ldexp(1.0, static_cast<int>(bits() % 10));
    for (float& value : values) {
      const double u = uniform() * 2.0 - 1.0;
      switch (round % 6) {
        case 0:  // integers -2 .. 2
          value = static_cast<float>(static_cast<int>(bits() % 5) - 2);
          break;
        case 1:  // -1, 0, 1
          value = static_cast<float>(static_cast<int>(bits() % 3) - 1);
          break;
        case 2:  // multiples of any unit
          value = static_cast<float>(unit * std::round(u * grain));
          break;
        case 3:  // triangular
          value = static_cast<float>((u + uniform()) * 3.0);
          break;
        case 4:  // heavy tails
          value = static_cast<float>(unit * u / (1.001 - std::abs(u)));
          break;
        default:  // on one side, many zeros
          value = static_cast<float>(u < 0.0 ? 0.0 : unit * u * u * u);
      }
    }
    const bool is_symmetric = bits() % 4 == 0;
    const CodeRange codes = code_range(bits() % 3 == 0 ? 4 : 8, is_symmetric, false);
    const TensorStatistics statistics = observed(values, 2048, CalibrationMethod::mse);
    const RealRange whole = {std::min(0.0f, statistics.rmin), std::max(0.0f, statistics.rmax)};
    const RealRange chosen = choose_range(statistics, options, codes, is_symmetric);
    CHECK(squared_error(values, chosen, codes, is_symmetric) <= squared_error(values, whole, codes, is_symmetric) * (1.0 + 1e-9));
  }
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
