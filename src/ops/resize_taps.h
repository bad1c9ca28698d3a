#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/model.h"

namespace bitwright {

/// How Resize turns an output index into input elements; ONNX's attributes.
struct ResizeModes {
  enum class Interpolation { nearest, linear, cubic } interpolation = Interpolation::nearest;
  enum class Coordinates {
    half_pixel,
    half_pixel_symmetric,
    pytorch_half_pixel,
    align_corners,
    asymmetric,
    tf_half_pixel_for_nn,
    tf_crop_and_resize
  } coordinates = Coordinates::half_pixel;
  /// `simple` is what Upsample and Resize 10 do: down when enlarging, up when shrinking.
  enum class Nearest { round_prefer_floor, round_prefer_ceil, floor, ceil, simple } nearest = Nearest::round_prefer_floor;
  float cubic_a = -0.75f;
  bool is_outside_excluded = false;
  bool is_antialiased = false;
};

/// Throws Error{bad_graph} naming the node and the attribute whose value is unknown.
ResizeModes read_resize_modes(const Node& node, std::int64_t opset);

/// One axis: `resized` output elements from `original` ones. `scale` is output over input as given or as the sizes say.
struct ResizeAxis {
  std::int64_t original = 1, resized = 1;
  float scale = 1.0f;
  float roi_begin = 0.0f, roi_end = 1.0f;
};

/// For each output element `n_taps` input places and weights; is_outside marks those that tf_crop_and_resize extrapolates.
struct ResizeTaps {
  std::ptrdiff_t n_taps = 1;
  std::vector<std::ptrdiff_t> places;
  std::vector<float> weights;
  std::vector<bool> is_outside;
  bool has_outside = false;
};
/// Of an axis with outputs: how many weights there are is bounded by the extents of input and output.
ResizeTaps resize_taps(const ResizeModes& modes, const ResizeAxis& axis);

}  // namespace bitwright
