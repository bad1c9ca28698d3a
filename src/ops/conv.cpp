// Convolution: Conv, ConvTranspose, ONNX Runtime's FusedConv.
#include <algorithm>
#include <optional>

#include "base/checked.h"
#include "base/parallel_for.h"
#include "kernels/elementwise_f32/elementwise_f32.h"
#include "ops/conv_plan.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

void check_bias(const Node& node, const Shape& bias, std::int64_t out_channels) {
  require_shape(bias.size() == 1 && may_equal(bias[0], out_channels), node, "the bias must have one value per output channel");
}

void require_float(const RunContext& context) {
  const DType dtype = context.input(0).dtype();
  if (dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16)
    refuse(context.node(), {"element type ", dtype_name(dtype)}, ErrorCode::unsupported);
}

void infer_conv(InferContext& context) {
  const ConvPlan plan = plan_conv(context.node(), context.shape(0), context.shape(1));
  if (context.has_shape(2)) check_bias(context.node(), context.shape(2), plan.out_channels);
  context.set_output(0, context.dtype(0), plan.output);
}

void convolve_into(RunContext& context, F32Output& output, ClampF32 clamp = {}) {
  require_float(context);
  const ConvPlan plan = plan_conv(context.node(), context.input(0).shape(), context.input(1).shape());
  const Tensor x = as_f32(context.input(0), context.allocator()), w = as_f32(context.input(1), context.allocator());
  const Tensor bias = context.has_input(2) ? as_f32(context.input(2), context.allocator()) : Tensor();
  const ConvValues values{.x = x.data<float>().data(),
                          .w = w.data<float>().data(),
                          .bias = bias.is_defined() ? bias.data<float>().data() : nullptr,
                          .y = output.data(),
                          .clamp = clamp};
  convolve(context.node(), plan, x.shape(), values, context.is_deterministic(), context.allocator());
}

void run_conv(RunContext& context) {
  F32Output output(context, 0);
  convolve_into(context, output);
  output.finish();
}

struct Activation {
  std::string_view name;
  MapF32 map;
  std::size_t n_params;
};
constexpr Activation kActivations[] = {{"Relu", map_f32__relu, 0},       {"Tanh", map_f32__tanh, 0},
                                       {"Sigmoid", map_f32__sigmoid, 0}, {"LeakyRelu", map_f32__leaky_relu, 1},
                                       {"Clip", map_f32__clip, 2},       {"HardSigmoid", map_f32__hard_sigmoid, 2}};

/// The activation of a node's attributes, in place.
void activate(const Node& node, std::span<float> y) {
  const std::string name = node.attr_s("activation", "");
  if (name.empty()) return;
  const auto row =
      std::find_if(std::begin(kActivations), std::end(kActivations), [&](const Activation& known) { return known.name == name; });
  if (row == std::end(kActivations)) refuse(node, {"activation ", in_quotes(name)}, ErrorCode::unsupported);
  const std::vector<float> params = node.attr_floats("activation_params");
  require(params.size() == row->n_params, node, "activation_params has the wrong length");
  row->map(y.data(), y.data(), static_cast<std::int64_t>(y.size()),
           {params.empty() ? 0.0f : params[0], params.size() < 2 ? 0.0f : params[1]});
}

/// Relu and Clip end the convolution itself, with the same bits as afterwards.
std::optional<ClampF32> clamp_of(const Node& node) {
  const std::string name = node.attr_s("activation", "");
  if (name == "Relu") return ClampF32{.low = 0.0f};
  const std::vector<float> params = node.attr_floats("activation_params");
  if (name == "Clip" && params.size() == 2) return ClampF32{params[0], params[1]};
  return std::nullopt;
}

/// activation(conv(x, w) + bias + Z)
void run_fused_conv(RunContext& context) {
  F32Output output(context, 0);
  if (const std::optional<ClampF32> clamp = clamp_of(context.node()); clamp && !context.has_input(3)) {
    convolve_into(context, output, *clamp);
    return output.finish();
  }
  convolve_into(context, output);
  if (context.has_input(3)) {
    const Tensor z = as_f32(context.input(3), context.allocator());
    require_shape(z.shape() == output.shape(), context.node(), "Z and the output differ in shape");
    zip_f32__add(output.data(), 1, z.data<float>().data(), 1, output.data(), z.n_elements());
  }
  activate(context.node(), output.span());
  output.finish();
}

