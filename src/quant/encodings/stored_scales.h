#pragma once

#include <cstdint>
#include <vector>

#include "quant/encodings/encoding.h"
#include "quant/runs.h"

namespace bitwright {

/// Whether scales of this form have scales of their own.
inline bool has_super_scales(ScaleForm form) { return form == ScaleForm::f8e4m3fn || form == ScaleForm::u6; }

/// Turns ideal scales into those that a ScaleForm can hold.
class StoredScales {
 public:
  /// The scales of scales, where the form has such, are kept in `super_scales`.
  StoredScales(ScaleForm form, const ScaleLayout& layout, double largest_level, std::vector<float>& super_scales);

  /// Tells, before any is rounded, what scale would hold every value (min_max) of group `index`, if any is not 0: the scales of
  /// scales come from the largest.
  void include(float ideal, std::int64_t index);
  void settle_super_scales();

  struct Stored {
    float scale;
    std::uint8_t code;
  };
  /// The stored scale for `ideal` as scale number `index`: the nearest one that is not 0. `reach` is the real that the largest
  /// level should reach; e8m0 takes 2^(floor(log2 reach) - floor(log2 largest_level)), which lets the largest reals saturate
  /// (OCP MX 1.0, 6.3).
  Stored round(float ideal, double reach, std::int64_t index) const;

 private:
  std::int64_t n_super_blocks() const;
  std::size_t super_index(std::int64_t index) const;

  ScaleForm form_;
  ScaleLayout layout_;
  double largest_level_;
  std::vector<float>& super_scales_;
};

/// Blocks that share a scale of their scales (u6), and the largest of its codes.
inline constexpr std::int64_t kSuperBlock = 8;
inline constexpr int kMaxScaleCode = 63;

}  // namespace bitwright
