// ONNX Runtime's operators between codes: QLinearAdd, Mul, Sigmoid, LeakyRelu, AveragePool, GlobalAveragePool, Concat, Softmax, Where.
// Each is the float operator between a dequantization and a quantization.
#include <algorithm>

#include "base/math.h"
#include "kernels/reduce_f32/reduce_f32.h"
#include "kernels/softmax_f32/softmax_f32.h"
#include "ops/channels_last.h"
#include "ops/float_operands.h"
#include "ops/integer_operands.h"
#include "ops/pooling.h"
#include "ops/refusal.h"
#include "quant/quantize.h"
#include "tensor/elements.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

QuantParams params_at(RunContext& context, std::size_t scale, DType dtype) {
  QuantParams params;
  params.dtype = dtype;
  params.range = code_range(dtype);
  params.scales = {only_value(context, scale)};
  params.zero_points = {0};
  if (context.has_input(scale + 1)) {
    only_value(context, scale + 1);
    params.zero_points = {static_cast<std::int32_t>(zero_points_of(context, scale + 1, dtype)[0])};
  }
  return params;
}

/// Input `codes` as reals; its scale and zero point are inputs `scale` and `scale` + 1.
Tensor reals_of(RunContext& context, std::size_t codes, std::size_t scale) {
  const Tensor& x = context.input(codes);
  Tensor reals(DType::f32, x.shape(), context.allocator());
  dequantize(x.bytes(), x.shape(), params_at(context, scale, x.dtype()), reals.data<float>());
  return reals;
}

void write_codes(RunContext& context, const Tensor& reals, std::size_t scale) {
  Tensor& y = context.output(0);
  quantize(reals.data<float>(), reals.shape(), params_at(context, scale, y.dtype()), y.bytes());
}

// a, a_scale, a_zero_point, b, b_scale, b_zero_point, c_scale, c_zero_point
void infer_binary(InferContext& context) {
  context.set_output(0, context.dtype(0), broadcast(context.shape(0), context.shape(3)));
}

template <typename Apply>
void run_binary(RunContext& context, Apply apply) {
  const Tensor a = reals_of(context, 0, 1), b = reals_of(context, 3, 4);
  const Shape shape = broadcast(a.shape(), b.shape());
  Tensor c(DType::f32, shape, context.allocator());
  const std::vector<std::int64_t> strides[] = {broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape)};
  const float *from_a = a.data<float>().data(), *from_b = b.data<float>().data();
  float* to = c.data<float>().data();
  for (StridedWalk walk(shape, strides); walk.has_run(); walk.advance())
    for (std::int64_t i = 0; i < walk.n_in_run(); ++i)
      *to++ = apply(from_a[walk.offset(0) + i * walk.run_stride(0)], from_b[walk.offset(1) + i * walk.run_stride(1)]);
  write_codes(context, c, 6);
}

void run_add(RunContext& context) {
  run_binary(context, [](float a, float b) { return a + b; });
}
void run_mul(RunContext& context) {
  run_binary(context, [](float a, float b) { return a * b; });
}

// condition, x, x_scale, x_zero_point, y, y_scale, y_zero_point, z_scale, z_zero_point
void infer_where(InferContext& context) {
  context.set_output(0, context.dtype(1), broadcast(context.shape(0), broadcast(context.shape(1), context.shape(4))));
}

void run_where(RunContext& context) {
  const Tensor x = reals_of(context, 1, 2), y = reals_of(context, 4, 5);
  const Tensor& condition = context.input(0);
  const Shape shape = context.output(0).shape();
  Tensor z(DType::f32, shape, context.allocator());
  const std::vector<std::int64_t> strides[] = {broadcast_strides(condition.shape(), shape), broadcast_strides(x.shape(), shape),
                                               broadcast_strides(y.shape(), shape)};
  float* to = z.data<float>().data();
  for (StridedWalk walk(shape, strides); walk.has_run(); walk.advance())
    for (std::int64_t i = 0; i < walk.n_in_run(); ++i) {
      const auto at = [&](std::size_t k) { return static_cast<std::size_t>(walk.offset(k) + i * walk.run_stride(k)); };
      *to++ = condition.data<bool>()[at(0)] ? x.data<float>()[at(1)] : y.data<float>()[at(2)];
    }
  write_codes(context, z, 7);
}

// x, x_scale, x_zero_point, y_scale, y_zero_point
void infer_unary(InferContext& context) { context.set_output(0, context.dtype(0), context.input(0).shape); }

void run_sigmoid(RunContext& context) {
  Tensor x = reals_of(context, 0, 1);
  for (float& value : x.data<float>()) value = sigmoid(value);
  write_codes(context, x, 3);
}

void run_leaky_relu(RunContext& context) {
  Tensor x = reals_of(context, 0, 1);
  const float alpha = context.node().attr_f("alpha", 0.01f);
  for (float& value : x.data<float>()) value = value < 0.0f ? alpha * value : value;
  write_codes(context, x, 3);
}

bool is_channels_last(const Node& node) { return node.attr_i("channels_last", 0) != 0; }

/// [n, channels, plane], or [n, plane, channels] with channels_last.
Shape pooled_shape(const Node& node, Shape shape) {
  require_shape(shape.size() >= 3, node, "the input has no spatial axes");
  if (is_channels_last(node)) {
    std::fill(shape.begin() + 1, shape.end() - 1, 1);
  } else {
    std::fill(shape.begin() + 2, shape.end(), 1);
  }
  return shape;
}

void infer_global_average(InferContext& context) {
  context.set_output(0, context.dtype(0), pooled_shape(context.node(), context.shape(0)));
}

