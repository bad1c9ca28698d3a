// MatMulInteger, QLinearMatMul, and ONNX Runtime's MatMulIntegerToFloat, DynamicQuantizeMatMul and QGemm.
#include <algorithm>

#include "ops/dynamic_codes.h"
#include "ops/float_operands.h"
#include "ops/integer_operands.h"
#include "ops/integer_product.h"
#include "ops/matrix_product.h"
#include "ops/refusal.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

/// One value, or one for each column.
float per_column(const std::vector<float>& values, std::size_t i, std::size_t n) {
  return values[values.size() == 1 ? 0 : i % n];
}
/// One value, or one for each row.
float per_row(const std::vector<float>& values, std::size_t i, std::size_t n) { return values[values.size() == 1 ? 0 : i / n]; }

void check_scales(const Node& node, const std::vector<float>& rows, const std::vector<float>& columns, std::size_t n_products,
                  std::size_t n) {
  require_shape((rows.size() == 1 || rows.size() * n == n_products) && (columns.size() == 1 || columns.size() == n), node,
                "scales are neither one nor one for each row or column");
}

std::size_t columns_of(const Tensor& b) { return b.rank() < 2 ? 1 : static_cast<std::size_t>(b.shape().back()); }

void infer_matmul_integer(InferContext& context) {
  context.set_output(0, DType::i32, matmul_shape(context.node(), context.shape(0), context.shape(1)).output);
}

/// The operands where integer kernels take them: `b` constant, one zero point on the left.
struct IntegerOperands {
  IntegerRight* b = nullptr;
  std::optional<UnsignedCodes> a;
  bool are_there() const { return b != nullptr && a.has_value(); }
};
IntegerOperands integer_operands(RunContext& context, std::size_t a, std::size_t a_zero, std::size_t b, std::size_t b_zero) {
  if (context.input(a).rank() < 2) return {};
  IntegerOperands operands{integer_right(context, b, b_zero), {}};
  if (operands.b != nullptr) operands.a = unsigned_codes(context, a, a_zero);
  return operands;
}

void run_matmul_integer(RunContext& context) {
  if (const IntegerOperands operands = integer_operands(context, 0, 2, 1, 3); operands.are_there())
    return multiply_i32(*operands.a, *operands.b, context.output(0).data<std::int32_t>().data());
  context.set_output(
      0, matmul_i32(context.node(), centered_codes(context, 0, 2, -2), centered_codes(context, 1, 3, -1), context.allocator()));
}

// Inputs: a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point.
void infer_qlinear_matmul(InferContext& context) {
  context.set_output(0, context.dtype(7), matmul_shape(context.node(), context.shape(0), context.shape(3)).output);
}

void run_qlinear_matmul(RunContext& context) {
  const Node& node = context.node();
  const Tensor sums = matmul_i32(node, centered_codes(context, 0, 2, -2), centered_codes(context, 3, 5, -1), context.allocator());
  const std::vector<float> a_scale = float_values(context.input(1)), b_scale = float_values(context.input(4));
  const std::vector<float> y_scale = float_values(context.input(6)),
                           y_zero = zero_points_of(context, 7, context.output(0).dtype());
  const std::size_t n = columns_of(context.input(3));
  const std::span<const std::int32_t> sum = sums.data<std::int32_t>();
  check_scales(node, a_scale, b_scale, sum.size(), n);
  check_scales(node, y_scale, {1.0f}, sum.size(), n);
  require_shape(y_zero.size() == y_scale.size(), node, "y_scale and y_zero_point differ in shape");
  Tensor& y = context.output(0);
  std::vector<std::int64_t> codes(sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const float multiplier = per_row(a_scale, i, n) * per_column(b_scale, i, n) / per_row(y_scale, i, n);
    codes[i] = rounded_code(static_cast<float>(sum[i]) * multiplier, static_cast<std::int32_t>(per_row(y_zero, i, n)), y.dtype());
  }
  write_elements(y, 0, std::span<const std::int64_t>(codes));
}

