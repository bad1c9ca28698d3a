// MaxPool, AveragePool, LpPool and their global forms, and ONNX Runtime's NhwcMaxPool.
#include "ops/pooling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/math.h"
#include "base/parallel_for.h"
#include "kernels/pool_f32/pool_f32.h"
#include "kernels/reduce_f32/reduce_f32.h"
#include "ops/channels_last.h"
#include "ops/conv_plan.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

struct PoolPlan {
  Window window;
  Shape output;
};

PoolPlan plan_pool(const Node& node, const Shape& x) {
  if (x.size() < 3) refuse(node, {"the input ", x, " has no spatial axes"}, ErrorCode::shape_mismatch);
  PoolPlan plan{read_window(node, x.size() - 2, {}), {x[0], x[1]}};
  const std::vector<std::int64_t> extents = window_output(node, plan.window, std::span(x).subspan(2));
  plan.output.insert(plan.output.end(), extents.begin(), extents.end());
  return plan;
}

void require_dtype(const RunContext& context, bool are_integers_allowed) {
  const DType dtype = context.input(0).dtype();
  const bool is_small_float = dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
  if (!is_small_float && !(are_integers_allowed && (dtype == DType::i8 || dtype == DType::u8)))
    refuse(context.node(), {"element type ", dtype_name(dtype)}, ErrorCode::unsupported);
}

void infer_pool(InferContext& context) {
  const PoolPlan plan = plan_pool(context.node(), context.shape(0));
  context.set_output(0, context.dtype(0), plan.output);
  if (context.node().op_type == "MaxPool") context.set_output(1, DType::i64, plan.output);
}

void pool_planes(const ConvGeometry& g, PoolF32::Kind kind, std::int64_t n_planes, const float* x, float* y) {
  const PoolF32Kernel kernel = pool_f32_variants()[0].run;
  parallel_for(n_planes, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane)
      kernel({.kind = kind, .geometry = g, .x = x + plane * g.n_inputs(), .y = y + plane * g.n_outputs()});
  });
}

/// The place of each maximum in the whole input, the first in row-major order where several are equal.
void write_indices(const ConvGeometry& g, bool is_column_major, std::int64_t n_planes, const float* x, const float* y,
                   std::int64_t* indices) {
  const std::int64_t n_outputs = g.n_outputs();
  for (std::int64_t i = 0; i < n_planes * n_outputs; ++i) {
    const auto pixel = static_cast<std::ptrdiff_t>(i % n_outputs);
    const float* plane = x + i / n_outputs * g.n_inputs();
    std::int64_t found = 0;
    for (std::ptrdiff_t tap = 0; tap < g.n_taps(); ++tap) {
      const std::ptrdiff_t place = g.input_of(pixel, tap);
      if (place == ConvGeometry::kPadding || plane[place] != y[i]) continue;
      const std::ptrdiff_t column = place % g.input[2], row = place / g.input[2] % g.input[1],
                           slice = place / g.input[2] / g.input[1];
      found = is_column_major ? (column * g.input[1] + row) * g.input[0] + slice : place;
      break;
    }
    indices[i] = found + i / n_outputs * g.n_inputs();
  }
}

void run_max_pool(RunContext& context) {
  require_dtype(context, true);
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  const PoolPlan plan = plan_pool(node, x.shape());
  const ConvGeometry g = geometry_of(node, plan.window, x.shape(), plan.output);
  F32Output y(context, 0);
  const std::int64_t n_planes = plan.output[0] * plan.output[1];
  pool_planes(g, PoolF32::Kind::maximum, n_planes, x.data<float>().data(), y.data());
  if (context.wants_output(1))
    write_indices(g, node.attr_i("storage_order", 0) != 0, n_planes, x.data<float>().data(), y.data(),
                  context.output(1).data<std::int64_t>().data());
  y.finish();
}

