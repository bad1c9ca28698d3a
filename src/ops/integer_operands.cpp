#include "ops/integer_operands.h"

#include <algorithm>

#include "ops/float_operands.h"
#include "ops/matrix_product.h"
#include "ops/refusal.h"
#include "quant/quant_params.h"
#include "quant/rounding.h"
#include "tensor/elements.h"

namespace bitwright {

std::vector<float> float_values(const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  read_elements(tensor, 0, std::span<float>(values));
  return values;
}

std::vector<float> zero_points_of(RunContext& context, std::size_t input, DType codes) {
  const Tensor& zeros = context.input(input);
  if (zeros.dtype() != codes || !is_integer(codes) || dtype_bits(codes) > 16)
    refuse(context.node(), {"zero points of type ", dtype_name(zeros.dtype()), " for codes of type ", dtype_name(codes)});
  require_shape(zeros.n_elements() > 0, context.node(), "there are no zero points");
  return float_values(zeros);
}

float only_value(RunContext& context, std::size_t input) {
  require_shape(context.has_input(input) && context.input(input).n_elements() == 1, context.node(),
                "scales and zero points must be one value each");
  return float_values(context.input(input))[0];
}

std::vector<std::int64_t> bias_of_sums(RunContext& context, std::size_t input) {
  const Tensor& bias = context.input(input);
  if (bias.dtype() != DType::i32) refuse(context.node(), {"a bias of type ", dtype_name(bias.dtype()), "; int32 is needed"});
  return to_i64_vector(bias);
}

Tensor centered_codes(RunContext& context, std::size_t codes, std::size_t zero_point, std::int64_t axis) {
  const Node& node = context.node();
  const Tensor& stored = context.input(codes);
  const bool is_byte = stored.dtype() == DType::u8 || stored.dtype() == DType::i8;
  if (!is_byte) refuse(node, {"codes of type ", dtype_name(stored.dtype())}, ErrorCode::unsupported);
  Tensor values(DType::f32, stored.shape(), context.allocator());
  const std::span<float> out = values.data<float>();
  read_elements(stored, 0, out);
  if (!context.has_input(zero_point)) return values;
  const std::vector<float> zeros = zero_points_of(context, zero_point, stored.dtype());
  if (zeros.size() == 1) {
    for (float& value : out) value = value - zeros[0];
    return values;
  }
  require_shape(stored.rank() >= 1, node, "zero points of a scalar");
  const auto at = static_cast<std::size_t>(normalized_axis(axis, stored.rank()));
  std::size_t inner = 1;
  for (std::size_t i = at + 1; i < stored.rank(); ++i) inner *= static_cast<std::size_t>(stored.extent(i));
  const auto extent = static_cast<std::size_t>(stored.extent(at));
  const bool has_one_per_row = inner != 0 && zeros.size() == out.size() / inner;
  require_shape(zeros.size() == extent || has_one_per_row, node, "the zero points fit neither the tensor nor its axis");
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = out[i] - zeros[zeros.size() == extent ? i / inner % extent : i / inner];
  return values;
}

Tensor matmul_i32(const Node& node, const Tensor& a, const Tensor& b, Allocator& allocator) {
  const MatMulShape shape = matmul_shape(node, a.shape(), b.shape());
  Tensor c(DType::i32, shape.output, allocator);
  const std::vector<std::int64_t> offsets_a = batch_offsets(a.shape(), shape.batch),
                                  offsets_b = batch_offsets(b.shape(), shape.batch);
  for (std::size_t i = 0; i < offsets_a.size(); ++i) {
    const std::vector<RightOperand> right =
        pack_small_integers(b.data<float>().data() + offsets_b[i] * shape.k * shape.n, shape.k, shape.n, allocator);
    multiply_small_integers(a.data<float>().data() + offsets_a[i] * shape.m * shape.k, shape.m, right,
                            c.data<std::int32_t>().data() + static_cast<std::int64_t>(i) * shape.m * shape.n, allocator);
  }
  return c;
}

std::int32_t rounded_code(float steps, std::int32_t zero_point, DType dtype) {
  const CodeRange range = code_range(dtype);
  if (steps != steps) return zero_point;
  const double code = round_half_even(static_cast<double>(steps)) + zero_point;
  return static_cast<std::int32_t>(std::clamp(code, static_cast<double>(range.qmin), static_cast<double>(range.qmax)));
}

}  // namespace bitwright