/// A transposed convolution is the gradient of one from its output to its input: `forward` is that convolution's geometry.
struct TransposePlan {
  Window window;
  std::int64_t n = 0, channels = 0, out_channels = 0, group = 1;
  Shape output;
};

TransposePlan plan_transpose(const Node& node, const Shape& x, const Shape& w) {
  if (x.size() < 3) refuse(node, {"the input ", x, " has no spatial axes"}, ErrorCode::shape_mismatch);
  require_shape(w.size() == x.size(), node, "input and weight differ in rank");
  require_shape(may_equal(x[1], w[0]), node, "the weight's first extent must be the input's channels");
  const std::size_t rank = x.size() - 2;
  TransposePlan plan;
  plan.group = node.attr_i("group", 1);
  require(plan.group >= 1, node, "group must be at least 1");
  plan.n = x[0];
  plan.channels = x[1] < 0 ? w[0] : x[1];
  require_shape(plan.channels < 0 || plan.channels % plan.group == 0, node, "channels do not divide into the groups");
  const bool has_out_channels =
      w[1] >= 0 && checked_mul(static_cast<std::uint64_t>(w[1]), static_cast<std::uint64_t>(plan.group)).has_value();
  plan.out_channels = has_out_channels ? w[1] * plan.group : kUnknownDim;
  plan.window = read_window(node, rank, Shape(w.begin() + 2, w.end()));
  std::vector<std::int64_t> said = node.attr_ints("output_shape"), extra = node.attr_ints("output_padding");
  if (said.size() == rank + 2) said.erase(said.begin(), said.begin() + 2);
  require(said.empty() || said.size() == rank, node, "output_shape has the wrong length");
  require(extra.empty() || extra.size() == rank, node, "output_padding has the wrong length");
  plan.output = {plan.n, plan.out_channels};
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::int64_t padding = extra.empty() ? 0 : extra[axis], stride = plan.window.strides[axis], input = x[axis + 2];
    require(padding >= 0 && padding < std::max(stride, plan.window.dilations[axis]), node,
            "output_padding must be below stride or dilation");
    if (input < 0 || plan.window.kernel[axis] < 0) {
      plan.output.push_back(said.empty() ? kUnknownDim : said[axis]);
      continue;
    }
    if (input == 0 || input > kMaxElements) refuse(node, "an empty or too large spatial axis", ErrorCode::shape_mismatch);
    const std::int64_t full = stride * (input - 1) + padding + plan.window.reach(axis);
    const bool is_same =
        plan.window.auto_pad == Window::AutoPad::same_upper || plan.window.auto_pad == Window::AutoPad::same_lower;
    std::int64_t output = full - plan.window.pads_begin[axis] - plan.window.pads_end[axis];
    if (!said.empty() || is_same) {
      output = said.empty() ? input * stride : said[axis];
      const std::int64_t total = std::max<std::int64_t>(0, full - output);
      plan.window.pads_begin[axis] = plan.window.auto_pad == Window::AutoPad::same_upper ? total / 2 : total - total / 2;
    } else if (plan.window.auto_pad == Window::AutoPad::valid) {
      output = full;
      plan.window.pads_begin[axis] = 0;
    }
    if (output <= 0) refuse(node, {"the pads leave no output on spatial axis ", axis}, ErrorCode::shape_mismatch);
    plan.output.push_back(output);
  }
  return plan;
}

void infer_conv_transpose(InferContext& context) {
  const TransposePlan plan = plan_transpose(context.node(), context.shape(0), context.shape(1));
  if (context.has_shape(2)) check_bias(context.node(), context.shape(2), plan.out_channels);
  context.set_output(0, context.dtype(0), plan.output);
}

