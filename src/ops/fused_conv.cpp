// Conv (dense, grouped, depthwise) and Gemm on codes. Inputs: x (u8), w (8-bit codes as the file has them), bias (i32, optional).
// MatMul: x and w both u8 codes of the run, batches of matrices; each w is packed when its turn comes.
#include <algorithm>

#include "base/checked.h"
#include "base/parallel_for.h"
#include "kernels/conv_u8_i8/conv_u8_i8.h"
#include "kernels/depthwise_u8_i8/depthwise_u8_i8.h"
#include "ops/conv_plan.h"
#include "ops/fused.h"
#include "ops/matrix_product.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

/// Packed once per node, for every shape.
struct PackedWeights final : OpState {
  std::shared_ptr<Buffer> packed;
  Requantizer requantizer;
  KernelFamily family = KernelFamily::reference;
};

AccResult result_of(const Node& node) {
  if (node.attr_s("result", "") == "f32") return AccResult::f32;
  return arithmetic_of(node) == Arithmetic::fast ? AccResult::fast : AccResult::integer_only;
}

DType result_dtype(const Node& node) { return result_of(node) == AccResult::f32 ? DType::f32 : DType::u8; }

/// One scale of the accumulators for each output channel: the input's times the weights'.
std::vector<float> accumulator_scales(const Node& node, std::size_t n) {
  std::vector<float> scales = node.attr_floats("w_scales");
  require_shape(scales.size() == 1 || scales.size() == n, node, "the weights' scales do not fit the output channels");
  scales.resize(n, scales[0]);
  const float x_scale = code_params(node, 'x').scale;
  for (float& scale : scales) scale *= x_scale;
  return scales;
}

std::vector<std::int32_t> weight_zero_points(const Node& node, std::size_t n) {
  const std::vector<std::int64_t> said = node.attr_ints("w_zero_points");
  std::vector<std::int32_t> zero_points(said.begin(), said.end());
  if (!zero_points.empty()) zero_points.resize(n, zero_points[0]);
  return zero_points;
}

void check_bias(RunContext& context, std::size_t n) {
  if (context.has_input(2))
    require_shape(context.input(2).dtype() == DType::i32 && context.input(2).n_elements() == static_cast<std::int64_t>(n),
                  context.node(), "bias does not fit the output channels");
}

const std::int32_t* bias_of(RunContext& context) {
  return context.has_input(2) ? context.input(2).data<std::int32_t>().data() : nullptr;
}

void refuse_overflow(const Node& node, std::ptrdiff_t channel) {
  if (channel >= 0)
    refuse(node,
           {"the sums of output channel ", static_cast<std::int64_t>(channel), " could leave int32; exclude it from the recipe"},
           ErrorCode::unsupported);
}

/// Requantizer of n channels; for f32 results the scales of the accumulators.
Requantizer requantizer_of(const Node& node, std::size_t n) {
  std::vector<float> scales = accumulator_scales(node, n);
  if (result_of(node) != AccResult::f32) return make_requantizer(node, scales);
  scales.resize((n + 7) / 8 * 8 + 8, 0.0f);
  Requantizer made;
  made.multipliers = std::move(scales);
  made.requantize.multipliers = made.multipliers.data();
  return made;
}

/// The nearest family that has a kernel for this result.
KernelFamily usable_family(KernelFamily wanted, AccResult result) {
  for (const KernelFamily family : {wanted, KernelFamily::simd128})
    if (choose_conv_u8_i8(family, result) != nullptr) return family;
  return KernelFamily::reference;
}

const PackedWeights& packed_conv(RunContext& context, ConvWeightsU8I8 weights) {
  const Node& node = context.node();
  const auto n = static_cast<std::size_t>(weights.groups * weights.out_channels);
  if (context.state() == nullptr || !context.is_constant(1)) {
    auto made = std::make_unique<PackedWeights>();
    made->family = usable_family(family_of(node), result_of(node));
    const std::vector<std::int32_t> zero_points = weight_zero_points(node, n);
    check_bias(context, n);
    weights.w = context.input(1).bytes().data();
    weights.is_unsigned = context.input(1).dtype() == DType::u8;
    weights.bias = bias_of(context);
    if (!zero_points.empty()) weights.zero_points = zero_points.data();
    weights.x_zero_point = code_params(node, 'x').zero_point;
    made->packed = allocate_buffer(packed_conv_u8_i8_bytes(made->family, weights));
    refuse_overflow(node, pack_conv_u8_i8(made->family, weights, reinterpret_cast<std::byte*>(made->packed->data())));
    made->requantizer = requantizer_of(node, n);
    context.state() = std::move(made);
  }
  return static_cast<const PackedWeights&>(*context.state());
}

