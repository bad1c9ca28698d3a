#include "ops/resize_taps.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/refusal.h"

namespace bitwright {

namespace {

using Coordinates = ResizeModes::Coordinates;
using Interpolation = ResizeModes::Interpolation;
using Nearest = ResizeModes::Nearest;

template <typename Value, std::size_t N>
Value choice(const Node& node, const char* attribute, const char* otherwise, const std::pair<const char*, Value> (&values)[N]) {
  const std::string text = node.attr_s(attribute, otherwise);
  for (const auto& [name, value] : values)
    if (text == name) return value;
  refuse(node, {attribute, " is ", in_quotes(text)});
}

/// In float, as ONNX Runtime computes it: ties of nearest fall alike.
float source_coordinate(const ResizeModes& modes, const ResizeAxis& axis, std::int64_t index) {
  const auto x = static_cast<float>(index), original = static_cast<float>(axis.original);
  const float resized = axis.scale * original;  // may have a fraction where the scale was given
  switch (modes.coordinates) {
    case Coordinates::asymmetric:
      return x / axis.scale;
    case Coordinates::align_corners:
      return resized == 1.0f ? 0.0f : x * (original - 1.0f) / (resized - 1.0f);
    case Coordinates::pytorch_half_pixel:
      return resized > 1.0f ? (x + 0.5f) / axis.scale - 0.5f : 0.0f;
    case Coordinates::tf_half_pixel_for_nn:
      return (x + 0.5f) / axis.scale;
    case Coordinates::half_pixel_symmetric: {
      const float adjustment = static_cast<float>(axis.resized) / resized;
      return original / 2.0f * (1.0f - adjustment) + ((x + 0.5f) / axis.scale - 0.5f);
    }
    case Coordinates::tf_crop_and_resize:
      return axis.resized > 1 ? axis.roi_begin * (original - 1.0f) +
                                    x * (axis.roi_end - axis.roi_begin) * (original - 1.0f) / static_cast<float>(axis.resized - 1)
                              : 0.5f * (axis.roi_begin + axis.roi_end) * (original - 1.0f);
    case Coordinates::half_pixel:
      break;
  }
  return (x + 0.5f) / axis.scale - 0.5f;
}

std::int64_t nearest_place(Nearest mode, float x, bool is_enlarging) {
  const float below = std::floor(x);
  switch (mode) {
    case Nearest::floor:
      break;
    case Nearest::ceil:
      return static_cast<std::int64_t>(std::ceil(x));
    case Nearest::simple:
      return static_cast<std::int64_t>(is_enlarging ? below : std::ceil(x));
    case Nearest::round_prefer_floor:
      return static_cast<std::int64_t>(x - below <= 0.5f ? below : below + 1.0f);
    case Nearest::round_prefer_ceil:
      return static_cast<std::int64_t>(x - below < 0.5f ? below : below + 1.0f);
  }
  return static_cast<std::int64_t>(below);
}

double kernel_at(const ResizeModes& modes, double x) {
  const double d = std::fabs(x);
  if (modes.interpolation == Interpolation::linear) return std::max(0.0, 1.0 - d);
  const auto a = static_cast<double>(modes.cubic_a);  // Keys 1981, cubic convolution
  if (d <= 1.0) return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
  return d < 2.0 ? ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a : 0.0;
}

}  // namespace

ResizeModes read_resize_modes(const Node& node, std::int64_t opset) {
  static constexpr std::pair<const char*, Interpolation> kInterpolations[] = {{"nearest", Interpolation::nearest},
                                                                              {"linear", Interpolation::linear},
                                                                              {"bilinear", Interpolation::linear},
                                                                              {"cubic", Interpolation::cubic}};
  static constexpr std::pair<const char*, Coordinates> kCoordinates[] = {
      {"half_pixel", Coordinates::half_pixel},
      {"half_pixel_symmetric", Coordinates::half_pixel_symmetric},
      {"pytorch_half_pixel", Coordinates::pytorch_half_pixel},
      {"align_corners", Coordinates::align_corners},
      {"asymmetric", Coordinates::asymmetric},
      {"tf_half_pixel_for_nn", Coordinates::tf_half_pixel_for_nn},
      {"tf_crop_and_resize", Coordinates::tf_crop_and_resize}};
  static constexpr std::pair<const char*, Nearest> kNearest[] = {{"round_prefer_floor", Nearest::round_prefer_floor},
                                                                 {"round_prefer_ceil", Nearest::round_prefer_ceil},
                                                                 {"floor", Nearest::floor},
                                                                 {"ceil", Nearest::ceil}};
  ResizeModes modes;
  modes.interpolation = choice(node, "mode", "nearest", kInterpolations);
  if (opset < 11) {
    modes.coordinates = Coordinates::asymmetric;
    modes.nearest = Nearest::simple;
    return modes;
  }
  modes.coordinates = choice(node, "coordinate_transformation_mode", "half_pixel", kCoordinates);
  modes.nearest = choice(node, "nearest_mode", "round_prefer_floor", kNearest);
  modes.cubic_a = node.attr_f("cubic_coeff_a", -0.75f);
  modes.is_outside_excluded = node.attr_i("exclude_outside", 0) != 0;
  modes.is_antialiased = node.attr_i("antialias", 0) != 0;
  return modes;
}

ResizeTaps resize_taps(const ResizeModes& modes, const ResizeAxis& axis) {
  ResizeTaps taps;
  const bool is_nearest = modes.interpolation == Interpolation::nearest;
  // Antialiasing widens the kernel when shrinking.
  const double stretch = modes.is_antialiased ? std::min(1.0, static_cast<double>(axis.scale)) : 1.0;
  const double support = modes.interpolation == Interpolation::cubic ? 2.0 : 1.0;
  const auto first = static_cast<std::int64_t>(std::floor(-support / stretch)) + 1;
  taps.n_taps = is_nearest ? 1 : static_cast<std::ptrdiff_t>(2 - 2 * first);
  const auto n = static_cast<std::size_t>(taps.n_taps);
  const auto resized = static_cast<std::size_t>(axis.resized);
  taps.places.resize(resized * n);
  taps.weights.assign(resized * n, 1.0f);
  taps.is_outside.assign(resized, false);
  const auto last = static_cast<float>(axis.original - 1);
  const bool is_clamped = modes.interpolation == Interpolation::linear && !modes.is_antialiased && !modes.is_outside_excluded;
  std::vector<double> weights(n);
  for (std::size_t o = 0; o < resized; ++o) {
    const float x = source_coordinate(modes, axis, static_cast<std::int64_t>(o));
    if (modes.coordinates == Coordinates::tf_crop_and_resize && !(x >= 0.0f && x <= last))
      taps.is_outside[o] = taps.has_outside = true;
    // Scales come from a file: no coordinate leaves the range where it can be an integer, and NaN has a place too.
    const float bounded = is_clamped ? std::min(std::max(0.0f, x), last) : std::min(std::max(-1e9f, x), 1e9f);
    const auto clamped = [&](std::int64_t place) {
      return static_cast<std::ptrdiff_t>(std::clamp<std::int64_t>(place, 0, axis.original - 1));
    };
    if (is_nearest) {
      taps.places[o] = clamped(nearest_place(modes.nearest, bounded, axis.scale >= 1.0f));
      continue;
    }
    const auto below = static_cast<std::int64_t>(std::floor(bounded));
    const double ratio = static_cast<double>(bounded) - static_cast<double>(below);
    double sum = 0.0;
    for (std::size_t t = 0; t < n; ++t) {
      const std::int64_t offset = first + static_cast<std::int64_t>(t), place = below + offset;
      weights[t] = is_clamped && bounded == last ? 0.5 : kernel_at(modes, (static_cast<double>(offset) - ratio) * stretch);
      if (modes.is_outside_excluded && (place < 0 || place >= axis.original)) weights[t] = 0.0;
      sum += weights[t];
      taps.places[o * n + t] = clamped(place);
    }
    const bool is_normalized = (modes.is_antialiased || modes.is_outside_excluded) && sum != 0.0;
    for (std::size_t t = 0; t < n; ++t)
      taps.weights[o * n + t] = static_cast<float>(is_normalized ? weights[t] / sum : weights[t]);
  }
  return taps;
}

}  // namespace bitwright
