#include "ops/window.h"

#include <algorithm>

#include "ops/limits.h"
#include "ops/refusal.h"
#include "tensor/shape.h"

namespace bitwright {

namespace {

std::vector<std::int64_t> ints_or(const Node& node, const char* attribute, std::size_t count, std::int64_t otherwise,
                                  std::int64_t least) {
  std::vector<std::int64_t> values = node.attr_ints(attribute);
  if (values.empty()) return std::vector<std::int64_t>(count, otherwise);
  if (values.size() != count) refuse(node, {attribute, " has ", values.size(), " values where the input needs ", count});
  for (const std::int64_t value : values)
    if (value < least || value > kMaxWindowValue)
      refuse(node, {attribute, " holds ", value, "; at least ", least, " and at most ", kMaxWindowValue, " are windows"});
  return values;
}

Window::AutoPad auto_pad_of(const Node& node) {
  const std::string text = node.attr_s("auto_pad", "NOTSET");
  if (text == "NOTSET" || text.empty()) return Window::AutoPad::notset;
  if (text == "VALID") return Window::AutoPad::valid;
  if (text == "SAME_UPPER") return Window::AutoPad::same_upper;
  if (text == "SAME_LOWER") return Window::AutoPad::same_lower;
  refuse(node, {"auto_pad is ", in_quotes(text)});
}

}  // namespace

Window read_window(const Node& node, std::size_t rank, std::vector<std::int64_t> kernel) {
  Window window;
  if (kernel.empty()) {
    require(node.has("kernel_shape") || rank == 0, node, "kernel_shape is missing");
    kernel = ints_or(node, "kernel_shape", rank, 1, 1);
  } else {
    const std::vector<std::int64_t> said = node.attr_ints("kernel_shape");
    if (!said.empty() && said.size() == kernel.size()) {
      for (std::size_t axis = 0; axis < rank; ++axis)
        require_shape(said[axis] > 0 && may_equal(said[axis], kernel[axis]), node, "kernel_shape contradicts the weight's shape");
    } else {
      require(said.empty(), node, "kernel_shape has another length than the weight has spatial axes");
    }
    for (const std::int64_t extent : kernel) require(extent != 0, node, "the weight has a spatial extent of 0");
  }
  window.kernel = std::move(kernel);
  window.strides = ints_or(node, "strides", rank, 1, 1);
  window.dilations = ints_or(node, "dilations", rank, 1, 1);
  const std::vector<std::int64_t> pads = ints_or(node, "pads", 2 * rank, 0, 0);
  window.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(rank));
  window.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(rank), pads.end());
  window.auto_pad = auto_pad_of(node);
  window.is_ceil = node.attr_i("ceil_mode", 0) != 0;
  return window;
}

std::vector<std::int64_t> window_output(const Node& node, Window& window, std::span<const std::int64_t> input) {
  std::vector<std::int64_t> output(window.rank(), kUnknownDim);
  for (std::size_t axis = 0; axis < window.rank(); ++axis) {
    if (window.auto_pad != Window::AutoPad::notset) window.pads_begin[axis] = window.pads_end[axis] = 0;
    if (input[axis] < 0 || window.kernel[axis] < 0) continue;
    const std::int64_t stride = window.strides[axis], reach = window.reach(axis);
    if (window.auto_pad == Window::AutoPad::same_upper || window.auto_pad == Window::AutoPad::same_lower) {
      output[axis] = (input[axis] + stride - 1) / stride;
      const std::int64_t total = std::max<std::int64_t>(0, (output[axis] - 1) * stride + reach - input[axis]);
      const std::int64_t half = window.auto_pad == Window::AutoPad::same_upper ? total / 2 : total - total / 2;
      window.pads_begin[axis] = half;
      window.pads_end[axis] = total - half;
      continue;
    }
    const std::int64_t room = input[axis] + window.pads_begin[axis] + window.pads_end[axis] - reach;
    if (room < 0)
      refuse(node,
             {"a window over ", reach, " elements does not fit the padded input of ", room + reach, " on spatial axis ", axis},
             ErrorCode::shape_mismatch);
    output[axis] = room / stride + 1;
    // The last window must begin before the padding after the input.
    if (window.is_ceil && room % stride != 0) ++output[axis];
    if (window.is_ceil && (output[axis] - 1) * stride >= input[axis] + window.pads_begin[axis]) --output[axis];
  }
  return output;
}

Extents3 three(const Node& node, std::span<const std::int64_t> values, std::int64_t otherwise) {
  if (values.size() > 3) refuse(node, {values.size(), " spatial axes; at most 3 are implemented"}, ErrorCode::unsupported);
  Extents3 padded{otherwise, otherwise, otherwise};
  std::copy(values.begin(), values.end(), padded.end() - static_cast<std::ptrdiff_t>(values.size()));
  return padded;
}

}  // namespace bitwright
