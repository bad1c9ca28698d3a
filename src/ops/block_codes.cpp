// ONNX Runtime's MatMulBnb4 (a weight of 4-bit numbers of levels) and GatherBlockQuantized (rows of a table of codes in blocks).
#include <algorithm>

#include "ops/float_operands.h"
#include "ops/integer_operands.h"
#include "ops/matrix_product.h"
#include "ops/refusal.h"
#include "quant/encodings/levels.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

/// The weight [N, K] row after row in blocks of block_size, two codes a byte, the first in the high half.
struct Bnb4Plan {
  std::int64_t k = 0, n = 0, block_size = 64;
  std::vector<float> levels;
};

Bnb4Plan plan_bnb4(const Node& node) {
  const std::int64_t type = node.attr_i("quant_type", 1);
  Bnb4Plan plan{node.attr_i("K", 0), node.attr_i("N", 0), node.attr_i("block_size", 0),
                level_table(type == 0 ? Encoding::fp4 : Encoding::nf4, 4).levels};
  require(plan.k >= 1 && plan.n >= 1 && plan.k <= kMaxElements && plan.n <= kMaxElements / plan.k, node,
          "K and N must be at least 1");
  require((type == 0 || type == 1) && plan.block_size >= 1 && node.attr_i("transB", 1) == 1, node,
          "quant_type must be 0 or 1, transB 1, and block_size positive");
  return plan;
}

// A, B, absmax
void infer_bnb4(InferContext& context) {
  const Bnb4Plan plan = plan_bnb4(context.node());
  Shape output = context.shape(0);
  require_shape(!output.empty() && may_equal(output.back(), plan.k), context.node(), "the rows of A do not have K elements");
  output.back() = plan.n;
  context.set_output(0, context.dtype(0), output);
}

/// The weight as reals, [n, k].
Tensor bnb4_weight(RunContext& context, const Bnb4Plan& plan, Allocator& allocator) {
  const std::int64_t n_codes = plan.k * plan.n;
  const Tensor& codes = context.input(1);
  const std::vector<float> scales = float_values(context.input(2));
  require_shape(codes.dtype() == DType::u8 && codes.n_elements() == (n_codes + 1) / 2 &&
                    static_cast<std::int64_t>(scales.size()) >= (n_codes + plan.block_size - 1) / plan.block_size,
                context.node(), "B or absmax has the wrong size");
  Tensor weights(DType::f32, {plan.n, plan.k}, allocator);
  float* to = weights.data<float>().data();
  for (std::int64_t i = 0; i < n_codes; ++i) {
    const int pair = codes.bytes()[static_cast<std::size_t>(i / 2)];
    to[i] = plan.levels[static_cast<std::size_t>(i % 2 == 0 ? pair >> 4 : pair & 15)] *
            scales[static_cast<std::size_t>(i / plan.block_size)];
  }
  return weights;
}

void run_bnb4(RunContext& context) {
  const Bnb4Plan plan = plan_bnb4(context.node());
  const Tensor a = as_f32(context.input(0), context.allocator());
  const bool is_kept = context.is_constant(1) && context.is_constant(2);
  Allocator& allocator = is_kept ? heap_allocator() : context.allocator();
  std::unique_ptr<OpState> fresh;
  std::unique_ptr<OpState>& state = is_kept ? context.state() : fresh;
  if (state == nullptr) {
    const Tensor weights = bnb4_weight(context, plan, context.allocator());
    auto packed = std::make_unique<PackedRight>();
    packed->operand = right_operand(weights.data<float>().data(), 1, plan.k, plan.k, plan.n, kMaxElements, allocator);
    state = std::move(packed);
  }
  F32Output y(context, 0);
  multiply(a.data<float>().data(), plan.k, 1, a.n_elements() / plan.k, static_cast<const PackedRight&>(*state).operand, y.data(),
           nullptr);
  y.finish();
}

/// Where the rows of codes lie. `packed` codes share a byte of a u8 tensor, along its last axis.
struct GatherPlan {
  std::size_t gather_axis = 0, quantize_axis = 0;
  std::int64_t block_size = 128, bits = 4, packed = 1;
  Shape data;  // unpacked
};