/// How many taps of output index `at` count along one axis: those inside the input, or with pads inside the padded input.
std::int64_t n_counted(const ConvGeometry& g, const Extents3& pad_end, std::size_t axis, std::ptrdiff_t at,
                       bool are_pads_counted) {
  std::int64_t count = 0;
  for (std::ptrdiff_t k = 0; k < g.kernel[axis]; ++k) {
    const std::int64_t i = at * g.stride[axis] - g.pad_begin[axis] + k * g.dilation[axis];
    const bool is_inside = are_pads_counted ? i < g.input[axis] + pad_end[axis] : i >= 0 && i < g.input[axis];
    count += is_inside ? 1 : 0;
  }
  return count;
}

void run_average_pool(RunContext& context) {
  require_dtype(context, false);
  F32Output y(context, 0);
  average_pool(context.node(), as_f32(context.input(0), context.allocator()), y.data());
  y.finish();
}

void infer_nhwc_max_pool(InferContext& context) {
  const Shape& x = context.shape(0);
  require_shape(x.size() >= 3, context.node(), "the input has no spatial axes");
  context.set_output(0, context.dtype(0), channels_last(window_pooled_shape(context.node(), channels_first(x))));
}

void run_nhwc_max_pool(RunContext& context) {
  require_dtype(context, true);
  const Node& node = context.node();
  const Tensor x = channels_first(as_f32(context.input(0), context.allocator()), context.allocator());
  const PoolPlan plan = plan_pool(node, x.shape());
  Tensor maxima(DType::f32, plan.output, context.allocator());
  pool_planes(geometry_of(node, plan.window, x.shape(), plan.output), PoolF32::Kind::maximum, plan.output[0] * plan.output[1],
              x.data<float>().data(), maxima.data<float>().data());
  const Tensor pixels = channels_last(maxima, context.allocator());
  F32Output y(context, 0);
  std::copy(pixels.data<float>().begin(), pixels.data<float>().end(), y.data());
  y.finish();
}

/// sum |x|^p, rooted.
class LpNorm {
 public:
  explicit LpNorm(const Node& node) : p_(node.attr_i("p", 2)) { require(p_ >= 1, node, "p must be at least 1"); }
  float power(float x) const {
    const float magnitude = std::fabs(x);
    return p_ == 1 ? magnitude : p_ == 2 ? magnitude * magnitude : pow(magnitude, static_cast<float>(p_));
  }
  float root(float sum) const { return p_ == 1 ? sum : p_ == 2 ? std::sqrt(sum) : pow(sum, 1.0f / static_cast<float>(p_)); }

 private:
  std::int64_t p_;
};

Tensor powers_of(const Tensor& x, const LpNorm& norm, Allocator& allocator) {
  Tensor powers(DType::f32, x.shape(), allocator);
  const std::span<const float> from = x.data<float>();
  const std::span<float> to = powers.data<float>();
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = norm.power(from[i]);
  return powers;
}

void run_lp_pool(RunContext& context) {
  require_dtype(context, false);
  const Node& node = context.node();
  const LpNorm norm(node);
  const Tensor powers = powers_of(as_f32(context.input(0), context.allocator()), norm, context.allocator());
  const PoolPlan plan = plan_pool(node, powers.shape());
  F32Output y(context, 0);
  pool_planes(geometry_of(node, plan.window, powers.shape(), plan.output), PoolF32::Kind::sum, plan.output[0] * plan.output[1],
              powers.data<float>().data(), y.data());
  for (float& value : y.span()) value = norm.root(value);
  y.finish();
}

void infer_global(InferContext& context) {
  Shape output = context.shape(0);
  if (output.size() < 2) refuse(context.node(), {"the input ", output, " has no channels"}, ErrorCode::shape_mismatch);
  std::fill(output.begin() + 2, output.end(), 1);
  context.set_output(0, context.dtype(0), output);
}

