// Add, Mul, Lookup, Concat and pools on codes.
#include <algorithm>
#include <cstring>

#include "kernels/binary_u8/binary_u8.h"
#include "kernels/lookup_u8/lookup_u8.h"
#include "kernels/pool_u8/pool_u8.h"
#include "ops/conv_plan.h"
#include "ops/fused.h"
#include "ops/refusal.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

void infer_binary(InferContext& context) {
  require_type(context, 0);
  require_type(context, 1);
  context.set_output(0, DType::u8, broadcast(context.shape(0), context.shape(1)));
}

/// Rows of the kernel, at places of a, b and y that no single stride can say.
struct BinaryCall {
  struct Block {
    std::ptrdiff_t a, b, y;
  };
  BinaryU8 args;
  BinaryU8Kernel kernel = nullptr;
  std::vector<Block> blocks;
  void run() const {
    for (const Block& block : blocks) {
      BinaryU8 moved = args;
      moved.a += block.a;
      moved.b += block.b;
      moved.y += block.y;
      binary_u8_blocked(moved, kernel);
    }
  }
};

PreparedCall prepare_binary(RunContext& context) {
  const Node& node = context.node();
  const bool is_add = node.op_type == "Add";
  const Arithmetic arithmetic = arithmetic_of(node);
  const CodeParams a = code_params(node, 'a'), b = code_params(node, 'b'), y = code_params(node, 'y');
  auto call = std::make_shared<BinaryCall>();
  BinaryU8& args = call->args;
  args.a_zero_point = a.zero_point;
  args.b_zero_point = b.zero_point;
  args.y_zero_point = y.zero_point;
  args.a_scale = a.scale;
  args.b_scale = b.scale;
  args.y_scale = y.scale;
  args.qmin = static_cast<std::int32_t>(node.attr_i("qmin", 0));
  args.qmax = static_cast<std::int32_t>(node.attr_i("qmax", 255));
  if (arithmetic == Arithmetic::integer_only) {
    const double y_scale = y.scale;
    bool is_said = false;
    if (is_add) {
      is_said = set_add_multipliers(args, a.scale / y_scale, b.scale / y_scale);
    } else if (const auto fixed = fixed_point(std::vector<double>{static_cast<double>(a.scale) * b.scale / y_scale})) {
      args.a_multiplier = fixed->multipliers[0];
      args.left_shift = fixed->left_shift;
      is_said = true;
    }
    if (!is_said)
      refuse(node, "its scales cannot be said in fixed point; use arithmetic 'fast' or exclude it", ErrorCode::unsupported);
  }
  const Tensor &a_codes = context.input(0), &b_codes = context.input(1);
  Tensor& y_codes = context.output(0);
  args.a = a_codes.bytes().data();
  args.b = b_codes.bytes().data();
  args.y = y_codes.bytes().data();
  // Runs of the walk become blocks of one row each; equal strides from run to run become one block of many rows.
  const Shape& shape = y_codes.shape();
  const std::vector<std::int64_t> strides[] = {broadcast_strides(a_codes.shape(), shape),
                                               broadcast_strides(b_codes.shape(), shape)};
  std::ptrdiff_t at = 0;
  for (StridedWalk walk(shape, strides); walk.has_run(); walk.advance()) {
    const auto step = [&](std::size_t i) { return static_cast<std::ptrdiff_t>(walk.run_stride(i)); };
    args.n = static_cast<std::ptrdiff_t>(walk.n_in_run());
    args.a_step = step(0) == 0 ? 0 : 1;
    args.b_step = step(1) == 0 ? 0 : 1;
    call->blocks.push_back({static_cast<std::ptrdiff_t>(walk.offset(0)), static_cast<std::ptrdiff_t>(walk.offset(1)), at});
    at += args.n;
  }
  const auto& blocks = call->blocks;
  if (blocks.size() > 1) {
    const std::ptrdiff_t a_stride = blocks[1].a - blocks[0].a, b_stride = blocks[1].b - blocks[0].b;
    bool is_regular = true;
    for (std::size_t i = 1; i < blocks.size(); ++i)
      is_regular = is_regular && blocks[i].a - blocks[i - 1].a == a_stride && blocks[i].b - blocks[i - 1].b == b_stride;
    if (is_regular) {
      args.rows = static_cast<std::ptrdiff_t>(blocks.size());
      args.a_row_stride = a_stride;
      args.b_row_stride = b_stride;
      args.y_row_stride = args.n;
      call->blocks.erase(call->blocks.begin() + 1, call->blocks.end());
    }
  } else if (blocks.size() == 1 && args.a_step == 1 && args.b_step == 1) {
    // One long row: threads share rows, so it is cut.
    constexpr std::ptrdiff_t kRow = 1 << 12;
    if (args.n > kRow && args.n % kRow == 0) {
      args.rows = args.n / kRow;
      args.n = args.a_row_stride = args.b_row_stride = args.y_row_stride = kRow;
    }
  }
  call->kernel = choose_binary_u8(is_add ? BinaryOperation::add : BinaryOperation::mul, arithmetic);
  std::string name;
  for (const BinaryU8Variant& variant : binary_u8_variants())
    if (variant.run == call->kernel) name = variant.name;
  return prepared<BinaryCall>(std::move(call), std::move(name));
}

