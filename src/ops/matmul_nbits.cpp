// ONNX Runtime's MatMulNBits: weights of 2, 4 or 8 bits in blocks along k.
#include <algorithm>

#include "ops/float_operands.h"
#include "ops/integer_operands.h"
#include "ops/matrix_product.h"
#include "ops/nbits_product.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

/// B holds for each of n columns `blocks` blobs of block_size codes, first code in the low bits.
struct NBitsPlan {
  std::int64_t k = 0, n = 0, bits = 4, block_size = 32, blocks = 0;
  std::int64_t blob_bytes() const { return block_size * bits / 8; }
};

NBitsPlan plan_nbits(const Node& node) {
  NBitsPlan plan{node.attr_i("K", 0), node.attr_i("N", 0), node.attr_i("bits", 4), node.attr_i("block_size", 32), 0};
  require(plan.k >= 1 && plan.n >= 1 && plan.k <= kMaxElements && plan.n <= kMaxElements, node, "K and N must be at least 1");
  require(plan.bits == 2 || plan.bits == 4 || plan.bits == 8, node, "bits must be 2, 4 or 8");
  const bool is_power = plan.block_size >= 16 && plan.block_size <= 65536 && (plan.block_size & (plan.block_size - 1)) == 0;
  require(is_power, node, "block_size must be a power of two from 16 on");
  plan.blocks = (plan.k + plan.block_size - 1) / plan.block_size;
  return plan;
}

// A, B, scales, zero_points, g_idx, bias
void infer_nbits(InferContext& context) {
  const NBitsPlan plan = plan_nbits(context.node());
  Shape output = context.shape(0);
  require_shape(!output.empty() && may_equal(output.back(), plan.k), context.node(), "the rows of A do not have K elements");
  output.back() = plan.n;
  context.set_output(0, context.dtype(0), output);
}

int code_at(std::span<const std::uint8_t> bytes, std::int64_t bits, std::int64_t i) {
  const std::int64_t at = i * bits;
  return (bytes[static_cast<std::size_t>(at / 8)] >> (at % 8)) & ((1 << bits) - 1);
}

/// Where each (column, block) has its zero point: packed codes, floats, or the middle of the range.
std::vector<float> zero_points(RunContext& context, const NBitsPlan& plan) {
  std::vector<float> zeros(static_cast<std::size_t>(plan.n * plan.blocks), static_cast<float>(1 << (plan.bits - 1)));
  if (!context.has_input(3)) return zeros;
  const Tensor& given = context.input(3);
  if (given.dtype() != DType::u8) {
    require_shape(given.n_elements() == plan.n * plan.blocks, context.node(), "there must be one zero point for each block");
    return float_values(given);
  }
  const std::int64_t row_bytes = (plan.blocks * plan.bits + 7) / 8;
  require_shape(given.n_elements() == plan.n * row_bytes, context.node(), "the zero points have the wrong size");
  for (std::int64_t column = 0; column < plan.n; ++column)
    for (std::int64_t block = 0; block < plan.blocks; ++block)
      zeros[static_cast<std::size_t>(column * plan.blocks + block)] =
          static_cast<float>(code_at(given.bytes().subspan(static_cast<std::size_t>(column * row_bytes)), plan.bits, block));
  return zeros;
}

/// The blocks' scales and zero points; checks the sizes of B and scales.
BlockValues block_values(RunContext& context, const NBitsPlan& plan) {
  const Node& node = context.node();
  const Tensor& codes = context.input(1);
  require_shape(codes.dtype() == DType::u8 && codes.n_elements() == plan.n * plan.blocks * plan.blob_bytes(), node,
                "B has the wrong size");
  BlockValues values{float_values(context.input(2)), zero_points(context, plan), plan.blocks, 1};
  require_shape(values.scales.size() == values.zeros.size(), node, "there must be one scale for each block");
  return values;
}

