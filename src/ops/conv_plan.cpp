#include "ops/conv_plan.h"

#include <algorithm>

#include "base/parallel_for.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

Extents3f narrowed(const Extents3& values) {
  return {static_cast<std::ptrdiff_t>(values[0]), static_cast<std::ptrdiff_t>(values[1]), static_cast<std::ptrdiff_t>(values[2])};
}

std::span<const std::int64_t> spatial(const Shape& shape) { return std::span(shape).subspan(2); }

/// Planes of one channel each, padded into scratch: a fixed number of pieces, each with a scratch plane of its own.
void convolve_depthwise(const ConvPlan& plan, const ConvGeometry& g, const ConvValues& values, DepthwiseF32Kernel kernel,
                        Allocator& allocator) {
  constexpr std::int64_t kPieces = 16;
  DepthwiseF32 plane{.out_height = g.output[1],
                     .out_width = g.output[2],
                     .kernel_height = g.kernel[1],
                     .kernel_width = g.kernel[2],
                     .stride_y = g.stride[1],
                     .stride_x = g.stride[2],
                     .dilation_y = g.dilation[1],
                     .dilation_x = g.dilation[2],
                     .clamp = values.clamp};
  plane.x_row_stride = depthwise_f32_row_floats(plane);
  const std::ptrdiff_t rows = depthwise_f32_rows(plane);
  const std::int64_t n_planes = plan.n * plan.out_channels, pieces = std::min(kPieces, n_planes);
  const std::int64_t multiplier = plan.out_channels / plan.group;
  const std::int64_t scratch_floats = std::int64_t{rows} * plane.x_row_stride;
  Tensor scratch = scratch_f32(pieces * scratch_floats, allocator);
  float* const padded = scratch.data<float>().data();
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      std::int64_t padded_plane = -1;
      for (std::int64_t p = n_planes * piece / pieces; p < n_planes * (piece + 1) / pieces; ++p) {
        const std::int64_t channel = p % plan.out_channels;
        const std::int64_t from = p / plan.out_channels * plan.channels + channel / multiplier;
        DepthwiseF32 one = plane;
        float* to = padded + piece * scratch_floats;
        if (from != padded_plane)
          pad_plane_f32(values.x + from * g.n_inputs(), g.input[1], g.input[2], g.pad_begin[1], g.pad_begin[2], rows,
                        plane.x_row_stride, to);
        padded_plane = from;
        one.x = to;
        one.w = values.w + channel * g.n_taps();
        one.bias = values.bias != nullptr ? values.bias[channel] : 0.0f;
        one.y = values.y + p * g.n_outputs();
        kernel(one);
      }
    }
  });
}

}  // namespace

ConvPlan plan_conv(const Node& node, const Shape& x, const Shape& w) {
  if (x.size() < 3) refuse(node, {"the input ", x, " has no spatial axes"}, ErrorCode::shape_mismatch);
  require_shape(w.size() == x.size(), node, "input and weight differ in rank");
  ConvPlan plan;
  plan.group = node.attr_i("group", 1);
  require(plan.group >= 1, node, "group must be at least 1");
  plan.n = x[0];
  plan.channels = x[1];
  plan.out_channels = w[0];
  if (plan.channels >= 0 && w[1] >= 0 && (plan.channels % plan.group != 0 || plan.channels / plan.group != w[1]))
    refuse(node, {plan.channels, " channels in ", plan.group, " groups do not fit a weight of ", w}, ErrorCode::shape_mismatch);
  require_shape(plan.out_channels < 0 || plan.out_channels % plan.group == 0, node,
                "output channels do not divide into the groups");
  plan.window = read_window(node, x.size() - 2, Shape(w.begin() + 2, w.end()));
  plan.output = {plan.n, plan.out_channels};
  const std::vector<std::int64_t> extents = window_output(node, plan.window, spatial(x));
  plan.output.insert(plan.output.end(), extents.begin(), extents.end());
  return plan;
}

ConvGeometry geometry_of(const Node& node, const Window& window, const Shape& x, const Shape& output) {
  return {narrowed(three(node, spatial(x), 1)),       narrowed(three(node, spatial(output), 1)),
          narrowed(three(node, window.kernel, 1)),    narrowed(three(node, window.strides, 1)),
          narrowed(three(node, window.dilations, 1)), narrowed(three(node, window.pads_begin, 0))};
}

void convolve(const Node& node, const ConvPlan& plan, const Shape& x_shape, const ConvValues& values, bool is_deterministic,
              Allocator& allocator) {
  const ConvGeometry g = geometry_of(node, plan.window, x_shape, plan.output);
  if (n_elements(plan.output) == 0) return;
  const std::int64_t group_channels = plan.channels / plan.group, group_outputs = plan.out_channels / plan.group;
  if (group_channels == 1 && plan.group > 1 && g.kernel[0] == 1 && g.input[0] == 1 && g.output[0] == 1)
    return convolve_depthwise(plan, g, values, choose_depthwise_f32(is_deterministic), allocator);
  ConvF32 conv{.geometry = g,
               .channels = static_cast<std::ptrdiff_t>(group_channels),
               .out_channels = static_cast<std::ptrdiff_t>(group_outputs),
               .clamp = values.clamp};
  Tensor scratch = scratch_f32(conv_f32_scratch_floats(conv), allocator);
  for (std::int64_t image = 0; image < plan.n; ++image)
    for (std::int64_t group = 0; group < plan.group; ++group) {
      conv.x = values.x + (image * plan.channels + group * group_channels) * g.n_inputs();
      conv.w = values.w + group * group_outputs * group_channels * g.n_taps();
      conv.bias = values.bias != nullptr ? values.bias + group * group_outputs : nullptr;
      conv.y = values.y + (image * plan.out_channels + group * group_outputs) * g.n_outputs();
      conv_f32_blocked(conv, scratch.data<float>().data(), choose_gemm_f32(is_deterministic));
    }
}

}  // namespace bitwright