// Lookup: x, table [256].
void infer_lookup(InferContext& context) {
  require_type(context, 0);
  require_type(context, 1);
  context.set_output(0, DType::u8, context.input(0).shape);
}

struct LookupCall {
  LookupU8 lookup;
  void run() const { lookup_u8_blocked(lookup); }
};

PreparedCall prepare_lookup(RunContext& context) {
  require_shape(context.input(1).size_bytes() == 256, context.node(), "the table must have 256 codes");
  auto call = std::make_shared<LookupCall>();
  const auto n = static_cast<std::ptrdiff_t>(context.input(0).n_elements());
  constexpr std::ptrdiff_t kRow = 1 << 12;
  const std::ptrdiff_t row = n > kRow && n % kRow == 0 ? kRow : n;
  call->lookup = {.rows = row == 0 ? 0 : n / row,
                  .n = row,
                  .x = context.input(0).bytes().data(),
                  .y = context.output(0).bytes().data(),
                  .x_row_stride = row,
                  .y_row_stride = row,
                  .table = context.input(1).bytes().data()};
  return prepared<LookupCall>(std::move(call), "lookup_u8");
}

// Concat: the parts, then a table for each ("" where the codes stay).
std::size_t n_parts(const Node& node) { return node.inputs.size() / 2; }

void infer_concat(InferContext& context) {
  for (std::size_t i = 0; i < context.n_inputs(); ++i) require_type(context, i);
  const Node& node = context.node();
  Shape output = context.shape(0);
  const auto axis = static_cast<std::size_t>(normalized_axis(node.attr_i("axis", 0), output.size()));
  for (std::size_t i = 1; i < n_parts(node); ++i) {
    const Shape& part = context.shape(i);
    require_shape(part.size() == output.size(), node, "the parts differ in rank");
    for (std::size_t a = 0; a < part.size(); ++a)
      if (a != axis) require_shape(may_equal(output[a], part[a]), node, "the parts differ in extent");
    output[axis] = output[axis] < 0 || part[axis] < 0 ? kUnknownDim : output[axis] + part[axis];
  }
  context.set_output(0, DType::u8, output);
}

struct ConcatCall {
  std::vector<LookupU8> parts;  // without a table: copied
  void run() const {
    for (const LookupU8& part : parts) {
      if (part.table != nullptr) {
        lookup_u8_blocked(part);
        continue;
      }
      for (std::ptrdiff_t row = 0; row < part.rows; ++row)
        std::memcpy(part.y + row * part.y_row_stride, part.x + row * part.x_row_stride, static_cast<std::size_t>(part.n));
    }
  }
};

PreparedCall prepare_concat(RunContext& context) {
  const Node& node = context.node();
  Tensor& y = context.output(0);
  auto call = std::make_shared<ConcatCall>();
  const auto axis = static_cast<std::size_t>(normalized_axis(node.attr_i("axis", 0), y.rank()));
  std::ptrdiff_t inner = 1, rows = 1, at = 0;
  for (std::size_t a = 0; a < y.rank(); ++a) (a < axis ? rows : inner) *= static_cast<std::ptrdiff_t>(y.extent(a));
  for (std::size_t i = 0; i < n_parts(node); ++i) {
    const Tensor& x = context.input(i);
    const std::ptrdiff_t n = rows == 0 ? 0 : static_cast<std::ptrdiff_t>(x.n_elements()) / rows;
    const std::size_t table = n_parts(node) + i;
    call->parts.push_back({.rows = rows,
                           .n = n,
                           .x = x.bytes().data(),
                           .y = y.bytes().data() + at,
                           .x_row_stride = n,
                           .y_row_stride = inner,
                           .table = context.has_input(table) ? context.input(table).bytes().data() : nullptr});
    at += n;
  }
  return prepared<ConcatCall>(std::move(call), "lookup_u8");
}

