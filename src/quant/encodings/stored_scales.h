#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/encodings/encoding.h"
#include "quant/runs.h"

namespace bitwright {

/// Turns ideal scales into those that a ScaleForm can hold.
class StoredScales {
 public:
  /// `ideal` are the scales that would hold every value (min_max), 0 where there is none: the scales of scales come from
  /// their largest.
  StoredScales(ScaleForm form, const ScaleLayout& layout, std::span<const float> ideal, double largest_level);

  struct Stored {
    float scale;
    std::uint8_t code;
  };
  /// The stored scale for `ideal` as scale number `index`: the nearest one that is not 0. `reach` is the real that the largest
  /// level should reach; e8m0 takes 2^(floor(log2 reach) - floor(log2 largest_level)), which lets the largest reals saturate
  /// (OCP MX 1.0, 6.3).
  Stored round(float ideal, double reach, std::int64_t index) const;
  const std::vector<float>& super_scales() const { return super_scales_; }

 private:
  std::int64_t super_index(std::int64_t index) const;

  ScaleForm form_;
  ScaleLayout layout_;
  double largest_level_;
  std::vector<float> super_scales_;
};

/// Blocks that share a scale of their scales (u6), and the largest of its codes.
inline constexpr std::int64_t kSuperBlock = 8;
inline constexpr int kMaxScaleCode = 63;

}  // namespace bitwright
