#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// A histogram of fixed size over values whose ends are not known beforehand.
///
/// Bins are [g * w, (g + 1) * w) for whole g, with the width w a power of two: the smallest for which every value seen so far
/// and 0 fit into n_bins bins. When the range grows past them the width doubles and neighbours are merged, even g with g + 1,
/// which is exact because floor(floor(x / w) / 2) = floor(x / 2w). So the counts depend on the set of values only, not on
/// their order nor on how they were split into samples, and no value is ever counted in a bin it does not belong to.
class WideningHistogram {
 public:
  /// Throws Error{invalid_argument} unless 64 <= n_bins <= 2^20.
  /// `with_rests`: adds up how far into their bins values lie.
  explicit WideningHistogram(int n_bins, bool with_rests = false);

  /// Adds values, whose finite ones lie within [rmin, rmax]. Others are left out.
  void add(std::span<const float> values, float rmin, float rmax, bool all_finite);

  const std::vector<std::uint64_t>& counts() const { return counts_; }
  /// Of each bin: the sum of (x - lower edge) / width. Empty unless asked for.
  const std::vector<double>& rests() const { return rests_; }
  /// 0 before the first value.
  float bin_width() const;
  /// The lower edge of the first bin and the upper edge of the last.
  float min() const;
  float max() const;

 private:
  void widen_to_hold(float rmin, float rmax);

  std::vector<std::uint64_t> counts_;
  std::vector<double> rests_;
  std::vector<std::uint32_t> copies_;  // four private histograms: neighbours often fall into the same bin
  float rmin_ = 0.0f;                  // of everything seen, and 0
  float rmax_ = 0.0f;
  int exponent_ = 0;        // the width is 2^exponent
  std::int64_t first_ = 0;  // g of the first bin
  bool is_empty_ = true;
};

}  // namespace bitwright