// MaxPool, AveragePool; `is_global`: the window is the input.
struct PoolPlan {
  ConvGeometry geometry;
  Shape output;
  bool is_always_full = false;  // every window counts all its pixels
};

PoolPlan plan_pool(const Node& node, const Shape& x) {
  require_shape(x.size() >= 3, node, "the input has no spatial axes");
  PoolPlan plan;
  const bool is_global = node.attr_i("is_global", 0) != 0;
  const Shape extents(x.begin() + 2, x.end());
  Window window = read_window(node, x.size() - 2, is_global ? extents : Shape{});
  plan.output = {x[0], x[1]};
  const std::vector<std::int64_t> pooled = window_output(node, window, extents);
  plan.output.insert(plan.output.end(), pooled.begin(), pooled.end());
  plan.geometry = geometry_of(node, window, x, plan.output);
  const auto is_zero = [](std::int64_t pad) { return pad == 0; };
  const bool has_padding = window.is_ceil || !std::all_of(window.pads_begin.begin(), window.pads_begin.end(), is_zero) ||
                           !std::all_of(window.pads_end.begin(), window.pads_end.end(), is_zero);
  plan.is_always_full = !has_padding || node.attr_i("count_include_pad", 0) != 0;
  return plan;
}

void infer_pool(InferContext& context) {
  require_type(context, 0);
  const Shape x = channels_first_shape(context.shape(0));
  context.set_output(0, DType::u8, channels_last_shape(plan_pool(context.node(), x).output));
}

struct PoolCall {
  PoolU8 pool;
  PoolU8Kernel kernel = nullptr;
  Requantizer requantizer;
  void run() const { pool_u8_blocked(pool, kernel); }
};

PreparedCall prepare_pool(RunContext& context) {
  const Node& node = context.node();
  const Shape x = channels_first_shape(context.input(0).shape());
  const PoolPlan plan = plan_pool(node, x);
  const bool is_max = node.op_type == "MaxPool";
  const CodeParams codes = code_params(node, 'x');
  auto call = std::make_shared<PoolCall>();
  if (!is_max) {
    const auto taps = static_cast<std::size_t>(plan.geometry.n_taps());
    std::vector<float> scales(1 + taps);
    for (std::size_t n = 0; n <= taps; ++n)
      scales[n] = codes.scale / static_cast<float>(plan.is_always_full ? taps : std::max<std::size_t>(n, 1));
    call->requantizer = make_requantizer(node, scales);
  }
  call->pool = {.geometry = plan.geometry,
                .images = static_cast<std::ptrdiff_t>(x[0]),
                .channels = static_cast<std::ptrdiff_t>(x[1]),
                .x = context.input(0).bytes().data(),
                .x_pixel_stride = static_cast<std::ptrdiff_t>(x[1]),
                .x_zero_point = codes.zero_point,
                .y = context.output(0).bytes().data(),
                .y_pixel_stride = static_cast<std::ptrdiff_t>(x[1])};
  call->pool.requantize = call->requantizer.requantize;
  call->kernel = choose_pool_u8(is_max ? PoolOperation::max : PoolOperation::average, arithmetic_of(node));
  return prepared<PoolCall>(std::move(call), is_max ? "max_pool_u8" : "average_pool_u8");
}

constexpr Op kOps[] = {
    {"Add", kInternalDomain, kFusedSince, infer_binary, nullptr, prepare_binary},
    {"Mul", kInternalDomain, kFusedSince, infer_binary, nullptr, prepare_binary},
    {"Lookup", kInternalDomain, kFusedSince, infer_lookup, nullptr, prepare_lookup},
    {"Concat", kInternalDomain, kFusedSince, infer_concat, nullptr, prepare_concat},
    {"MaxPool", kInternalDomain, kFusedSince, infer_pool, nullptr, prepare_pool},
    {"AveragePool", kInternalDomain, kFusedSince, infer_pool, nullptr, prepare_pool},
};

}  // namespace

extern const OpFamily fused_map_family;
const OpFamily fused_map_family{"fused_map", kOps};

}  // namespace bitwright
