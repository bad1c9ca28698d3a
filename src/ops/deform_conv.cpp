// DeformConv: a convolution whose taps are moved by offsets, between pixels bilinearly interpolated.
#include <algorithm>
#include <cmath>

#include "base/parallel_for.h"
#include "ops/conv_plan.h"
#include "ops/float_operands.h"
#include "ops/matrix_product.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

// Inputs: x, w, offset [n, offset_group * taps * 2, out h, out w], bias, mask [n, offset_group * taps, out h, out w].
void infer_deform(InferContext& context) {
  const Node& node = context.node();
  const ConvPlan plan = plan_conv(node, context.shape(0), context.shape(1));
  if (context.shape(0).size() != 4) refuse(node, "other than two spatial axes", ErrorCode::unsupported);
  context.set_output(0, context.dtype(0), plan.output);
}

/// The plane between its pixels; 0 outside.
float sample(const float* plane, std::ptrdiff_t height, std::ptrdiff_t width, float y, float x) {
  if (!(y > -1.0f && y < static_cast<float>(height) && x > -1.0f && x < static_cast<float>(width))) return 0.0f;
  const float top = std::floor(y), left = std::floor(x);
  const auto at = [&](float row, float column) {
    const auto r = static_cast<std::ptrdiff_t>(row), c = static_cast<std::ptrdiff_t>(column);
    return r >= 0 && r < height && c >= 0 && c < width ? plane[r * width + c] : 0.0f;
  };
  const float down = y - top, right = x - left;
  return (1.0f - down) * ((1.0f - right) * at(top, left) + right * at(top, left + 1.0f)) +
         down * ((1.0f - right) * at(top + 1.0f, left) + right * at(top + 1.0f, left + 1.0f));
}

void run_deform(RunContext& context) {
  const Node& node = context.node();
  Allocator& allocator = context.allocator();
  const Tensor x = as_f32(context.input(0), allocator), w = as_f32(context.input(1), allocator),
               offset = as_f32(context.input(2), allocator);
  const Tensor bias = context.has_input(3) ? as_f32(context.input(3), allocator) : Tensor();
  const Tensor mask = context.has_input(4) ? as_f32(context.input(4), allocator) : Tensor();
  const ConvPlan plan = plan_conv(node, x.shape(), w.shape());
  const ConvGeometry g = geometry_of(node, plan.window, x.shape(), plan.output);
  const std::int64_t offset_groups = node.attr_i("offset_group", 1), taps = g.n_taps(), pixels = g.n_outputs();
  require(offset_groups >= 1 && plan.channels % offset_groups == 0, node, "channels do not divide into offset_group groups");
  require_shape(offset.shape() == Shape{plan.n, offset_groups * taps * 2, g.output[1], g.output[2]}, node,
                "the offsets have the wrong shape");
  require_shape(!mask.is_defined() || mask.n_elements() * 2 == offset.n_elements(), node, "the mask has the wrong shape");
  require_shape(!bias.is_defined() || bias.n_elements() == plan.out_channels, node,
                "the bias must have one value per output channel");
  const std::int64_t channels = plan.channels / plan.group, outputs = plan.out_channels / plan.group, k = channels * taps;
  Tensor columns = scratch_f32(k * pixels, allocator);
  F32Output y(context, 0);
  for (std::int64_t image = 0; image < plan.n; ++image)
    for (std::int64_t group = 0; group < plan.group; ++group) {
      parallel_for(k, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          const std::int64_t channel = group * channels + row / taps, tap = row % taps;
          const std::int64_t moved_by = (image * offset_groups + channel / (plan.channels / offset_groups)) * taps + tap;
          const float* plane = x.data<float>().data() + (image * plan.channels + channel) * g.n_inputs();
          const float* dy = offset.data<float>().data() + 2 * moved_by * pixels;
          const float* dx = dy + pixels;
          float* to = columns.data<float>().data() + row * pixels;
          for (std::int64_t i = 0; i < pixels; ++i) {
            const std::int64_t top = i / g.output[2] * g.stride[1] - g.pad_begin[1] + tap / g.kernel[2] * g.dilation[1];
            const std::int64_t left = i % g.output[2] * g.stride[2] - g.pad_begin[2] + tap % g.kernel[2] * g.dilation[2];
            const float value =
                sample(plane, g.input[1], g.input[2], static_cast<float>(top) + dy[i], static_cast<float>(left) + dx[i]);
            to[i] = mask.is_defined() ? value * mask.data<float>()[static_cast<std::size_t>(moved_by * pixels + i)] : value;
          }
        }
      });
      float* out = y.data() + (image * plan.out_channels + group * outputs) * pixels;
      const RightOperand right = right_operand(columns.data<float>().data(), pixels, 1, k, pixels, outputs, allocator);
      multiply(w.data<float>().data() + group * outputs * k, k, 1, outputs, right, out);
      for (std::int64_t i = 0; i < outputs * pixels && bias.is_defined(); ++i)
        out[i] += bias.data<float>()[static_cast<std::size_t>(group * outputs + i / pixels)];
    }
  y.finish();
}

constexpr std::int64_t kSince[] = {19, 22};
constexpr Op kOps[] = {
    {"DeformConv", "", kSince, infer_deform, run_deform},
};

}  // namespace

extern const OpFamily deform_conv_family;
const OpFamily deform_conv_family{"deform_conv", kOps};

}  // namespace bitwright
