// ConvInteger and QLinearConv.
#include <algorithm>
#include <utility>

#include "ops/conv_plan.h"
#include "ops/float_operands.h"
#include "ops/integer_operands.h"
#include "ops/refusal.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

/// Exact convolution of centered codes: channels in blocks whose partial sums are exact floats, added up in int32.
Tensor convolve_i32(const Node& node, const ConvPlan& plan, const Tensor& x, const Tensor& w, Allocator& allocator) {
  constexpr std::int64_t kExactTerms = 258;  // 258 * 255 * 255 < 2^24
  const ConvGeometry g = geometry_of(node, plan.window, x.shape(), plan.output);
  const std::int64_t channels = plan.channels / plan.group, outputs = plan.out_channels / plan.group, taps = g.n_taps();
  Tensor y(DType::i32, plan.output, allocator);
  const std::span<std::int32_t> sums = y.data<std::int32_t>();
  std::fill(sums.begin(), sums.end(), 0);
  if (sums.empty()) return y;
  // A kernel of more taps runs in passes, each with the weights of the other taps at zero.
  const std::int64_t pass = std::min(taps, kExactTerms);
  const std::int64_t block = std::max<std::int64_t>(1, std::min(channels, kExactTerms / pass));
  Tensor weights = scratch_f32(outputs * block * taps, allocator), partial = scratch_f32(outputs * g.n_outputs(), allocator);
  ConvF32 conv{
      .geometry = g, .channels = static_cast<std::ptrdiff_t>(block), .out_channels = static_cast<std::ptrdiff_t>(outputs)};
  ConvF32 last = conv;
  last.channels = static_cast<std::ptrdiff_t>(channels % block);
  Tensor scratch = scratch_f32(std::max(conv_f32_scratch_floats(conv), conv_f32_scratch_floats(last)), allocator);
  conv.w = weights.data<float>().data();
  conv.y = partial.data<float>().data();
  const auto convolve_pass = [&](std::int64_t group, std::int64_t first, std::int64_t n, std::int64_t from) {
    std::span<float> kept = weights.data<float>();
    if (pass < taps) std::fill(kept.begin(), kept.end(), 0.0f);
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t c = 0; c < n; ++c)
        std::copy_n(w.data<float>().data() + ((group * outputs + o) * channels + first + c) * taps + from,
                    std::min(pass, taps - from), kept.data() + (o * n + c) * taps + from);
    conv.channels = static_cast<std::ptrdiff_t>(n);
    for (std::int64_t image = 0; image < plan.n; ++image) {
      conv.x = x.data<float>().data() + (image * plan.channels + group * channels + first) * g.n_inputs();
      conv_f32_blocked(conv, scratch.data<float>().data(), choose_gemm_f32());
      std::int32_t* to = sums.data() + (image * plan.out_channels + group * outputs) * g.n_outputs();
      const std::span<const float> part = std::as_const(partial).data<float>();
      for (std::size_t i = 0; i < part.size(); ++i)
        to[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(to[i]) +
                                          static_cast<std::uint32_t>(static_cast<std::int32_t>(part[i])));
    }
  };
  for (std::int64_t group = 0; group < plan.group; ++group)
    for (std::int64_t first = 0; first < channels; first += block)
      for (std::int64_t from = 0; from < taps; from += pass) convolve_pass(group, first, std::min(block, channels - first), from);
  return y;
}

void infer_conv_integer(InferContext& context) {
  context.set_output(0, DType::i32, plan_conv(context.node(), context.shape(0), context.shape(1)).output);
}

void run_conv_integer(RunContext& context) {
  const ConvPlan plan = plan_conv(context.node(), context.input(0).shape(), context.input(1).shape());
  context.set_output(0, convolve_i32(context.node(), plan, centered_codes(context, 0, 2, 1), centered_codes(context, 1, 3, 0),
                                     context.allocator()));
}

// Inputs: x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias (int32).
void infer_qlinear_conv(InferContext& context) {
  context.set_output(0, context.dtype(7), plan_conv(context.node(), context.shape(0), context.shape(3)).output);
}

void run_qlinear_conv(RunContext& context) {
  const Node& node = context.node();
  const ConvPlan plan = plan_conv(node, context.input(0).shape(), context.input(3).shape());
  const Tensor sums =
      convolve_i32(node, plan, centered_codes(context, 0, 2, 1), centered_codes(context, 3, 5, 0), context.allocator());
  const std::vector<float> x_scale = float_values(context.input(1)), w_scale = float_values(context.input(4)),
                           y_scale = float_values(context.input(6));
  const auto channels = static_cast<std::size_t>(plan.out_channels);
  std::vector<std::int64_t> bias(channels, 0);
  if (context.has_input(8)) bias = bias_of_sums(context, 8);
  require_shape(x_scale.size() == 1 && y_scale.size() == 1 && (w_scale.size() == 1 || w_scale.size() == channels) &&
                    bias.size() == channels,
                node, "scales or bias do not fit the channels");
  Tensor& y = context.output(0);
  const auto y_zero = static_cast<std::int32_t>(zero_points_of(context, 7, y.dtype())[0]);
  const std::span<const std::int32_t> sum = sums.data<std::int32_t>();
  std::vector<std::int64_t> codes(sum.size());
  const std::size_t plane =
      channels == 0 || plan.n == 0 ? 1 : std::max<std::size_t>(1, sum.size() / channels / static_cast<std::size_t>(plan.n));
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const std::size_t c = i / plane % channels;
    const float multiplier = x_scale[0] * w_scale[w_scale.size() == 1 ? 0 : c] / y_scale[0];
    codes[i] = rounded_code(static_cast<float>(sum[i] + bias[c]) * multiplier, y_zero, y.dtype());
  }
  write_elements(y, 0, std::span<const std::int64_t>(codes));
}

constexpr std::int64_t kSince[] = {10};
constexpr Op kOps[] = {
    {"ConvInteger", "", kSince, infer_conv_integer, run_conv_integer},
    {"QLinearConv", "", kSince, infer_qlinear_conv, run_qlinear_conv},
};

}  // namespace

extern const OpFamily integer_conv_family;
const OpFamily integer_conv_family{"integer_conv", kOps};

}  // namespace bitwright
