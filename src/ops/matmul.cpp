// Matrix products: MatMul, Gemm, and ONNX Runtime's FusedMatMul.
#include <algorithm>

#include "base/parallel_for.h"
#include "ops/float_operands.h"
#include "ops/matrix_product.h"
#include "ops/refusal.h"
#include "tensor/elements.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

bool is_small_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

void infer_matmul(InferContext& context) {
  context.set_output(0, context.dtype(0), matmul_shape(context.node(), context.shape(0), context.shape(1)).output);
}

/// A view of the last two axes swapped.
struct Side {
  std::int64_t row_stride;
  std::int64_t column_stride;
};

void multiply_batches_f32(RunContext& context, const MatMulShape& shape, bool is_a_transposed, bool is_b_transposed,
                          float alpha) {
  const Tensor a = as_f32(context.input(0), context.allocator());
  const Tensor b = as_f32(context.input(1), context.allocator());
  const GemmF32Kernel kernel = choose_gemm_f32(context.is_deterministic());
  F32Output output(context, 0);
  const Side side_a = is_a_transposed ? Side{1, shape.m} : Side{shape.k, 1};
  const Side side_b = is_b_transposed ? Side{1, shape.k} : Side{shape.n, 1};
  const Shape batch_b = batch_of(context.input(1).shape());
  const float* b_data = b.data<float>().data();
  const float* a_data = a.data<float>().data();
  if (n_elements(batch_b) == 1) {
    RightOperand fresh;
    const RightOperand* right = &fresh;
    const std::int64_t n_batches = is_a_transposed ? n_elements(shape.batch) : 1;
    const std::int64_t m = is_a_transposed ? shape.m : n_elements(shape.batch) * shape.m;
    const auto* kept = static_cast<const PackedRight*>(context.state().get());
    if (kept != nullptr) {
      right = &kept->operand;
    } else if (context.is_constant(1)) {
      auto state = std::make_unique<PackedRight>();
      // Constants are packed whatever the first run's row count: later runs may have more rows.
      state->operand =
          right_operand(b_data, side_b.row_stride, side_b.column_stride, shape.k, shape.n, kMaxElements, heap_allocator());
      right = &state->operand;
      context.state() = std::move(state);
      kept = static_cast<const PackedRight*>(context.state().get());
    } else {
      fresh = right_operand(b_data, side_b.row_stride, side_b.column_stride, shape.k, shape.n, m, context.allocator());
    }
    for (std::int64_t i = 0; i < n_batches; ++i)
      multiply(a_data + i * shape.m * shape.k, side_a.row_stride, side_a.column_stride, m, *right,
               output.data() + i * m * shape.n, nullptr, kernel);
  } else {
    const std::vector<std::int64_t> offsets_a = batch_offsets(context.input(0).shape(), shape.batch),
                                    offsets_b = batch_offsets(context.input(1).shape(), shape.batch);
    for (std::size_t i = 0; i < offsets_a.size(); ++i) {
      const RightOperand right = right_operand(b_data + offsets_b[i] * shape.k * shape.n, side_b.row_stride, side_b.column_stride,
                                               shape.k, shape.n, shape.m, context.allocator());
      multiply(a_data + offsets_a[i] * shape.m * shape.k, side_a.row_stride, side_a.column_stride, shape.m, right,
               output.data() + static_cast<std::int64_t>(i) * shape.m * shape.n, nullptr, kernel);
    }
  }
  if (alpha != 1.0f)
    for (float& value : output.span()) value = value * alpha;
  output.finish();
}

template <typename Wide, typename Unsigned>
void multiply_batches_plain(RunContext& context, const MatMulShape& shape) {
  std::vector<Wide> a(static_cast<std::size_t>(context.input(0).n_elements())),
      b(static_cast<std::size_t>(context.input(1).n_elements()));
  read_elements(context.input(0), 0, std::span<Wide>(a));
  read_elements(context.input(1), 0, std::span<Wide>(b));
  const std::vector<std::int64_t> offsets_a = batch_offsets(context.input(0).shape(), shape.batch);
  const std::vector<std::int64_t> offsets_b = batch_offsets(context.input(1).shape(), shape.batch);
  std::vector<Wide> c(static_cast<std::size_t>(shape.m * shape.n));
  for (std::size_t i = 0; i < offsets_a.size(); ++i) {
    multiply_plain(reinterpret_cast<const Unsigned*>(a.data()) + offsets_a[i] * shape.m * shape.k,
                   reinterpret_cast<const Unsigned*>(b.data()) + offsets_b[i] * shape.k * shape.n,
                   reinterpret_cast<Unsigned*>(c.data()), shape.m, shape.n, shape.k);
    write_elements(context.output(0), static_cast<std::int64_t>(i) * shape.m * shape.n, std::span<const Wide>(c));
  }
}