std::string kernel_name(KernelFamily family, AccResult result) {
  for (const ConvU8I8Variant& variant : conv_u8_i8_variants())
    if (variant.family == family && variant.result == result) return std::string(variant.name);
  return {};
}

struct ConvCall {
  ConvU8I8 conv;
  ConvU8I8Kernel kernel = nullptr;
  void run() const { conv_u8_i8_blocked(conv, kernel); }
};

PreparedCall finish(RunContext& context, ConvU8I8 conv, const PackedWeights& weights) {
  const AccResult result = result_of(context.node());
  auto call = std::make_shared<ConvCall>();
  conv.x = context.input(0).bytes().data();
  conv.x_zero_point = code_params(context.node(), 'x').zero_point;
  conv.packed = reinterpret_cast<const std::byte*>(weights.packed->data());
  conv.y = context.output(0).bytes().data();
  conv.requantize = weights.requantizer.requantize;
  call->conv = conv;
  call->kernel = choose_conv_u8_i8(weights.family, result);
  return prepared<ConvCall>(std::move(call), kernel_name(weights.family, result));
}

void infer_conv(InferContext& context) {
  require_type(context, 0);
  require_type(context, 1, {DType::i8, DType::u8});
  const ConvPlan plan = plan_conv(context.node(), channels_first_shape(context.shape(0)), context.shape(1));
  context.set_output(0, result_dtype(context.node()), channels_last_shape(plan.output));
}

struct DepthwiseCall {
  DepthwiseU8I8 depthwise;
  DepthwiseU8I8Kernel kernel = nullptr;
  void run() const { depthwise_u8_i8_blocked(depthwise, kernel); }
};

PreparedCall prepare_depthwise(RunContext& context, const ConvPlan& plan, const ConvGeometry& geometry) {
  const Node& node = context.node();
  const auto n = static_cast<std::size_t>(plan.out_channels);
  const KernelFamily family = family_of(node);
  if (context.state() == nullptr || !context.is_constant(1)) {
    auto made = std::make_unique<PackedWeights>();
    const std::vector<std::int32_t> zero_points = weight_zero_points(node, n);
    check_bias(context, n);
    DepthwiseWeightsU8I8 weights{.w = context.input(1).bytes().data(),
                                 .is_unsigned = context.input(1).dtype() == DType::u8,
                                 .taps = geometry.n_taps(),
                                 .kernel_width = geometry.kernel[2],
                                 .out_channels = static_cast<std::ptrdiff_t>(n),
                                 .channel_stride = geometry.n_taps(),
                                 .bias = bias_of(context),
                                 .x_zero_point = code_params(node, 'x').zero_point};
    if (!zero_points.empty()) weights.zero_points = zero_points.data();
    made->packed = allocate_buffer(packed_depthwise_u8_i8_bytes(weights));
    refuse_overflow(node, pack_depthwise_u8_i8(weights, reinterpret_cast<std::byte*>(made->packed->data())));
    made->requantizer = requantizer_of(node, n);
    context.state() = std::move(made);
  }
  const auto& packed = static_cast<const PackedWeights&>(*context.state());
  auto call = std::make_shared<DepthwiseCall>();
  call->depthwise = {.geometry = geometry,
                     .images = static_cast<std::ptrdiff_t>(plan.n),
                     .channels = static_cast<std::ptrdiff_t>(plan.channels),
                     .multiplier = static_cast<std::ptrdiff_t>(plan.out_channels / plan.channels),
                     .x = context.input(0).bytes().data(),
                     .x_pixel_stride = static_cast<std::ptrdiff_t>(plan.channels),
                     .x_zero_point = code_params(node, 'x').zero_point,
                     .packed = reinterpret_cast<const std::byte*>(packed.packed->data()),
                     .y = context.output(0).bytes().data(),
                     .y_pixel_stride = static_cast<std::ptrdiff_t>(plan.out_channels),
                     .requantize = packed.requantizer.requantize};
  call->kernel = choose_depthwise_u8_i8(family, arithmetic_of(node));
  std::string name;
  for (const DepthwiseU8I8Variant& variant : depthwise_u8_i8_variants())
    if (variant.run == call->kernel) name = variant.name;
  return prepared<DepthwiseCall>(std::move(call), std::move(name));
}

