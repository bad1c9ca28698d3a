#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tensor/tensor.h"

namespace bitwright {

/// Values to look at schemes with, where there is no model.
///   normal      mean 0, deviation 1
///   laplace     density exp(-|x|) / 2
///   uniform     [-1, 1)
///   bimodal     two normals of deviation 0.25 around -1 and 1
///   heavy_tail  Student's t of 4 degrees of freedom: few values far out, as in activations of language models
///   relu        a normal's positive part, 0 for the rest
///   drawn       in proportion to `density`, the heights of equal bins of [-1, 1]
struct Distribution {
  std::string kind = "normal";
  std::int64_t n = 0;
  std::uint64_t seed = 0;
  std::span<const double> density = {};
};

/// The most values that are drawn: 256 MiB.
inline constexpr std::int64_t kMaxDrawn = std::int64_t{1} << 26;
/// The most bins of a drawn density.
inline constexpr std::size_t kMaxDensityBins = 4096;

/// n values of f32, the same on every host.
/// Throws Error{invalid_argument} for an unknown kind, a count out of range, or a density that is no list of finite heights >= 0
/// with one above 0.
Tensor draw_values(const Distribution& distribution);

}  // namespace bitwright
