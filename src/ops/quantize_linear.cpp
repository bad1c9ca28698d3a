// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, of ai.onnx and com.microsoft.
#include <algorithm>

#include "ops/dynamic_codes.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"
#include "quant/quantize.h"
#include "quant/runs.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

/// Codes that quant/quantize.h makes: 2 to 16 bits. The others are small floats.
bool is_integer_code(DType dtype) { return is_integer(dtype) && dtype_bits(dtype) <= 16; }
bool is_float_code(DType dtype) { return is_float(dtype) && dtype_bits(dtype) <= 8 && dtype != DType::e8m0; }

DType attribute_dtype(const Node& node, const char* attribute) {
  const std::int64_t number = node.attr_i(attribute, 0);
  if (number == 0) return DType::undefined;
  const std::optional<DType> dtype = dtype_from_onnx(number);
  if (!dtype) refuse(node, {attribute, " is ", number, ", which is no element type"});
  return *dtype;
}

/// Told by the shape of the scales; `x` and `scale` are known.
Granularity granularity(const Node& node, const Shape& x, const Shape& scale) {
  if (n_elements(scale) == 1 && scale.size() <= 1) return PerTensor{};
  const std::int64_t block_size = node.attr_i("block_size", 0);
  const std::int64_t axis = x.empty() ? 0 : normalized_axis(node.attr_i("axis", 1), x.size());
  Granularity granularity = PerChannel{axis};
  if (block_size > 0) granularity = PerBlock{axis, block_size};
  require(block_size >= 0, node, "block_size is negative");
  if (x.empty() || scale_shape(granularity, x) != scale)
    refuse(node, {"scales of shape ", scale, " do not fit an input of shape ", x}, ErrorCode::shape_mismatch);
  return granularity;
}

void check_zero_point(const Node& node, const Shape& scale, const Shape& zero_point) {
  require_shape(n_elements(scale) == n_elements(zero_point), node, "scale and zero point differ in shape");
}

/// The scales and zero points of codes of type `codes`; zero points of small floats are left out.
QuantParams params_of(const Node& node, const Tensor& scale, const Tensor* zero_point, const Shape& shape, DType codes) {
  QuantParams params;
  params.dtype = codes;
  if (is_integer_code(codes)) params.range = code_range(codes);
  params.granularity = granularity(node, shape, scale.shape());
  params.scales.resize(static_cast<std::size_t>(scale.n_elements()));
  read_elements(scale, 0, std::span<float>(params.scales));
  params.zero_points.assign(params.scales.size(), 0);
  if (zero_point != nullptr && is_integer(zero_point->dtype())) {
    check_zero_point(node, scale.shape(), zero_point->shape());
    for (std::size_t i = 0; i < params.zero_points.size(); ++i)
      params.zero_points[i] = static_cast<std::int32_t>(element_i64(*zero_point, static_cast<std::int64_t>(i)));
  }
  return params;
}

/// Calls apply(element, scale index) in memory order.
template <typename Apply>
void for_each_scale(const Shape& shape, const Granularity& granularity, Apply apply) {
  for_each_run(scale_layout(granularity, shape), [&](const Run& run) {
    for (std::int64_t i = 0; i < run.count; ++i)
      apply(static_cast<std::size_t>(run.element + i), static_cast<std::size_t>(run.scale_of(i)));
  });
}

void infer_quantize(InferContext& context) {
  const Node& node = context.node();
  const DType said = attribute_dtype(node, "output_dtype");
  DType dtype = said == DType::undefined ? DType::u8 : said;
  if (context.has_input(2) && context.dtype(2) != DType::undefined) {
    dtype = context.dtype(2);
    require(said == DType::undefined || said == dtype, node, "output_dtype contradicts the zero point's element type");
  }
  if (!is_integer_code(dtype) && !is_float_code(dtype))
    refuse(node, {"codes of type ", dtype_name(dtype)}, ErrorCode::unsupported);
  context.set_output(0, dtype, context.input(0).shape);
}