PreparedCall prepare_conv(RunContext& context) {
  const Node& node = context.node();
  const Shape x = channels_first_shape(context.input(0).shape());
  const ConvPlan plan = plan_conv(node, x, context.input(1).shape());
  const ConvGeometry geometry = geometry_of(node, plan.window, x, plan.output);
  if (plan.group > 1 && plan.group == plan.channels && result_of(node) != AccResult::f32)
    return prepare_depthwise(context, plan, geometry);
  const auto channels = static_cast<std::ptrdiff_t>(plan.channels / plan.group);
  const auto outputs = static_cast<std::ptrdiff_t>(plan.out_channels / plan.group);
  const std::ptrdiff_t taps = geometry.n_taps();
  const PackedWeights& weights = packed_conv(context, {.groups = static_cast<std::ptrdiff_t>(plan.group),
                                                       .channels = channels,
                                                       .taps = taps,
                                                       .out_channels = outputs,
                                                       .column_stride = channels * taps,
                                                       .channel_stride = taps,
                                                       .tap_stride = 1});
  const auto n = static_cast<std::ptrdiff_t>(plan.out_channels);
  const Extents3f& to = geometry.output;
  return finish(context,
                {.geometry = geometry,
                 .images = static_cast<std::ptrdiff_t>(plan.n),
                 .groups = static_cast<std::ptrdiff_t>(plan.group),
                 .channels = channels,
                 .out_channels = outputs,
                 .x_pixel_stride = static_cast<std::ptrdiff_t>(plan.channels),
                 .y_image_stride = geometry.n_outputs() * n,
                 .y_strides = {to[1] * to[2] * n, to[2] * n, n}},
                weights);
}

/// x [..., k] times w [k, n], or [n, k] with transpose_w.
struct GemmShape {
  std::int64_t m = 1, n = 0, k = 0;
  bool is_transposed = false;
  Shape output;
};
GemmShape gemm_shape(const Node& node, const Shape& x, const Shape& w) {
  require_shape(!x.empty() && w.size() == 2, node, "the operands have no matrices");
  GemmShape shape;
  shape.is_transposed = node.attr_i("transpose_w", 0) != 0;
  shape.k = w[shape.is_transposed ? 1 : 0];
  shape.n = w[shape.is_transposed ? 0 : 1];
  if (!may_equal(x.back(), shape.k)) refuse(node, {"operands ", x, " and ", w, " do not fit"}, ErrorCode::shape_mismatch);
  shape.output = x;
  shape.output.back() = shape.n;
  for (std::size_t axis = 0; axis + 1 < x.size(); ++axis) shape.m *= x[axis];
  return shape;
}

void infer_gemm(InferContext& context) {
  require_type(context, 0);
  require_type(context, 1, {DType::i8, DType::u8});
  context.set_output(0, result_dtype(context.node()), gemm_shape(context.node(), context.shape(0), context.shape(1)).output);
}

PreparedCall prepare_gemm(RunContext& context) {
  const GemmShape shape = gemm_shape(context.node(), context.input(0).shape(), context.input(1).shape());
  const auto m = static_cast<std::ptrdiff_t>(shape.m), n = static_cast<std::ptrdiff_t>(shape.n),
             k = static_cast<std::ptrdiff_t>(shape.k);
  const PackedWeights& weights = packed_conv(context, {.channels = k,
                                                       .out_channels = n,
                                                       .column_stride = shape.is_transposed ? k : 1,
                                                       .channel_stride = shape.is_transposed ? 1 : n});
  return finish(context, matrix_product_u8_i8(m, n, k), weights);
}

void infer_matmul(InferContext& context) {
  require_type(context, 0);
  require_type(context, 1);
  context.set_output(0, result_dtype(context.node()), matmul_shape(context.node(), context.shape(0), context.shape(1)).output);
}

struct MatMulCall {
  ConvU8I8 product;  // where matrices begin are those of the first
  ConvWeightsU8I8 weights;
  ConvU8I8Kernel kernel = nullptr;
  KernelFamily family = KernelFamily::reference;
  std::vector<std::int64_t> xs, ws;  // which matrices each of the products takes
  std::int64_t n_ws = 0, y_bytes = 0;
  std::vector<std::int32_t> zero_points;
  Requantizer requantizer;
  std::size_t packed_stride = 0;  // scratch, then the packed matrix
  std::shared_ptr<Buffer> packed;