void run_matmul(RunContext& context) {
  const MatMulShape shape = matmul_shape(context.node(), context.input(0).shape(), context.input(1).shape());
  const DType dtype = context.input(0).dtype();
  if (is_small_float(dtype)) return multiply_batches_f32(context, shape, false, false, 1.0f);
  if (dtype == DType::f64) return multiply_batches_plain<double, double>(context, shape);
  multiply_batches_plain<std::int64_t, std::uint64_t>(context, shape);
}

Shape swapped(Shape shape, bool is_transposed) {
  if (is_transposed && shape.size() >= 2) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

MatMulShape fused_shape(const Node& node, const Shape& a, const Shape& b) {
  if (node.attr_i("transBatchA", 0) != 0 || node.attr_i("transBatchB", 0) != 0)
    refuse(node, "transposed batch axes; run the model without ONNX Runtime's graph optimization", ErrorCode::unsupported);
  return matmul_shape(node, swapped(a, node.attr_i("transA", 0) != 0), swapped(b, node.attr_i("transB", 0) != 0));
}

void infer_fused_matmul(InferContext& context) {
  context.set_output(0, context.dtype(0), fused_shape(context.node(), context.shape(0), context.shape(1)).output);
}

void run_fused_matmul(RunContext& context) {
  const Node& node = context.node();
  const MatMulShape shape = fused_shape(node, context.input(0).shape(), context.input(1).shape());
  const bool is_a_transposed = node.attr_i("transA", 0) != 0 && context.input(0).rank() >= 2;
  const bool is_b_transposed = node.attr_i("transB", 0) != 0 && context.input(1).rank() >= 2;
  if (is_a_transposed && n_elements(batch_of(context.input(0).shape())) != n_elements(shape.batch))
    refuse(node, "a transposed left operand that is broadcast", ErrorCode::unsupported);
  multiply_batches_f32(context, shape, is_a_transposed, is_b_transposed, node.attr_f("alpha", 1.0f));
}

struct GemmShape {
  std::int64_t m, n, k;
  bool is_a_transposed, is_b_transposed;
};

GemmShape gemm_shape(const Node& node, const Shape& a, const Shape& b) {
  require_shape(a.size() == 2 && b.size() == 2, node, "Gemm takes two matrices");
  const bool ta = node.attr_i("transA", 0) != 0, tb = node.attr_i("transB", 0) != 0;
  const std::int64_t k_a = ta ? a[0] : a[1], k_b = tb ? b[1] : b[0];
  if (!may_equal(k_a, k_b)) refuse(node, {"rows of ", k_a, " against columns of ", k_b, " elements"}, ErrorCode::shape_mismatch);
  return {ta ? a[1] : a[0], tb ? b[0] : b[1], k_a < 0 ? k_b : k_a, ta, tb};
}

void infer_gemm(InferContext& context) {
  const GemmShape shape = gemm_shape(context.node(), context.shape(0), context.shape(1));
  const Shape output{shape.m, shape.n};
  if (context.has_shape(2) && is_known(context.shape(2)) && is_known(output))
    require_shape(broadcast(context.shape(2), output) == output, context.node(), "C does not broadcast to the product");
  context.set_output(0, context.dtype(0), output);
}

/// y = alpha y + beta C
template <typename T>
void add_scaled(std::span<T> y, T alpha, T beta, const T* c, const Shape& c_shape, const Shape& shape) {
  const std::vector<std::int64_t> strides = c == nullptr ? std::vector<std::int64_t>{0, 0} : broadcast_strides(c_shape, shape);
  parallel_for(shape[0], std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(shape[1], 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i)
                   for (std::int64_t j = 0; j < shape[1]; ++j) {
                     T& value = y[static_cast<std::size_t>(i * shape[1] + j)];
                     value = alpha * value;
                     if (c != nullptr) value += beta * c[i * strides[0] + j * strides[1]];
                   }
               });
}

