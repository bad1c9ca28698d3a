// MatMul by a constant of codes in blocks along k: what passes/fuse_float puts for DequantizeLinear and MatMul.
#include "ops/float_operands.h"
#include "ops/integer_operands.h"
#include "ops/matrix_product.h"
#include "ops/nbits_product.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

// Inputs: A, codes [k, n] (or [n, k], attribute transB), their scales and zero points with k cut into blocks, bias [n].
struct Extents {
  std::int64_t k, n;
};

bool is_transposed(const Node& node) { return node.attr_i("transB", 0) != 0; }

Extents extents_of(const Node& node, const Shape& codes) {
  return is_transposed(node) ? Extents{codes[1], codes[0]} : Extents{codes[0], codes[1]};
}

void infer_block_matmul(InferContext& context) {
  const auto [k, n] = extents_of(context.node(), context.shape(1));
  Shape output = context.shape(0);
  require_shape(!output.empty() && may_equal(output.back(), k), context.node(), "rows and columns differ in length");
  output.back() = n;
  context.set_output(0, context.dtype(0), output);
}

const NBitsWeights& packed(RunContext& context) {
  if (context.state() == nullptr) {
    const Node& node = context.node();
    const Tensor& codes = context.input(1);
    const auto [k, n] = extents_of(node, codes.shape());
    const auto block_size = node.attr_i("block_size", 0);
    const NBitsLayout layout{dtype_bits(codes.dtype()), static_cast<std::ptrdiff_t>(n), static_cast<std::ptrdiff_t>(k),
                             static_cast<std::ptrdiff_t>(block_size)};
    const bool is_signed = codes.dtype() == DType::i8 || codes.dtype() == DType::i4 || codes.dtype() == DType::i2;
    const int middle = 1 << (layout.bits - 1);
    const std::int64_t blocks = layout.n_blocks();
    BlockValues values{float_values(context.input(2)), {}, is_transposed(node) ? blocks : 1, is_transposed(node) ? 1 : n};
    if (context.has_input(3)) values.zeros = float_values(context.input(3));
    if (!is_signed && values.zeros.empty()) values.zeros.assign(values.scales.size(), 0.0f);
    if (is_signed)
      for (float& zero : values.zeros) zero = zero + static_cast<float>(middle);
    require_shape(static_cast<std::int64_t>(values.scales.size()) == n * blocks &&
                      (values.zeros.empty() || values.zeros.size() == values.scales.size()),
                  node, "there must be one scale and zero point for each block");
    const StoredCodes stored{.bytes = codes.bytes().data(),
                             .stored_bits = layout.bits,
                             .column_stride = static_cast<std::ptrdiff_t>(is_transposed(node) ? k : 1),
                             .k_stride = static_cast<std::ptrdiff_t>(is_transposed(node) ? 1 : n),
                             .flip = is_signed ? static_cast<std::uint32_t>(middle) : 0};
    context.state() = pack_nbits(layout, stored, values);
  }
  return static_cast<const NBitsWeights&>(*context.state());
}

void run_block_matmul(RunContext& context) {
  const NBitsWeights& weights = packed(context);
  const Tensor a = as_f32(context.input(0), context.allocator());
  const std::int64_t m = a.n_elements() / weights.layout.k;
  const std::vector<float> bias = context.has_input(4) ? float_values(context.input(4)) : std::vector<float>{};
  F32Output y(context, 0);
  multiply_nbits(a.data<float>().data(), m, weights, bias.empty() ? nullptr : bias.data(), y.data(), context.allocator());
  y.finish();
}

constexpr std::int64_t kSince[] = {1};
constexpr Op kOps[] = {{"BlockMatMul", kInternalDomain, kSince, infer_block_matmul, run_block_matmul}};

}  // namespace

extern const OpFamily block_matmul_family;
const OpFamily block_matmul_family{"block_matmul", kOps};

}  // namespace bitwright
