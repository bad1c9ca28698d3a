// BatchNormalization, InstanceNormalization, LayerNormalization, GroupNormalization, RMSNormalization.
#include <algorithm>
#include <cmath>

#include "base/parallel_for.h"
#include "kernels/normalize_f32/normalize_f32.h"
#include "kernels/reduce_f32/reduce_f32.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

constexpr float kEpsilon = 1e-5f;

/// x as [n, channels, plane].
struct Planes {
  std::int64_t n = 0, channels = 0, plane = 1;
};

Planes planes_of(const Node& node, const Shape& x) {
  if (x.size() < 2) refuse(node, {"the input ", x, " has no channels"}, ErrorCode::shape_mismatch);
  Planes planes{x[0], x[1], 1};
  for (std::size_t axis = 2; axis < x.size(); ++axis) planes.plane *= x[axis];
  return planes;
}

Tensor channel_values(RunContext& context, std::size_t i, std::int64_t channels) {
  Tensor values = as_f32(context.input(i), context.allocator());
  if (values.n_elements() != channels)
    refuse(context.node(), {"input ", i, " has ", values.n_elements(), " values for ", channels, " channels"},
           ErrorCode::shape_mismatch);
  return values;
}

bool is_training(const Node& node, std::int64_t opset) { return opset >= 14 && node.attr_i("training_mode", 0) != 0; }

void infer_batch(InferContext& context) {
  context.set_output(0, context.dtype(0), context.input(0).shape);
  if (context.n_outputs() > 1 && is_training(context.node(), context.opset()))
    for (std::size_t i = 1; i < std::min<std::size_t>(3, context.n_outputs()); ++i)
      context.set_output(i, context.dtype(i + 2), context.input(i + 2).shape);
}

void run_batch(RunContext& context) {
  const Node& node = context.node();
  if (context.opset() < 9 && node.attr_i("spatial", 1) == 0)
    refuse(node, "spatial = 0; convert the model to opset 9", ErrorCode::unsupported);
  const Tensor x = as_f32(context.input(0), context.allocator());
  const Planes p = x.rank() == 1 ? Planes{x.extent(0), 1, 1} : planes_of(node, x.shape());
  const Tensor scale = channel_values(context, 1, p.channels), bias = channel_values(context, 2, p.channels);
  Tensor mean = channel_values(context, 3, p.channels), variance = channel_values(context, 4, p.channels);
  const float* from = x.data<float>().data();
  if (is_training(node, context.opset())) {
    const float momentum = node.attr_f("momentum", 0.9f);
    const Tensor running_mean = mean, running_variance = variance;
    mean = Tensor(DType::f32, {p.channels}, context.allocator());
    variance = Tensor(DType::f32, {p.channels}, context.allocator());
    Tensor column = scratch_f32(p.n * p.plane, context.allocator());
    for (std::int64_t c = 0; c < p.channels; ++c) {
      for (std::int64_t image = 0; image < p.n; ++image)
        std::copy_n(from + (image * p.channels + c) * p.plane, p.plane, column.data<float>().data() + image * p.plane);
      const Moments moments = moments_f32(column.data<float>().data(), static_cast<std::ptrdiff_t>(p.n * p.plane));
      mean.data<float>()[static_cast<std::size_t>(c)] = moments.mean;
      variance.data<float>()[static_cast<std::size_t>(c)] = moments.variance;
    }
    const Tensor running[] = {running_mean, running_variance}, fresh[] = {mean, variance};
    for (std::size_t i = 0; i < 2; ++i) {
      if (!context.wants_output(i + 1)) continue;
      F32Output output(context, i + 1);
      for (std::size_t c = 0; c < output.span().size(); ++c)
        output.span()[c] = running[i].data<float>()[c] * momentum + fresh[i].data<float>()[c] * (1.0f - momentum);
      output.finish();
    }
  }
  const float epsilon = node.attr_f("epsilon", kEpsilon);
  F32Output y(context, 0);
  float* to = y.data();
  parallel_for(p.n * p.channels, std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(p.plane, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const auto c = static_cast<std::size_t>(i % p.channels);
                   const float factor = scale.data<float>()[c] / std::sqrt(variance.data<float>()[c] + epsilon);
                   shift_scale_f32(from + i * p.plane, static_cast<std::ptrdiff_t>(p.plane), mean.data<float>()[c], factor,
                                   bias.data<float>()[c], to + i * p.plane);
                 }
               });
  y.finish();
}

void infer_like_input(InferContext& context) { context.set_output(0, context.dtype(0), context.input(0).shape); }

/// Groups of neighbouring channels are normalized together; scale and bias are per channel (or per group).
void normalize_groups(RunContext& context, std::int64_t groups, bool is_scale_per_group) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  const Planes p = planes_of(node, x.shape());
  if (groups < 1 || p.channels % groups != 0) refuse(node, {p.channels, " channels do not divide into ", groups, " groups"});
  const std::int64_t per_group = p.channels / groups;
  const Tensor scale = channel_values(context, 1, is_scale_per_group ? groups : p.channels);
  const Tensor bias = channel_values(context, 2, is_scale_per_group ? groups : p.channels);
  const float epsilon = node.attr_f("epsilon", kEpsilon);
  F32Output y(context, 0);
  parallel_for(p.n * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* from = x.data<float>().data() + i * per_group * p.plane;
      const Moments moments = moments_f32(from, static_cast<std::ptrdiff_t>(per_group * p.plane));
      const float inverse = 1.0f / std::sqrt(moments.variance + epsilon);
      for (std::int64_t c = 0; c < per_group; ++c) {
        const auto s = static_cast<std::size_t>(is_scale_per_group ? i % groups : i % groups * per_group + c);
        shift_scale_f32(from + c * p.plane, static_cast<std::ptrdiff_t>(p.plane), moments.mean, inverse * scale.data<float>()[s],
                        bias.data<float>()[s], y.data() + (i * per_group + c) * p.plane);
      }
    }
  });
  y.finish();
}