/// All elements; those of a matrix column by column where it is transposed.
std::vector<double> doubles_of(const Tensor& tensor, bool is_transposed) {
  std::vector<double> values(static_cast<std::size_t>(tensor.n_elements()));
  read_elements(tensor, 0, std::span<double>(values));
  if (!is_transposed) return values;
  std::vector<double> turned;
  turned.reserve(values.size());
  const auto n_rows = static_cast<std::size_t>(tensor.extent(0)), n_columns = static_cast<std::size_t>(tensor.extent(1));
  for (std::size_t j = 0; j < n_columns; ++j)
    for (std::size_t i = 0; i < n_rows; ++i) turned.push_back(values[i * n_columns + j]);
  return turned;
}

void run_gemm_f64(RunContext& context, const GemmShape& shape) {
  const Node& node = context.node();
  const std::vector<double> a = doubles_of(context.input(0), shape.is_a_transposed);
  const std::vector<double> b = doubles_of(context.input(1), shape.is_b_transposed);
  const double beta = static_cast<double>(node.attr_f("beta", 1.0f));
  const bool has_c = context.has_input(2) && beta != 0.0;
  const std::vector<double> c = has_c ? doubles_of(context.input(2), false) : std::vector<double>{};
  const std::span<double> y = context.output(0).data<double>();
  multiply_plain(a.data(), b.data(), y.data(), shape.m, shape.n, shape.k);
  add_scaled<double>(y, static_cast<double>(node.attr_f("alpha", 1.0f)), beta, has_c ? c.data() : nullptr,
                     has_c ? context.input(2).shape() : Shape{}, context.output(0).shape());
}

void run_gemm(RunContext& context) {
  const Node& node = context.node();
  const GemmShape shape = gemm_shape(node, context.input(0).shape(), context.input(1).shape());
  const DType dtype = context.input(0).dtype();
  if (dtype == DType::f64) return run_gemm_f64(context, shape);
  if (!is_small_float(dtype)) refuse(node, {"element type ", dtype_name(dtype)}, ErrorCode::unsupported);
  const float alpha = node.attr_f("alpha", 1.0f), beta = node.attr_f("beta", 1.0f);
  const Tensor a = as_f32(context.input(0), context.allocator());
  const std::int64_t k_stride = shape.is_b_transposed ? 1 : shape.n, column_stride = shape.is_b_transposed ? shape.k : 1;
  F32Output output(context, 0);

  RightOperand fresh;
  const RightOperand* right = &fresh;
  if (context.state() == nullptr) {
    const Tensor b = as_f32(context.input(1), context.allocator());
    if (context.is_constant(1)) {
      auto state = std::make_unique<PackedRight>();
      state->operand =
          right_operand(b.data<float>().data(), k_stride, column_stride, shape.k, shape.n, kMaxElements, heap_allocator());
      context.state() = std::move(state);
    } else {
      fresh = right_operand(b.data<float>().data(), k_stride, column_stride, shape.k, shape.n, shape.m, context.allocator());
      if (!fresh.storage.is_defined()) fresh.storage = b;
    }
  }
  if (context.state() != nullptr) right = &static_cast<const PackedRight*>(context.state().get())->operand;

  const bool has_c = context.has_input(2) && beta != 0.0f;
  const Tensor c = has_c ? as_f32(context.input(2), context.allocator()) : Tensor();
  const bool is_bias =
      has_c && alpha == 1.0f && beta == 1.0f && c.n_elements() == shape.n && c.rank() >= 1 && c.shape().back() == shape.n;
  const std::int64_t a_row_stride = shape.is_a_transposed ? 1 : shape.k, a_k_stride = shape.is_a_transposed ? shape.m : 1;
  multiply(a.data<float>().data(), a_row_stride, a_k_stride, shape.m, *right, output.data(),
           is_bias ? c.data<float>().data() : nullptr, choose_gemm_f32(context.is_deterministic()));
  if ((has_c && !is_bias) || alpha != 1.0f)
    add_scaled<float>(output.span(), alpha, beta, has_c ? c.data<float>().data() : nullptr, has_c ? c.shape() : Shape{},
                      output.shape());
  output.finish();
}

constexpr std::int64_t kMatMulSince[] = {1, 9, 13};
constexpr std::int64_t kGemmSince[] = {1, 6, 7, 9, 11, 13};
constexpr std::int64_t kMicrosoftSince[] = {1};
constexpr Op kOps[] = {
    {"MatMul", "", kMatMulSince, infer_matmul, run_matmul},
    {"Gemm", "", kGemmSince, infer_gemm, run_gemm},
    {"FusedMatMul", "com.microsoft", kMicrosoftSince, infer_fused_matmul, run_fused_matmul},
};

}  // namespace

extern const OpFamily matmul_family;
const OpFamily matmul_family{"matmul", kOps};

}  // namespace bitwright
