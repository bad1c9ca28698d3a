#pragma once

#include "kernels/conv_f32/conv_f32.h"
#include "ops/op.h"
#include "ops/window.h"

namespace bitwright {

/// A convolution's shapes, checked: x [n, channels, spatial...], w [out_channels, channels / group, kernel...].
struct ConvPlan {
  Window window;
  std::int64_t n = 0, channels = 0, out_channels = 0, group = 1;
  Shape output;
};

/// Throws Error{bad_graph} or {shape_mismatch} naming the node. Extents may be unknown.
ConvPlan plan_conv(const Node& node, const Shape& x, const Shape& w);
ConvGeometry geometry_of(const Node& node, const Window& window, const Shape& x, const Shape& output);

struct ConvValues {
  const float* x = nullptr;
  const float* w = nullptr;
  const float* bias = nullptr;  // or none
  float* y = nullptr;
  ClampF32 clamp{};
};
/// y = clamp(conv(x, w) + bias), all dense. Depthwise planes go their own way; the rest by packed GEMM.
void convolve(const Node& node, const ConvPlan& plan, const Shape& x_shape, const ConvValues& values, bool is_deterministic,
              Allocator& allocator);

}  // namespace bitwright