/// The weights as reals, [n, k].
Tensor dequantized(RunContext& context, const NBitsPlan& plan) {
  const Node& node = context.node();
  const Tensor& codes = context.input(1);
  const auto [scales, zeros, column_stride, block_stride] = block_values(context, plan);
  std::vector<std::int64_t> groups;
  if (context.has_input(4)) groups = to_i64_vector(context.input(4));
  require_shape(groups.empty() || static_cast<std::int64_t>(groups.size()) >= plan.k, node, "g_idx has the wrong size");
  for (const std::int64_t group : groups)
    require_shape(group >= 0 && group < plan.blocks, node, "g_idx names a block that is not there");
  Tensor weights(DType::f32, {plan.n, plan.k}, context.allocator());
  float* to = weights.data<float>().data();
  for (std::int64_t column = 0; column < plan.n; ++column) {
    const auto row = codes.bytes().subspan(static_cast<std::size_t>(column * plan.blocks * plan.blob_bytes()));
    for (std::int64_t p = 0; p < plan.k; ++p) {
      const std::int64_t block = groups.empty() ? p / plan.block_size : groups[static_cast<std::size_t>(p)];
      const auto s = static_cast<std::size_t>(column * plan.blocks + block);
      *to++ = (static_cast<float>(code_at(row, plan.bits, p)) - zeros[s]) * scales[s];
    }
  }
  return weights;
}

/// Level 4 allows the runtime to quantize A to 8 bits, block by block.
constexpr std::int64_t kInt8Level = 4;

bool is_int8(RunContext& context, const NBitsPlan& plan) {
  return !context.is_deterministic() && context.node().attr_i("accuracy_level", 0) == kInt8Level &&
         plan.block_size <= kMaxNBitsBlock && context.is_constant(1) && context.is_constant(2) &&
         (!context.has_input(3) || context.is_constant(3)) && !context.has_input(4);
}

const NBitsWeights& packed_weights(RunContext& context, const NBitsPlan& plan) {
  if (context.state() == nullptr) {
    const NBitsLayout layout{static_cast<int>(plan.bits), static_cast<std::ptrdiff_t>(plan.n),
                             static_cast<std::ptrdiff_t>(plan.k), static_cast<std::ptrdiff_t>(plan.block_size)};
    const StoredCodes codes{.bytes = context.input(1).bytes().data(),
                            .stored_bits = layout.bits,
                            .column_stride = static_cast<std::ptrdiff_t>(plan.blocks) * layout.block_size};
    context.state() = pack_nbits(layout, codes, block_values(context, plan));
  }
  return static_cast<const NBitsWeights&>(*context.state());
}

void run_nbits(RunContext& context) {
  const NBitsPlan plan = plan_nbits(context.node());
  const Tensor a = as_f32(context.input(0), context.allocator());
  const std::int64_t m = a.n_elements() / plan.k;
  const std::vector<float> bias = context.has_input(5) ? float_values(context.input(5)) : std::vector<float>{};
  require_shape(bias.empty() || static_cast<std::int64_t>(bias.size()) == plan.n, context.node(), "the bias must have N values");
  F32Output y(context, 0);
  if (is_int8(context, plan)) {
    multiply_nbits(a.data<float>().data(), m, packed_weights(context, plan), bias.empty() ? nullptr : bias.data(), y.data(),
                   context.allocator());
    return y.finish();
  }
  RightOperand fresh;
  const RightOperand* right = &fresh;
  if (context.state() == nullptr) {
    const Tensor weights = dequantized(context, plan);
    const bool is_kept = context.is_constant(1) && context.is_constant(2) && (!context.has_input(3) || context.is_constant(3)) &&
                         (!context.has_input(4) || context.is_constant(4));
    Allocator& allocator = is_kept ? heap_allocator() : context.allocator();
    fresh = right_operand(weights.data<float>().data(), 1, plan.k, plan.k, plan.n, kMaxElements, allocator);
    if (is_kept) {
      auto state = std::make_unique<PackedRight>();
      state->operand = fresh;
      context.state() = std::move(state);
    }
  } else {
    right = &static_cast<const PackedRight&>(*context.state()).operand;
  }
  multiply(a.data<float>().data(), plan.k, 1, m, *right, y.data(), bias.empty() ? nullptr : bias.data());
  y.finish();
}

constexpr std::int64_t kSince[] = {1};
constexpr Op kOps[] = {
    {"MatMulNBits", "com.microsoft", kSince, infer_nbits, run_nbits},
};

}  // namespace

extern const OpFamily matmul_nbits_family;
const OpFamily matmul_nbits_family{"matmul_nbits", kOps};

}  // namespace bitwright