/// Adds the columns [out channel][tap][input pixel] to the output planes: taps in order, then pixels in order.
void scatter_columns(const ConvGeometry& g, const float* columns, std::int64_t channel, float bias, float* y) {
  float* plane = y + channel * g.n_inputs();
  std::fill(plane, plane + g.n_inputs(), 0.0f);
  const float* from = columns + channel * g.n_taps() * g.n_outputs();
  for (std::ptrdiff_t kz = 0; kz < g.kernel[0]; ++kz)
    for (std::ptrdiff_t ky = 0; ky < g.kernel[1]; ++ky)
      for (std::ptrdiff_t kx = 0; kx < g.kernel[2]; ++kx)
        for (std::ptrdiff_t oz = 0; oz < g.output[0]; ++oz)
          for (std::ptrdiff_t oy = 0; oy < g.output[1]; ++oy, from += g.output[2]) {
            const std::ptrdiff_t z = oz * g.stride[0] - g.pad_begin[0] + kz * g.dilation[0];
            const std::ptrdiff_t row = oy * g.stride[1] - g.pad_begin[1] + ky * g.dilation[1];
            if (z < 0 || z >= g.input[0] || row < 0 || row >= g.input[1]) continue;
            float* to = plane + (z * g.input[1] + row) * g.input[2];
            const std::ptrdiff_t shift = kx * g.dilation[2] - g.pad_begin[2];
            for (std::ptrdiff_t ox = 0; ox < g.output[2]; ++ox) {
              const std::ptrdiff_t column = ox * g.stride[2] + shift;
              if (column >= 0 && column < g.input[2]) to[column] += from[ox];
            }
          }
  if (bias != 0.0f)
    for (std::ptrdiff_t i = 0; i < g.n_inputs(); ++i) plane[i] += bias;
}

void run_conv_transpose(RunContext& context) {
  require_float(context);
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator()), w = as_f32(context.input(1), context.allocator());
  const Tensor bias = context.has_input(2) ? as_f32(context.input(2), context.allocator()) : Tensor();
  const TransposePlan plan = plan_transpose(node, x.shape(), w.shape());
  // The forward convolution reads our output and writes our input.
  const ConvGeometry g = geometry_of(node, plan.window, plan.output, x.shape());
  const std::int64_t channels = plan.channels / plan.group, outputs = plan.out_channels / plan.group, k = outputs * g.n_taps();
  F32Output output(context, 0);
  Tensor columns = scratch_f32(k * g.n_outputs(), context.allocator());
  const std::int64_t n_panels = (g.n_outputs() + 7) / 8;
  Tensor packed = scratch_f32(n_panels * 8 * channels, context.allocator());
  const auto pixels = static_cast<std::ptrdiff_t>(g.n_outputs());
  for (std::int64_t image = 0; image < plan.n; ++image)
    for (std::int64_t group = 0; group < plan.group; ++group) {
      const float* planes = x.data<float>().data() + (image * plan.channels + group * channels) * pixels;
      pack_b_f32(planes, pixels, 1, static_cast<std::ptrdiff_t>(channels), pixels, 0, static_cast<std::ptrdiff_t>(n_panels),
                 packed.data<float>().data());
      gemm_f32_blocked({.m = static_cast<std::ptrdiff_t>(k),
                        .n = pixels,
                        .k = static_cast<std::ptrdiff_t>(channels),
                        .a = w.data<float>().data() + group * channels * k,
                        .a_row_stride = 1,
                        .a_k_stride = static_cast<std::ptrdiff_t>(k),
                        .b = packed.data<float>().data(),
                        .b_panel_stride = static_cast<std::ptrdiff_t>(8 * channels),
                        .b_k_stride = 8,
                        .c = columns.data<float>().data(),
                        .c_row_stride = pixels},
                       choose_gemm_f32());
      float* y = output.data() + (image * plan.out_channels + group * outputs) * g.n_inputs();
      parallel_for(outputs, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t channel = begin; channel < end; ++channel)
          scatter_columns(g, columns.data<float>().data(), channel,
                          bias.is_defined() ? bias.data<float>()[static_cast<std::size_t>(group * outputs + channel)] : 0.0f, y);
      });
    }
  output.finish();
}

constexpr std::int64_t kSince[] = {1, 11, 22};
constexpr std::int64_t kMicrosoftSince[] = {1};
constexpr Op kOps[] = {
    {"Conv", "", kSince, infer_conv, run_conv},
    {"ConvTranspose", "", kSince, infer_conv_transpose, run_conv_transpose},
    {"FusedConv", "com.microsoft", kMicrosoftSince, infer_conv, run_fused_conv},
};

}  // namespace

extern const OpFamily conv_family;
const OpFamily conv_family{"conv", kOps};

}  // namespace bitwright