GatherPlan plan_gather(const Node& node, DType dtype, Shape data) {
  GatherPlan plan;
  plan.gather_axis = static_cast<std::size_t>(normalized_axis(node.attr_i("gather_axis", 0), data.size()));
  plan.quantize_axis = static_cast<std::size_t>(normalized_axis(node.attr_i("quantize_axis", 1), data.size()));
  plan.block_size = node.attr_i("block_size", 128);
  plan.bits = dtype == DType::u8 ? node.attr_i("bits", 4) : 4;
  require(plan.block_size >= 1 && (plan.bits == 2 || plan.bits == 4 || plan.bits == 8), node,
          "block_size must be positive and bits 2, 4 or 8");
  if (dtype == DType::u8) {
    require(plan.gather_axis == 0 && plan.quantize_axis + 1 == data.size() && data.size() >= 2, node,
            "codes in bytes are gathered from axis 0 and quantized along the last");
    plan.packed = 8 / plan.bits;
    if (data.back() >= 0) data.back() *= plan.packed;
  } else if (dtype != DType::undefined && dtype != DType::i4 && dtype != DType::u4) {
    refuse(node, {"codes of type ", dtype_name(dtype)}, ErrorCode::unsupported);
  }
  plan.data = std::move(data);
  return plan;
}

// data, indices, scales, zero_points
void infer_gather(InferContext& context) {
  const GatherPlan plan = plan_gather(context.node(), context.dtype(0), context.shape(0));
  const Shape& indices = context.shape(1);
  Shape output = plan.data;
  const auto at = output.begin() + static_cast<std::ptrdiff_t>(plan.gather_axis);
  output.insert(output.erase(at), indices.begin(), indices.end());
  context.set_output(0, context.dtype(2), output);
}

void run_gather(RunContext& context) {
  const Node& node = context.node();
  const Tensor &codes = context.input(0), &scales = context.input(2);
  const GatherPlan plan = plan_gather(node, codes.dtype(), codes.shape());
  const std::vector<std::int64_t> indices = to_i64_vector(context.input(1));
  Shape blocks = plan.data;
  blocks[plan.quantize_axis] = (blocks[plan.quantize_axis] + plan.block_size - 1) / plan.block_size;
  require_shape(scales.shape() == blocks, node, "there must be one scale for each block");
  const std::int64_t row_blocks = blocks.back();
  const bool is_byte = codes.dtype() == DType::u8;
  const bool has_zeros = context.has_input(3);
  const std::int64_t zero_row = is_byte ? (row_blocks + plan.packed - 1) / plan.packed : row_blocks;
  require_shape(!has_zeros || (context.input(3).dtype() == codes.dtype() &&
                               context.input(3).n_elements() * row_blocks == scales.n_elements() * zero_row),
                node, "the zero points have the wrong size");
  const std::vector<float> scale = float_values(scales);
  const auto code = [&](const Tensor& tensor, std::int64_t i, std::int64_t bits) -> std::int64_t {
    if (!is_byte) return element_i64(tensor, i);
    return (tensor.bytes()[static_cast<std::size_t>(i * bits / 8)] >> (i * bits % 8)) & ((1 << bits) - 1);
  };
  const auto zero_point = [&](std::int64_t s) -> std::int64_t {
    if (!has_zeros) return is_byte ? std::int64_t{1} << (plan.bits - 1) : 0;
    return is_byte ? code(context.input(3), s / row_blocks * zero_row * plan.packed + s % row_blocks, plan.bits)
                   : code(context.input(3), s, plan.bits);
  };
  const std::vector<std::int64_t> strides = row_major_strides(plan.data), scale_strides = row_major_strides(blocks);
  const std::int64_t extent = plan.data[plan.gather_axis], inner = strides[plan.gather_axis];
  const std::int64_t outer = extent * inner == 0 ? 0 : n_elements(plan.data) / (extent * inner);
  F32Output output(context, 0);
  float* to = output.data();
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t index : indices) {
      if (index < -extent || index >= extent) refuse(node, {"index ", index, " is out of range"}, ErrorCode::invalid_argument);
      const std::int64_t first = (o * extent + (index < 0 ? index + extent : index)) * inner;
      for (std::int64_t i = first; i < first + inner; ++i) {
        std::int64_t s = 0, rest = i;
        for (std::size_t axis = 0; axis < strides.size(); ++axis) {
          const std::int64_t at = rest / strides[axis];
          rest %= strides[axis];
          s += (axis == plan.quantize_axis ? at / plan.block_size : at) * scale_strides[axis];
        }
        *to++ = static_cast<float>(code(codes, i, plan.bits) - zero_point(s)) * scale[static_cast<std::size_t>(s)];
      }
    }
  output.finish();
}

constexpr std::int64_t kSince[] = {1};
constexpr Op kOps[] = {
    {"MatMulBnb4", "com.microsoft", kSince, infer_bnb4, run_bnb4},
    {"GatherBlockQuantized", "com.microsoft", kSince, infer_gather, run_gather},
};

}  // namespace

extern const OpFamily block_codes_family;
const OpFamily block_codes_family{"block_codes", kOps};

}  // namespace bitwright