void scale_sums(RunContext& context, const Tensor& sums, const std::vector<float>& a_scale, const std::vector<float>& b_scale,
                std::size_t n, std::size_t bias_input) {
  const std::span<const std::int32_t> sum = sums.data<std::int32_t>();
  check_scales(context.node(), a_scale, b_scale, sum.size(), n);
  const std::vector<float> bias =
      context.has_input(bias_input) ? float_values(context.input(bias_input)) : std::vector<float>(n, 0.0f);
  require_shape(bias.size() == n, context.node(), "the bias must have one value for each column");
  F32Output y(context, 0);
  for (std::size_t i = 0; i < sum.size(); ++i)
    y.span()[i] = static_cast<float>(sum[i]) * (per_row(a_scale, i, n) * per_column(b_scale, i, n)) + bias[i % n];
  y.finish();
}

// MatMulIntegerToFloat: A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias.
void infer_to_float(InferContext& context) {
  context.set_output(0, context.dtype(2), matmul_shape(context.node(), context.shape(0), context.shape(1)).output);
}

/// The bias, or nothing.
std::vector<float> checked_bias(RunContext& context, std::size_t input, std::size_t n) {
  std::vector<float> bias;
  if (context.has_input(input)) bias = float_values(context.input(input));
  require_shape(bias.empty() || bias.size() == n, context.node(), "the bias must have one value for each column");
  return bias;
}

void run_to_float(RunContext& context) {
  if (context.input(2).n_elements() == 1)
    if (const IntegerOperands operands = integer_operands(context, 0, 4, 1, 5); operands.are_there()) {
      const std::size_t n = columns_of(context.input(1));
      const std::vector<float> b_scale = float_values(context.input(3));
      check_scales(context.node(), {1.0f}, b_scale, 1, n);
      F32Output y(context, 0);
      multiply_f32(*operands.a, *operands.b, only_value(context, 2), b_scale, checked_bias(context, 6, n), y.data());
      return y.finish();
    }
  const Tensor sums =
      matmul_i32(context.node(), centered_codes(context, 0, 4, -2), centered_codes(context, 1, 5, -1), context.allocator());
  scale_sums(context, sums, float_values(context.input(2)), float_values(context.input(3)), columns_of(context.input(1)), 6);
}

// DynamicQuantizeMatMul: A (float), B, b_scale, b_zero_point, bias.
void infer_dynamic(InferContext& context) {
  context.set_output(0, DType::f32, matmul_shape(context.node(), context.shape(0), context.shape(1)).output);
}

void run_dynamic(RunContext& context) {
  const DynamicCodes dynamic = quantize_dynamic(context.input(0), context.allocator());
  if (IntegerRight* const b = context.input(0).rank() < 2 ? nullptr : integer_right(context, 1, 3)) {
    const std::size_t n = columns_of(context.input(1));
    const std::vector<float> b_scale = float_values(context.input(2));
    check_scales(context.node(), {1.0f}, b_scale, 1, n);
    return multiply_f32({dynamic.codes, dynamic.zero_point}, *b, dynamic.scale, b_scale, checked_bias(context, 4, n),
                        context.output(0).data<float>().data());
  }
  Tensor a(DType::f32, context.input(0).shape(), context.allocator());
  const std::span<const std::uint8_t> codes = dynamic.codes.bytes();
  for (std::size_t i = 0; i < codes.size(); ++i) a.data<float>()[i] = static_cast<float>(codes[i] - dynamic.zero_point);
  const Tensor sums = matmul_i32(context.node(), a, centered_codes(context, 1, 3, -1), context.allocator());
  scale_sums(context, sums, {dynamic.scale}, float_values(context.input(2)), columns_of(context.input(1)), 4);
}

// QGemm: A, a_scale, a_zero_point, B, b_scale, b_zero_point, C (int32), y_scale, y_zero_point; float where the last two are left out.
struct QGemmShape {
  bool is_a_transposed, is_b_transposed;
  std::int64_t m, n;
};

