#pragma once

#include <cstdint>
#include <span>

#include "quant/quant_params.h"

namespace bitwright {

/// Sums over pairs of a reference x and an approximation y, in double and in a fixed order (four sums side by side over each
/// 1024 pairs): the same on every host.
/// Pairs in which either is not finite are counted, not summed. Where the reference is finite and the approximation is not, nothing
/// can be said of the rest: SQNR is NaN, and cosine 0.
class ErrorSums {
 public:
  void add(std::span<const float> reference, std::span<const float> approximation);

  std::uint64_t n() const { return n_; }
  std::uint64_t n_not_finite() const { return n_not_finite_; }
  /// 10 log10(sum x^2 / sum (x - y)^2); +inf where there is no error, -inf where there is error and no signal; NaN where a value became
  /// NaN or infinite.
  double sqnr_db() const;
  /// sum x y / sqrt(sum x^2 sum y^2); 1 where both are zero, 0 where one is.
  double cosine() const;
  double mean_squared_error() const;
  double max_abs_error() const { return max_abs_error_; }
  double rmin() const { return rmin_; }
  double rmax() const { return rmax_; }

 private:
  /// False, and nothing is added, where a pair is not finite.
  bool add_finite(const float* reference, const float* approximation, std::size_t n);

  std::uint64_t n_ = 0;
  std::uint64_t n_not_finite_ = 0;
  bool is_ruined_ = false;
  double sum_xx_ = 0.0;
  double sum_yy_ = 0.0;
  double sum_xy_ = 0.0;
  double sum_error_ = 0.0;
  double max_abs_error_ = 0.0;
  double rmin_ = 0.0;
  double rmax_ = 0.0;
};

/// The index of the largest value, the first one of several; -1 for an empty span or one of NaN only.
std::int64_t top1(std::span<const float> scores);

struct Interval {
  double low = 0.0;
  double high = 1.0;
};

/// The 95 % Wilson score interval of a share: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.959964.
/// Source: Wilson 1927, Journal of the American Statistical Association 22. [0, 1] for a total of 0.
Interval wilson_interval(std::uint64_t count, std::uint64_t total);

/// clipped_share of quant/quantize.h from a histogram: bins count by their centre. One scale only.
double clipped_share(std::span<const std::uint64_t> counts, double histogram_min, double histogram_max, ScaleZeroPoint params,
                     CodeRange codes);

}  // namespace bitwright