void run_quantize(RunContext& context) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  Tensor& y = context.output(0);
  const QuantParams params =
      params_of(node, context.input(1), context.has_input(2) ? &context.input(2) : nullptr, x.shape(), y.dtype());
  if (is_integer_code(y.dtype())) return quantize(x.data<float>(), x.shape(), params, y.bytes());
  std::fill(y.bytes().begin(), y.bytes().end(), std::uint8_t{0});  // the last byte of packed codes may be half used
  Tensor steps(DType::f32, x.shape(), context.allocator());
  const std::span<const float> values = x.data<float>();
  const std::span<float> quotients = steps.data<float>();
  for_each_scale(x.shape(), params.granularity, [&](std::size_t i, std::size_t s) {
    quotients[i] = values[i] / params.scales[s] + 0.0f;
  });  // the zero point 0 turns -0 into 0
  write_elements(y, 0, std::span<const float>(quotients),
                 {.is_saturating = node.attr_i("saturate", 1) != 0, .scale_rounding = ScaleRounding::up});
}

void infer_dequantize(InferContext& context) {
  const Node& node = context.node();
  const DType said = attribute_dtype(node, "output_dtype");
  const DType dtype = context.dtype(0);
  if (dtype != DType::undefined && dtype != DType::i32 && !is_integer_code(dtype) && !is_float_code(dtype))
    refuse(node, {"codes of type ", dtype_name(dtype)}, ErrorCode::unsupported);
  if (dtype != DType::undefined && context.has_input(2) && context.dtype(2) != DType::undefined && context.dtype(2) != dtype)
    refuse(node, {"the zero point is ", dtype_name(context.dtype(2)), ", the codes are ", dtype_name(dtype)});
  context.set_output(0, said != DType::undefined ? said : context.dtype(1), context.input(0).shape);
}

void run_dequantize(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  F32Output output(context, 0);
  const QuantParams params =
      params_of(node, context.input(1), context.has_input(2) ? &context.input(2) : nullptr, x.shape(), x.dtype());
  if (is_integer(x.dtype())) {
    dequantize(x.bytes(), x.shape(), params, output.span());
  } else {
    std::vector<float> zero_points(params.scales.size(), 0.0f);
    if (context.has_input(2)) {
      check_zero_point(node, context.input(1).shape(), context.input(2).shape());
      read_elements(context.input(2), 0, std::span<float>(zero_points));
    }
    const std::span<float> values = output.span();
    read_elements(x, 0, values);
    for_each_scale(x.shape(), params.granularity,
                   [&](std::size_t i, std::size_t s) { values[i] = (values[i] - zero_points[s]) * params.scales[s]; });
  }
  output.finish();
}

void infer_dynamic(InferContext& context) {
  context.set_output(0, DType::u8, context.input(0).shape);
  context.set_output(1, DType::f32, Shape{});
  context.set_output(2, DType::u8, Shape{});
}

void run_dynamic(RunContext& context) {
  const Tensor& x = context.input(0);
  const DynamicCodes codes = quantize_dynamic(x, context.allocator());
  std::copy(codes.codes.bytes().begin(), codes.codes.bytes().end(), context.output(0).bytes().begin());
  if (context.wants_output(1)) context.output(1).data<float>()[0] = codes.scale;
  if (context.wants_output(2)) context.output(2).data<std::uint8_t>()[0] = codes.zero_point;
}

constexpr std::int64_t kSince[] = {10, 13, 19, 21, 23, 24, 25, 28};
constexpr std::int64_t kDynamicSince[] = {11};
constexpr std::int64_t kMicrosoftSince[] = {1};
constexpr Op kOps[] = {
    {"QuantizeLinear", "", kSince, infer_quantize, run_quantize},
    {"DequantizeLinear", "", kSince, infer_dequantize, run_dequantize},
    {"DynamicQuantizeLinear", "", kDynamicSince, infer_dynamic, run_dynamic},
    {"QuantizeLinear", "com.microsoft", kMicrosoftSince, infer_quantize, run_quantize},
    {"DequantizeLinear", "com.microsoft", kMicrosoftSince, infer_dequantize, run_dequantize},
};

}  // namespace

extern const OpFamily quantize_linear_family;
const OpFamily quantize_linear_family{"quantize_linear", kOps};

}  // namespace bitwright