QGemmShape qgemm_shape(const Node& node, const Shape& a, const Shape& b) {
  require_shape(a.size() == 2 && b.size() == 2, node, "QGemm takes two matrices");
  const bool ta = node.attr_i("transA", 0) != 0, tb = node.attr_i("transB", 0) != 0;
  require_shape(may_equal(a[ta ? 0 : 1], b[tb ? 1 : 0]), node, "rows and columns differ in length");
  return {ta, tb, a[ta ? 1 : 0], b[tb ? 0 : 1]};
}

void infer_qgemm(InferContext& context) {
  const QGemmShape shape = qgemm_shape(context.node(), context.shape(0), context.shape(3));
  context.set_output(0, context.has_input(8) ? context.dtype(8) : DType::f32, Shape{shape.m, shape.n});
}

Tensor transposed(const Tensor& x, Allocator& allocator) {
  Tensor y(DType::f32, {x.extent(1), x.extent(0)}, allocator);
  for (std::int64_t i = 0; i < x.extent(0); ++i)
    for (std::int64_t j = 0; j < x.extent(1); ++j)
      y.data<float>()[static_cast<std::size_t>(j * x.extent(0) + i)] =
          x.data<float>()[static_cast<std::size_t>(i * x.extent(1) + j)];
  return y;
}

void run_qgemm(RunContext& context) {
  const Node& node = context.node();
  const QGemmShape shape = qgemm_shape(node, context.input(0).shape(), context.input(3).shape());
  Tensor a = centered_codes(context, 0, 2, 0), b = centered_codes(context, 3, 5, shape.is_b_transposed ? 0 : 1);
  if (shape.is_a_transposed) a = transposed(a, context.allocator());
  if (shape.is_b_transposed) b = transposed(b, context.allocator());
  const Tensor sums = matmul_i32(node, a, b, context.allocator());
  const std::span<const std::int32_t> sum = sums.data<std::int32_t>();
  const auto n = static_cast<std::size_t>(shape.n);
  std::vector<std::int64_t> c(1, 0);
  if (context.has_input(6)) c = bias_of_sums(context, 6);
  require_shape(c.size() == 1 || c.size() == n || c.size() == sum.size(), node, "C does not fit the product");
  const float a_scale = only_value(context, 1) * node.attr_f("alpha", 1.0f);
  const std::vector<float> b_scale = float_values(context.input(4));
  check_scales(node, {a_scale}, b_scale, sum.size(), n);
  const bool is_quantized = context.has_input(8);
  const float y_scale = is_quantized ? only_value(context, 7) : 1.0f;
  const auto y_zero = is_quantized ? static_cast<std::int32_t>(zero_points_of(context, 8, context.output(0).dtype())[0]) : 0;
  Tensor& y = context.output(0);
  std::vector<float> reals(sum.size());
  std::vector<std::int64_t> codes(is_quantized ? sum.size() : 0);
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const auto with_c = static_cast<float>(sum[i] + c[c.size() == 1 ? 0 : c.size() == n ? i % n : i]);
    reals[i] = with_c * (a_scale * per_column(b_scale, i, n) / y_scale);
    if (is_quantized) codes[i] = rounded_code(reals[i], y_zero, y.dtype());
  }
  if (is_quantized) return write_elements(y, 0, std::span<const std::int64_t>(codes));
  write_elements(y, 0, std::span<const float>(reals));
}

constexpr std::int64_t kIntegerSince[] = {10};
constexpr std::int64_t kQLinearSince[] = {10, 21};
constexpr std::int64_t kMicrosoftSince[] = {1};
constexpr Op kOps[] = {
    {"MatMulInteger", "", kIntegerSince, infer_matmul_integer, run_matmul_integer},
    {"QLinearMatMul", "", kQLinearSince, infer_qlinear_matmul, run_qlinear_matmul},
    {"MatMulIntegerToFloat", "com.microsoft", kMicrosoftSince, infer_to_float, run_to_float},
    {"DynamicQuantizeMatMul", "com.microsoft", kMicrosoftSince, infer_dynamic, run_dynamic},
    {"QGemm", "com.microsoft", kMicrosoftSince, infer_qgemm, run_qgemm},
};

}  // namespace

extern const OpFamily integer_matmul_family;
const OpFamily integer_matmul_family{"integer_matmul", kOps};

}  // namespace bitwright