void run_instance(RunContext& context) {
  normalize_groups(context, planes_of(context.node(), context.input(0).shape()).channels, false);
}
void run_group(RunContext& context) { normalize_groups(context, context.node().attr_i("num_groups", 0), context.opset() < 21); }

/// The axes from `axis` on are normalized as one row.
struct Rows {
  std::size_t axis = 0;
  std::int64_t n_rows = 1, n = 1;
};

Rows rows_of(const Node& node, const Shape& x) {
  Rows rows{static_cast<std::size_t>(normalized_axis(node.attr_i("axis", -1), x.size())), 1, 1};
  for (std::size_t i = 0; i < x.size(); ++i) (i < rows.axis ? rows.n_rows : rows.n) *= x[i];
  return rows;
}

/// Values that broadcast to the normalized axes, spread out over a row.
Tensor spread_over_row(RunContext& context, std::size_t i, const Shape& x, const Rows& rows) {
  Tensor values = as_f32(context.input(i), context.allocator());
  if (values.n_elements() == rows.n) return values;
  const Shape row(x.begin() + static_cast<std::ptrdiff_t>(rows.axis), x.end());
  require_shape(values.rank() <= row.size() && broadcast(values.shape(), row) == row, context.node(),
                "scale or bias does not fit the normalized axes");
  Tensor spread(DType::f32, row, context.allocator());
  strided_copy(sizeof(float), row, values.bytes().data(), broadcast_strides(values.shape(), row), spread.bytes().data(),
               row_major_strides(row));
  return spread;
}

void infer_layer(InferContext& context) {
  context.set_output(0, context.dtype(0), context.input(0).shape);
  if (!context.has_shape(0)) return;
  Shape statistics = context.shape(0);
  const auto axis = static_cast<std::ptrdiff_t>(normalized_axis(context.node().attr_i("axis", -1), statistics.size()));
  std::fill(statistics.begin() + axis, statistics.end(), 1);
  for (std::size_t i = 1; i < std::min<std::size_t>(3, context.n_outputs()); ++i) context.set_output(i, DType::f32, statistics);
}

void run_layer(RunContext& context) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  const Rows rows = rows_of(node, x.shape());
  const Tensor scale = spread_over_row(context, 1, x.shape(), rows);
  const Tensor bias = context.has_input(2) ? spread_over_row(context, 2, x.shape(), rows) : Tensor();
  const float epsilon = node.attr_f("epsilon", kEpsilon);
  F32Output y(context, 0);
  float* const means = context.wants_output(1) ? context.output(1).data<float>().data() : nullptr;
  float* const inverses = context.wants_output(2) ? context.output(2).data<float>().data() : nullptr;
  const auto n = static_cast<std::ptrdiff_t>(rows.n);
  parallel_for(rows.n_rows, std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(rows.n, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const float* row = x.data<float>().data() + i * rows.n;
                   const Moments moments = moments_f32(row, n);
                   const float inverse = 1.0f / std::sqrt(moments.variance + epsilon);
                   normalize_row_f32(row, n, moments.mean, inverse, scale.data<float>().data(),
                                     bias.is_defined() ? bias.data<float>().data() : nullptr, y.data() + i * rows.n);
                   if (means != nullptr) means[i] = moments.mean;
                   if (inverses != nullptr) inverses[i] = inverse;
                 }
               });
  y.finish();
}

void run_rms(RunContext& context) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  const Rows rows = rows_of(node, x.shape());
  const Tensor scale = spread_over_row(context, 1, x.shape(), rows);
  const float epsilon = node.attr_f("epsilon", kEpsilon);
  F32Output y(context, 0);
  const auto n = static_cast<std::ptrdiff_t>(rows.n);
  parallel_for(rows.n_rows, std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(rows.n, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const float* row = x.data<float>().data() + i * rows.n;
                   const float factor = 1.0f / std::sqrt(sum_squares_f32(row, n, 0.0f) / static_cast<float>(n) + epsilon);
                   normalize_row_f32(row, n, 0.0f, factor, scale.data<float>().data(), nullptr, y.data() + i * rows.n);
                 }
               });
  y.finish();
}

constexpr std::int64_t kBatchSince[] = {1, 6, 7, 9, 14, 15};
constexpr std::int64_t kInstanceSince[] = {1, 6, 22};
constexpr std::int64_t kLayerSince[] = {17};
constexpr std::int64_t kGroupSince[] = {18, 21};
constexpr std::int64_t kRmsSince[] = {23};
constexpr Op kOps[] = {
    {"BatchNormalization", "", kBatchSince, infer_batch, run_batch},
    {"InstanceNormalization", "", kInstanceSince, infer_like_input, run_instance},
    {"LayerNormalization", "", kLayerSince, infer_layer, run_layer},
    {"GroupNormalization", "", kGroupSince, infer_like_input, run_group},
    {"RMSNormalization", "", kRmsSince, infer_like_input, run_rms},
};

}  // namespace

extern const OpFamily normalization_family;
const OpFamily normalization_family{"normalization", kOps};

}  // namespace bitwright