void run_global_average(RunContext& context) {
  const Tensor x = reals_of(context, 0, 1);
  Tensor y(DType::f32, pooled_shape(context.node(), x.shape()), context.allocator());
  const bool is_last = is_channels_last(context.node());
  const std::int64_t channels = is_last ? x.shape().back() : x.extent(1), planes = y.n_elements();
  const std::int64_t plane = planes == 0 ? 0 : x.n_elements() / planes;
  std::vector<float> column(static_cast<std::size_t>(plane));
  for (std::int64_t p = 0; p < planes; ++p) {
    const float* from = x.data<float>().data() + (is_last ? p / channels * plane * channels + p % channels : p * plane);
    for (std::int64_t i = 0; i < plane; ++i) column[static_cast<std::size_t>(i)] = from[is_last ? i * channels : i];
    y.data<float>()[static_cast<std::size_t>(p)] =
        sum_f32(column.data(), static_cast<std::ptrdiff_t>(plane)) / static_cast<float>(plane);
  }
  write_codes(context, y, 3);
}

void infer_average(InferContext& context) {
  const Node& node = context.node();
  const Shape& x = context.shape(0);
  require_shape(x.size() >= 3, node, "the input has no spatial axes");
  context.set_output(
      0, context.dtype(0),
      is_channels_last(node) ? channels_last(window_pooled_shape(node, channels_first(x))) : window_pooled_shape(node, x));
}

void run_average(RunContext& context) {
  const Node& node = context.node();
  Tensor x = reals_of(context, 0, 1);
  if (is_channels_last(node)) x = channels_first(x, context.allocator());
  Tensor y(DType::f32, window_pooled_shape(node, x.shape()), context.allocator());
  average_pool(node, x, y.data<float>().data());
  write_codes(context, is_channels_last(node) ? channels_last(y, context.allocator()) : y, 3);
}

void run_softmax(RunContext& context) {
  const Node& node = context.node();
  Tensor x = reals_of(context, 0, 1);
  // `opset` says which definition of Softmax is meant: before 13 all axes from the given one are one.
  const bool is_flat = node.attr_i("opset", 13) < 13;
  const auto axis = static_cast<std::size_t>(normalized_axis(node.attr_i("axis", -1), x.rank()));
  std::int64_t n = 1, inner = 1;
  for (std::size_t i = axis; i < x.rank(); ++i) (is_flat || i == axis ? n : inner) *= x.extent(i);
  for (std::int64_t first = 0; first < x.n_elements(); first += n * inner) {
    float* values = x.data<float>().data() + first;
    softmax_f32__simd128({.n = static_cast<std::ptrdiff_t>(n),
                          .stride = static_cast<std::ptrdiff_t>(inner),
                          .columns = static_cast<std::ptrdiff_t>(inner),
                          .is_log = false,
                          .x = values,
                          .y = values});
  }
  write_codes(context, x, 3);
}

// y_scale, y_zero_point, then tensor, scale, zero_point of each part
void infer_concat(InferContext& context) {
  const Node& node = context.node();
  require(context.n_inputs() >= 5 && (context.n_inputs() - 2) % 3 == 0, node,
          "inputs must be a scale, a zero point, and three for each part");
  Shape output = context.shape(2);
  const auto axis = static_cast<std::size_t>(normalized_axis(node.attr_i("axis", 0), output.size()));
  for (std::size_t i = 5; i < context.n_inputs(); i += 3) {
    const Shape& part = context.shape(i);
    require_shape(part.size() == output.size(), node, "the parts differ in rank");
    for (std::size_t a = 0; a < part.size(); ++a) {
      if (a == axis) {
        output[a] = output[a] < 0 || part[a] < 0 ? kUnknownDim : output[a] + part[a];
      } else {
        require_shape(may_equal(output[a], part[a]), node, "the parts differ in extent");
      }
    }
  }
  context.set_output(0, context.dtype(1), output);
}

void run_concat(RunContext& context) {
  const Shape shape = context.output(0).shape();
  const auto axis = static_cast<std::size_t>(normalized_axis(context.node().attr_i("axis", 0), shape.size()));
  Tensor y(DType::f32, shape, context.allocator());
  const std::vector<std::int64_t> strides = row_major_strides(shape);
  std::int64_t at = 0;
  for (std::size_t i = 2; i < context.n_inputs(); i += 3) {
    const Tensor part = reals_of(context, i, i + 1);
    strided_copy(sizeof(float), part.shape(), part.bytes().data(), row_major_strides(part.shape()),
                 y.bytes().data() + static_cast<std::size_t>(at * strides[axis]) * sizeof(float), strides);
    at += part.extent(axis);
  }
  write_codes(context, y, 0);
}

constexpr std::int64_t kSince[] = {1};
constexpr Op kOps[] = {
    {"QLinearAdd", "com.microsoft", kSince, infer_binary, run_add},
    {"QLinearMul", "com.microsoft", kSince, infer_binary, run_mul},
    {"QLinearSigmoid", "com.microsoft", kSince, infer_unary, run_sigmoid},
    {"QLinearLeakyRelu", "com.microsoft", kSince, infer_unary, run_leaky_relu},
    {"QLinearAveragePool", "com.microsoft", kSince, infer_average, run_average},
    {"QLinearGlobalAveragePool", "com.microsoft", kSince, infer_global_average, run_global_average},
    {"QLinearSoftmax", "com.microsoft", kSince, infer_unary, run_softmax},
    {"QLinearConcat", "com.microsoft", kSince, infer_concat, run_concat},
    {"QLinearWhere", "com.microsoft", kSince, infer_where, run_where},
};

}  // namespace

extern const OpFamily qlinear_family;
const OpFamily qlinear_family{"qlinear", kOps};

}  // namespace bitwright
