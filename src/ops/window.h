#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace bitwright {

/// The window of a convolution or pooling along its spatial axes.
struct Window {
  std::vector<std::int64_t> kernel, strides, dilations, pads_begin, pads_end;
  enum class AutoPad { notset, valid, same_upper, same_lower } auto_pad = AutoPad::notset;
  bool is_ceil = false;

  std::size_t rank() const { return kernel.size(); }
  /// Input elements from the first to the last tap: (kernel - 1) * dilation + 1.
  std::int64_t reach(std::size_t axis) const { return (kernel[axis] - 1) * dilations[axis] + 1; }
};

/// The attributes kernel_shape, strides, dilations, pads, auto_pad and ceil_mode. `kernel` comes from the weight's shape, or is
/// empty where the attribute alone says it; extents may be unknown. Throws Error{bad_graph} naming the node for lengths that do
/// not fit `rank`, values that are no windows, and kernel shapes that contradict the weight.
Window read_window(const Node& node, std::size_t rank, std::vector<std::int64_t> kernel);

/// The output's spatial extents, and with auto_pad the pads (written into the window). Unknown where the input is.
/// Throws Error{shape_mismatch} where a window is larger than the padded input.
std::vector<std::int64_t> window_output(const Node& node, Window& window, std::span<const std::int64_t> input);

/// Three spatial axes, the leading ones of extent 1 where there are fewer. Throws Error{unsupported} beyond three.
using Extents3 = std::array<std::int64_t, 3>;
Extents3 three(const Node& node, std::span<const std::int64_t> values, std::int64_t otherwise);

}  // namespace bitwright