/// reduce(plane, n) for each plane.
template <typename Reduce>
void run_global(RunContext& context, const Tensor& x, Reduce reduce) {
  F32Output y(context, 0);
  const std::int64_t n_planes = x.extent(0) * x.extent(1), n = n_planes == 0 ? 0 : x.n_elements() / n_planes;
  const float* from = x.data<float>().data();
  float* to = y.data();
  parallel_for(n_planes, std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(n, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t plane = begin; plane < end; ++plane)
                   to[plane] = reduce(from + plane * n, static_cast<std::ptrdiff_t>(n));
               });
  y.finish();
}

void run_global_average(RunContext& context) {
  require_dtype(context, false);
  run_global(context, as_f32(context.input(0), context.allocator()),
             [](const float* x, std::ptrdiff_t n) { return sum_f32(x, n) / static_cast<float>(n); });
}

void run_global_max(RunContext& context) {
  require_dtype(context, true);
  run_global(context, as_f32(context.input(0), context.allocator()), max_f32);
}

void run_global_lp(RunContext& context) {
  require_dtype(context, false);
  const LpNorm norm(context.node());
  run_global(context, powers_of(as_f32(context.input(0), context.allocator()), norm, context.allocator()),
             [&](const float* x, std::ptrdiff_t n) { return norm.root(sum_f32(x, n)); });
}

constexpr std::int64_t kMaxSince[] = {1, 8, 10, 11, 12, 22};
constexpr std::int64_t kAverageSince[] = {1, 7, 10, 11, 19, 22};
constexpr std::int64_t kLpSince[] = {1, 2, 11, 18, 22};
constexpr std::int64_t kGlobalSince[] = {1, 22};
constexpr std::int64_t kGlobalLpSince[] = {1, 2, 22};
constexpr std::int64_t kMicrosoftSince[] = {1};
constexpr Op kOps[] = {
    {"MaxPool", "", kMaxSince, infer_pool, run_max_pool},
    {"AveragePool", "", kAverageSince, infer_pool, run_average_pool},
    {"LpPool", "", kLpSince, infer_pool, run_lp_pool},
    {"GlobalAveragePool", "", kGlobalSince, infer_global, run_global_average},
    {"GlobalMaxPool", "", kGlobalSince, infer_global, run_global_max},
    {"GlobalLpPool", "", kGlobalLpSince, infer_global, run_global_lp},
    {"NhwcMaxPool", "com.microsoft", kMicrosoftSince, infer_nhwc_max_pool, run_nhwc_max_pool},
};

}  // namespace

Shape window_pooled_shape(const Node& node, const Shape& x) { return plan_pool(node, x).output; }

void average_pool(const Node& node, const Tensor& x, float* y) {
  const PoolPlan plan = plan_pool(node, x.shape());
  const ConvGeometry g = geometry_of(node, plan.window, x.shape(), plan.output);
  const Extents3 pad_end = three(node, plan.window.pads_end, 0);
  const bool are_pads_counted = node.attr_i("count_include_pad", 0) != 0;
  const std::int64_t n_planes = plan.output[0] * plan.output[1];
  pool_planes(g, PoolF32::Kind::sum, n_planes, x.data<float>().data(), y);

  std::vector<std::int64_t> counts[3];
  for (std::size_t axis = 0; axis < 3; ++axis)
    for (std::ptrdiff_t at = 0; at < g.output[axis]; ++at)
      counts[axis].push_back(n_counted(g, pad_end, axis, at, are_pads_counted));
  for (std::int64_t plane = 0; plane < n_planes; ++plane)
    for (const std::int64_t depth : counts[0])
      for (const std::int64_t height : counts[1])
        for (const std::int64_t width : counts[2]) {
          *y = *y / static_cast<float>(std::max<std::int64_t>(1, depth * height * width));
          ++y;
        }
}

extern const OpFamily pooling_family;
const OpFamily pooling_family{"pooling", kOps};

}  // namespace bitwright
