#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "quant/quant_params.h"
#include "quant/scheme.h"

namespace bitwright {

/// The occupied bins of a histogram, and those up to 0: bin i is [lower + i * width, lower + (i + 1) * width), and bin `zero`
/// starts at 0 (zero may be the number of bins).
struct Bins {
  std::span<const std::uint64_t> counts;
  double width = 0.0;
  std::size_t zero = 0;
  std::uint64_t total = 0;
  std::span<const double> rests = {};  // of each bin the sum of (x - edge) / width; empty: not known

  double edge(std::size_t i) const { return (static_cast<double>(i) - static_cast<double>(zero)) * width; }
};
/// Of `counts` in equal bins from `lower` to `upper`, one edge of which is 0 (WideningHistogram).
Bins occupied_bins(std::span<const std::uint64_t> counts, double lower, double upper, std::span<const double> rests = {});

/// Keeps at least `percentile` per cent of the values: takes away the bins of largest magnitude while the rest is enough.
RealRange percentile_range(const Bins& bins, double percentile);

/// The same bins with the spike at real 0 (what ReLU cuts off) and those at both ends (what Clip cuts off) levelled to their
/// neighbours: such values are one real that has a code of its own, but a spike spread over a level's bins would make every
/// range of more than one bin a level look bad. `counts` holds what the result shows. Others level the first bin alike
/// in practice.
Bins level_spikes(const Bins& bins, std::vector<std::uint64_t>& counts);

/// The range whose quantized distribution diverges least from what was seen (Kullback-Leibler).
///
/// Candidates are thresholds T of t bins, each t from where the range has at least n_levels bins: the bins within [-T, T] that
/// are occupied (all of them if symmetric). P: their counts, with everything outside added to the bin at that end. Q: the
/// counts without what is outside, divided evenly into n_levels groups of neighbours, each group's sum spread over those of
/// its bins where P is not 0; a group of nothing but outliers holds half a value. The candidate with the smallest sum of
/// P log(P / Q) wins, the narrower of equal ones. A histogram of fewer bins than levels keeps its whole range.
/// Source: Migacz 2017, 8-bit inference with TensorRT; asymmetric ranges are ours.
RealRange entropy_range(const Bins& bins, std::int64_t n_levels, bool is_symmetric);

/// The range of least error among those tried: the whole one, and narrower ones, one end after the other on ever finer grids.
/// So never worse than the whole one.
RealRange search_range(RealRange whole, bool is_symmetric, FunctionRef<double(RealRange)> error);
/// How the mean of (x - x')^2 over the values is bounded, x' the reals of the codes that an activation of this range has
/// (choose_activation_scale), less the variance of values within their bins, which adds the same whatever the range is.
///
/// Where a bin's values, of mean m, are one code q: (m - q)^2. Where a limit b between two codes divides them, that is the most, as no
/// value is nearer to another code than to its own; the least is less by step * (s - |m - b|), s = E|x - b| where all values lie on
/// both edges of the bin. Where a bin spans several limits, the least is 0 less the most that the variance can be.
struct ErrorBounds {
  double least = 0.0;
  double most = 0.0;
};
ErrorBounds error_bounds(const Bins& bins, RealRange range, CodeRange codes, bool is_symmetric);
/// The range whose error is at most that of any tried; the whole one unless that is surely more than with the whole one. So on the
/// values themselves never worse. That takes bins narrower than a step, which those of 16 bits are not, and their rests: without them
/// (a calibration by another method) values count as centres, and it is so as far as they are.
RealRange mse_range(const Bins& bins, RealRange whole, CodeRange codes, bool is_symmetric);

/// What the analytic rule looks at: the mean, and the mean distance from it (Laplace) or the standard deviation (Gaussian).
struct Moments {
  double mean = 0.0;
  double mean_distance = 0.0;
  double deviation = 0.0;
};
/// Of values that come in pieces; they are asked for twice.
Moments moments_of(FunctionRef<void(FunctionRef<void(std::span<const float>)>)> for_each_piece);
/// Values of a bin count as its centre.
Moments moments_of(const Bins& bins);
/// mean +- a, where a has the least expected error of rounding and clipping together, 2^bits levels between:
///   Laplace of spread b:   2 b^2 exp(-a/b) + a^2 / (3 * 4^bits), so that a/b = W(3 * 4^bits), Lambert's function
///   Gaussian:              2 int_a^inf (x-a)^2 p(x) dx + a^2 / (3 * 4^bits)
/// Source: Banner, Nahshan, Soudry 2018 (ACIQ), arXiv 1810.05723, eq. 5 to 12.
RealRange aciq_range(const Moments& moments, int bits, bool is_laplace);

}  // namespace bitwright