  std::byte* scratch(std::int64_t i) const {
    return reinterpret_cast<std::byte*>(packed->data()) + static_cast<std::size_t>(i) * packed_stride;
  }
  std::byte* panels(std::int64_t i) const { return scratch(i) + pack_scratch_bytes(product.channels); }
  void run() const {
    parallel_for(n_ws, 1, [&](std::int64_t i, std::int64_t end) {
      for (; i < end; ++i) {
        ConvWeightsU8I8 w = weights;
        w.w = static_cast<const std::uint8_t*>(w.w) + i * w.channels * w.out_channels;
        w.scratch = scratch(i);
        pack_conv_u8_i8(family, w, panels(i));
      }
    });
    parallel_for(static_cast<std::int64_t>(xs.size()), 1, [&](std::int64_t i, std::int64_t end) {
      for (; i < end; ++i) {
        const auto at = static_cast<std::size_t>(i);
        ConvU8I8 one = product;
        one.x += xs[at] * one.geometry.output[2] * one.channels;
        one.packed = panels(ws[at]);
        one.y = static_cast<std::uint8_t*>(one.y) + i * y_bytes;
        conv_u8_i8_blocked(one, kernel);
      }
    });
  }
};

PreparedCall prepare_matmul(RunContext& context) {
  const Node& node = context.node();
  const Tensor &x = context.input(0), &w = context.input(1);
  const MatMulShape shape = matmul_shape(node, x.shape(), w.shape());
  if (shape.k > kMaxMatMulK)
    refuse(node, {"sums of ", shape.k, " products of codes could leave int32; exclude it from the recipe"},
           ErrorCode::unsupported);
  const auto m = static_cast<std::ptrdiff_t>(shape.m), n = static_cast<std::ptrdiff_t>(shape.n),
             k = static_cast<std::ptrdiff_t>(shape.k);
  auto call = std::make_shared<MatMulCall>();
  const AccResult result = result_of(node);
  call->family = usable_family(family_of(node), result);
  call->kernel = choose_conv_u8_i8(call->family, result);
  call->zero_points = weight_zero_points(node, static_cast<std::size_t>(n));
  call->requantizer = requantizer_of(node, static_cast<std::size_t>(n));
  const std::int32_t x_zero_point = code_params(node, 'x').zero_point;
  call->weights = {.is_unsigned = true,
                   .channels = k,
                   .out_channels = n,
                   .column_stride = 1,
                   .channel_stride = n,
                   .zero_points = call->zero_points.data(),
                   .x_zero_point = x_zero_point};
  call->weights.w = w.bytes().data();
  call->product = matrix_product_u8_i8(m, n, k);
  call->product.x = x.bytes().data();
  call->product.x_zero_point = x_zero_point;
  call->product.y = context.output(0).bytes().data();
  call->product.requantize = call->requantizer.requantize;
  call->y_bytes = shape.m * shape.n * (dtype_bits(result_dtype(node)) / 8);
  call->xs = batch_offsets(x.shape(), shape.batch);
  call->ws = batch_offsets(w.shape(), shape.batch);
  call->n_ws = n_elements(batch_of(w.shape()));
  call->packed_stride = (pack_scratch_bytes(k) + packed_conv_u8_i8_bytes(call->family, call->weights) + 15) / 16 * 16;
  // A panel of 8 columns has up to 16 (k + 6) bytes.
  addressable(static_cast<std::uint64_t>(call->n_ws) * (static_cast<std::uint64_t>(n) + 8) * (static_cast<std::uint64_t>(k) + 8) *
              5);
  call->packed = allocate_buffer(static_cast<std::size_t>(call->n_ws) * call->packed_stride);
  std::string name = kernel_name(call->family, result);
  return prepared<MatMulCall>(std::move(call), std::move(name));
}

constexpr Op kOps[] = {
    {"Conv", kInternalDomain, kFusedSince, infer_conv, nullptr, prepare_conv},
    {"Gemm", kInternalDomain, kFusedSince, infer_gemm, nullptr, prepare_gemm},
    {"MatMul", kInternalDomain, kFusedSince, infer_matmul, nullptr, prepare_matmul},
};

}  // namespace

extern const OpFamily fused_conv_family;
const OpFamily fused_conv_family{"fused_conv", kOps};

}  // namespace bitwright
