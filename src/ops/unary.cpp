#include <cmath>

#include "base/math.h"
#include "kernels/elementwise_f32/elementwise_f32.h"
#include "ops/elementwise.h"

namespace bitwright {

namespace {

/// How an operator maps one element. Half floats go through `f32` where there is one; all other floats through `f64`, and
/// integers through `i64` (absent: the operator has no integer form).
struct UnaryRow {
  std::string_view op_type;
  MapF32 f32;
  double (*f64)(double x, double alpha, double beta);
  std::int64_t (*i64)(std::int64_t x);
  std::string_view alpha_name = {};
  float alpha = 0.0f;
  std::string_view beta_name = {};
  float beta = 0.0f;
};

double sigmoid64(double x) { return 1.0 / (1.0 + f64::exp(-x)); }
double softplus64(double x) { return f64::log1p(f64::exp(-std::fabs(x))) + (x < 0.0 ? 0.0 : x); }
double gelu64(double x) { return 0.5 * x * (1.0 + f64::erf(x * 0.70710678118654752440)); }
double gelu_tanh64(double x) { return 0.5 * x * (1.0 + f64::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))); }
double bounded64(double x, double low, double high) {
  const double raised = x < low ? low : x;
  return high < raised ? high : raised;
}
double rounded64(double x) {
  const double low = std::floor(x);
  const double part = x - low;
  const bool is_up = part > 0.5 || (part == 0.5 && std::fmod(low, 2.0) != 0.0);
  return std::copysign(is_up ? low + 1.0 : low, x);
}
std::int64_t negated(std::int64_t x) { return static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(x)); }

const UnaryRow kRows[] = {
    {"Abs", map_f32__abs, [](double x, double, double) { return std::fabs(x); },
     [](std::int64_t x) { return x < 0 ? negated(x) : x; }},
    {"Neg", map_f32__neg, [](double x, double, double) { return -x; }, negated},
    {"Sign", map_f32__sign, [](double x, double, double) { return x > 0.0   ? 1.0
                                                                  : x < 0.0 ? -1.0
                                                                            : x; },
     [](std::int64_t x) { return std::int64_t{x > 0} - std::int64_t{x < 0}; }},
    {"BitwiseNot", nullptr, nullptr, [](std::int64_t x) { return ~x; }},
    {"Sqrt", map_f32__sqrt, [](double x, double, double) { return std::sqrt(x); }, nullptr},
    {"Reciprocal", map_f32__reciprocal, [](double x, double, double) { return 1.0 / x; }, nullptr},
    {"Exp", map_f32__exp, [](double x, double, double) { return f64::exp(x); }, nullptr},
    {"Log", map_f32__log, [](double x, double, double) { return f64::log(x); }, nullptr},
    {"Sin", nullptr, [](double x, double, double) { return f64::sin(x); }, nullptr},
    {"Cos", nullptr, [](double x, double, double) { return f64::cos(x); }, nullptr},
    {"Tan", nullptr, [](double x, double, double) { return f64::tan(x); }, nullptr},
    {"Asin", nullptr, [](double x, double, double) { return f64::asin(x); }, nullptr},
    {"Acos", nullptr, [](double x, double, double) { return f64::acos(x); }, nullptr},
    {"Atan", nullptr, [](double x, double, double) { return f64::atan(x); }, nullptr},
    {"Sinh", nullptr, [](double x, double, double) { return f64::sinh(x); }, nullptr},
    {"Cosh", nullptr, [](double x, double, double) { return f64::cosh(x); }, nullptr},
    {"Tanh", map_f32__tanh, [](double x, double, double) { return f64::tanh(x); }, nullptr},
    {"Asinh", nullptr, [](double x, double, double) { return f64::asinh(x); }, nullptr},
    {"Acosh", nullptr, [](double x, double, double) { return f64::acosh(x); }, nullptr},
    {"Atanh", nullptr, [](double x, double, double) { return f64::atanh(x); }, nullptr},
    {"Erf", map_f32__erf, [](double x, double, double) { return f64::erf(x); }, nullptr},
    {"Ceil", map_f32__ceil, [](double x, double, double) { return std::ceil(x); }, nullptr},
    {"Floor", map_f32__floor, [](double x, double, double) { return std::floor(x); }, nullptr},
    {"Round", map_f32__round, [](double x, double, double) { return rounded64(x); }, nullptr},
    {"Sigmoid", map_f32__sigmoid, [](double x, double, double) { return sigmoid64(x); }, nullptr},
    {"Relu", map_f32__relu, [](double x, double, double) { return x < 0.0 ? 0.0 : x; },
     [](std::int64_t x) { return x < 0 ? 0 : x; }},
    {"LeakyRelu", map_f32__leaky_relu, [](double x, double a, double) { return x < 0.0 ? a * x : x; }, nullptr, "alpha", 0.01f},
    {"Elu", map_f32__elu, [](double x, double a, double) { return x < 0.0 ? a * f64::expm1(x) : x; }, nullptr, "alpha", 1.0f},
    {"Selu", map_f32__selu, [](double x, double a, double b) { return b * (x > 0.0 ? x : a * f64::expm1(x)); }, nullptr, "alpha",
     1.67326319217681884765625f, "gamma", 1.05070102214813232421875f},
    {"Celu", map_f32__celu, [](double x, double a, double) { return x < 0.0 ? a * f64::expm1(x / a) : x; }, nullptr, "alpha",
     1.0f},
    {"Gelu", map_f32__gelu, [](double x, double, double) { return gelu64(x); }, nullptr},
    {"QuickGelu", map_f32__swish, [](double x, double a, double) { return x * sigmoid64(a * x); }, nullptr, "alpha", 1.702f},
    {"Swish", map_f32__swish, [](double x, double a, double) { return x * sigmoid64(a * x); }, nullptr, "alpha", 1.0f},
    {"HardSigmoid", map_f32__hard_sigmoid, [](double x, double a, double b) { return bounded64(a * x + b, 0.0, 1.0); }, nullptr,
     "alpha", 0.2f, "beta", 0.5f},
    {"HardSwish", map_f32__hard_swish, [](double x, double, double) { return x * bounded64(x / 6.0 + 0.5, 0.0, 1.0); }, nullptr},
    {"Mish", map_f32__mish, [](double x, double, double) { return x * f64::tanh(softplus64(x)); }, nullptr},
    {"Softplus", map_f32__softplus, [](double x, double, double) { return softplus64(x); }, nullptr},
    {"Softsign", map_f32__softsign, [](double x, double, double) { return x / (1.0 + std::fabs(x)); }, nullptr},
    {"ThresholdedRelu", map_f32__thresholded_relu, [](double x, double a, double) { return x > a ? x : 0.0; }, nullptr, "alpha",
     1.0f},
    {"Shrink", map_f32__shrink, [](double x, double a, double b) { return x < -a  ? x + b
                                                                          : x > a ? x - b
                                                                                  : 0.0; }, nullptr,
     "lambd", 0.5f, "bias", 0.0f},
};

const UnaryRow kGeluTanh = {"Gelu", map_f32__gelu_tanh, [](double x, double, double) { return gelu_tanh64(x); }, nullptr};

const UnaryRow& row_of(const Node& node) {
  if (node.op_type == "Gelu") {
    const std::string form = node.attr_s("approximate", "none");
    if (form == "tanh") return kGeluTanh;
    if (form != "none") refuse(node, {"attribute 'approximate' is ", in_quotes(form), ", 'none' or 'tanh' is needed"});
  }
  for (const UnaryRow& row : kRows)
    if (row.op_type == node.op_type) return row;
  BITWRIGHT_ASSERT(false);
  return kRows[0];
}

void run_row(const Node& node, const UnaryRow& row, const Tensor& x, Tensor& y) {
  const MapParams params = {row.alpha_name.empty() ? 0.0f : node.attr_f(row.alpha_name, row.alpha),
                            row.beta_name.empty() ? 0.0f : node.attr_f(row.beta_name, row.beta)};
  const DType dtype = x.dtype();
  if (is_float(dtype) && row.f64 != nullptr) {
    if (row.f32 != nullptr && dtype == DType::f32) {
      row.f32(x.data<float>().data(), y.data<float>().data(), x.n_elements(), params);
    } else if (row.f32 != nullptr && dtype != DType::f64) {
      map_blocks<float>(x, y,
                        [&](std::span<float> v) { row.f32(v.data(), v.data(), static_cast<std::int64_t>(v.size()), params); });
    } else {
      const auto alpha = static_cast<double>(params.alpha);
      const auto beta = static_cast<double>(params.beta);
      map_blocks<double>(x, y, [&](std::span<double> v) {
        for (double& element : v) element = row.f64(element, alpha, beta);
      });
    }
  } else if (is_integer(dtype) && row.i64 != nullptr) {
    const bool is_unsigned_abs = dtype == DType::u64 && row.op_type != "BitwiseNot" && row.op_type != "Neg";
    if (is_unsigned_abs && row.op_type != "Sign") {
      std::copy(x.bytes().begin(), x.bytes().end(), y.bytes().begin());
      return;
    }
    map_blocks<std::int64_t>(x, y, [&](std::span<std::int64_t> v) {
      for (std::int64_t& element : v) element = is_unsigned_abs ? std::int64_t{element != 0} : row.i64(element);
    });
  } else {
    refuse(node, {"elements of ", dtype_name(dtype), " are not allowed"}, ErrorCode::shape_mismatch);
  }
}

void run_unary(RunContext& context) { run_row(context.node(), row_of(context.node()), context.input(0), context.output(0)); }

// com.microsoft FastGelu: the tanh form, of x plus an optional bias along the last axis.
void run_fast_gelu(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  if (!context.has_input(1)) return run_row(context.node(), kGeluTanh, x, y);
  const Tensor& bias = context.input(1);
  const std::int64_t n = bias.n_elements();
  if (n == 0 || bias.rank() != 1 || x.rank() == 0 || x.extent(x.rank() - 1) != n)
    refuse(context.node(), {"the bias ", bias.shape(), " does not fit the input ", x.shape()}, ErrorCode::shape_mismatch);
  const std::vector<float> bias_values = to_f32_vector(bias);
  std::int64_t i = 0;
  map_blocks<float>(x, y, [&](std::span<float> v) {
    for (float& element : v) element += bias_values[static_cast<std::size_t>(i++ % n)];
    map_f32__gelu_tanh(v.data(), v.data(), static_cast<std::int64_t>(v.size()), {});
  });
}

void run_is_nan(RunContext& context) {
  map_blocks<double>(context.input(0), context.output(0), [](std::span<double> v) {
    for (double& element : v) element = element != element ? 1.0 : 0.0;
  });
}

void run_is_inf(RunContext& context) {
  const bool has_negative = context.node().attr_i("detect_negative", 1) != 0;
  const bool has_positive = context.node().attr_i("detect_positive", 1) != 0;
  map_blocks<double>(context.input(0), context.output(0), [&](std::span<double> v) {
    for (double& element : v) element = std::isinf(element) && (element > 0.0 ? has_positive : has_negative) ? 1.0 : 0.0;
  });
}

void run_not(RunContext& context) {
  map_blocks<std::int64_t>(context.input(0), context.output(0), [](std::span<std::int64_t> v) {
    for (std::int64_t& element : v) element = element == 0 ? 1 : 0;
  });
}

/// A bound of Clip: an input, an attribute before opset 11, or nothing.
template <typename Wide>
Wide clip_bound(const RunContext& context, std::size_t i, std::string_view attribute, Wide otherwise) {
  if (context.opset() < 11) {
    const Attribute* found = context.node().find(attribute);
    return found == nullptr ? otherwise : static_cast<Wide>(found->f);
  }
  if (!context.has_input(i)) return otherwise;
  const Tensor& bound = context.input(i);
  if (bound.n_elements() != 1 || bound.dtype() != context.input(0).dtype())
    refuse(context.node(), "a bound must be one number of the input's type", ErrorCode::shape_mismatch);
  Wide value{};
  read_elements(bound, 0, std::span<Wide>(&value, 1));
  return value;
}

void run_clip(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const DType dtype = x.dtype();
  if (dtype == DType::f64) {
    const double low = clip_bound<double>(context, 1, "min", -HUGE_VAL);
    const double high = clip_bound<double>(context, 2, "max", HUGE_VAL);
    map_blocks<double>(x, y, [&](std::span<double> v) {
      for (double& element : v) element = bounded64(element, low, high);
    });
  } else if (is_float(dtype)) {
    const MapParams params = {clip_bound<float>(context, 1, "min", -HUGE_VALF), clip_bound<float>(context, 2, "max", HUGE_VALF)};
    if (dtype == DType::f32) return map_f32__clip(x.data<float>().data(), y.data<float>().data(), x.n_elements(), params);
    map_blocks<float>(
        x, y, [&](std::span<float> v) { map_f32__clip(v.data(), v.data(), static_cast<std::int64_t>(v.size()), params); });
  } else {
    if (context.opset() < 11) refuse(context.node(), "integers are clipped from opset 12 on", ErrorCode::unsupported);
    // u64 is ordered as i64 once its top bit is turned over.
    const std::int64_t flip = dtype == DType::u64 ? INT64_MIN : 0;
    const std::int64_t low = clip_bound<std::int64_t>(context, 1, "min", INT64_MIN ^ flip) ^ flip;
    const std::int64_t high = clip_bound<std::int64_t>(context, 2, "max", INT64_MAX ^ flip) ^ flip;
    map_blocks<std::int64_t>(x, y, [&](std::span<std::int64_t> v) {
      for (std::int64_t& element : v) element = std::min(std::max(element ^ flip, low), high) ^ flip;
    });
  }
}

void infer_dropout(InferContext& context) {
  infer_like_first(context);
  if (context.n_outputs() > 1)
    context.set_output(1, context.opset() < 10 ? context.dtype(0) : DType::boolean, context.input(0).shape);
}

void run_dropout(RunContext& context) {
  if (context.opset() >= 12 && context.has_input(2) && element_i64(context.input(2), 0) != 0) {
    const double ratio = context.has_input(1) ? element_f64(context.input(1), 0) : 0.5;
    if (ratio != 0.0)
      refuse(context.node(), "training mode draws random numbers; set 'training_mode' to false", ErrorCode::unsupported);
  }
  context.set_output(0, context.input(0));
  if (context.wants_output(1)) {
    Tensor& mask = context.output(1);
    Tensor one(mask.dtype(), {});
    const std::int64_t value = 1;
    write_elements(one, 0, std::span<const std::int64_t>(&value, 1));
    fill_elements(mask, one);
  }
}

constexpr std::int64_t kSince6_13[] = {1, 6, 13};
constexpr std::int64_t kSince7_22[] = {7, 22};
constexpr std::int64_t kSince9_22[] = {9, 22};
constexpr std::int64_t kSince9_13[] = {9, 13};
constexpr std::int64_t kSince6_22[] = {1, 6, 22};
constexpr std::int64_t kSince1_22[] = {1, 22};
constexpr std::int64_t kRoundSince[] = {11, 22};
constexpr std::int64_t kReluSince[] = {1, 6, 13, 14};
constexpr std::int64_t kLeakyReluSince[] = {1, 6, 16};
constexpr std::int64_t kCeluSince[] = {12, 28};
constexpr std::int64_t kGeluSince[] = {20};
constexpr std::int64_t kSwishSince[] = {24};
constexpr std::int64_t kHardSwishSince[] = {14, 22};
constexpr std::int64_t kMishSince[] = {18, 22};
constexpr std::int64_t kThresholdedReluSince[] = {10, 22};
constexpr std::int64_t kShrinkSince[] = {9};
constexpr std::int64_t kIsNanSince[] = {9, 13, 20};
constexpr std::int64_t kIsInfSince[] = {10, 20};
constexpr std::int64_t kNotSince[] = {1};
constexpr std::int64_t kBitwiseNotSince[] = {18};
constexpr std::int64_t kClipSince[] = {1, 6, 11, 12, 13};
constexpr std::int64_t kDropoutSince[] = {1, 6, 7, 10, 12, 13, 22};
constexpr std::int64_t kMicrosoftSince[] = {1};

constexpr Op kOps[] = {
    {"Abs", "", kSince6_13, infer_like_first, run_unary},
    {"Neg", "", kSince6_13, infer_like_first, run_unary},
    {"Sign", "", kSince9_13, infer_like_first, run_unary},
    {"BitwiseNot", "", kBitwiseNotSince, infer_like_first, run_unary},
    {"Sqrt", "", kSince6_13, infer_like_first, run_unary},
    {"Reciprocal", "", kSince6_13, infer_like_first, run_unary},
    {"Exp", "", kSince6_13, infer_like_first, run_unary},
    {"Log", "", kSince6_13, infer_like_first, run_unary},
    {"Sin", "", kSince7_22, infer_like_first, run_unary},
    {"Cos", "", kSince7_22, infer_like_first, run_unary},
    {"Tan", "", kSince7_22, infer_like_first, run_unary},
    {"Asin", "", kSince7_22, infer_like_first, run_unary},
    {"Acos", "", kSince7_22, infer_like_first, run_unary},
    {"Atan", "", kSince7_22, infer_like_first, run_unary},
    {"Sinh", "", kSince9_22, infer_like_first, run_unary},
    {"Cosh", "", kSince9_22, infer_like_first, run_unary},
    {"Tanh", "", kSince6_13, infer_like_first, run_unary},
    {"Asinh", "", kSince9_22, infer_like_first, run_unary},
    {"Acosh", "", kSince9_22, infer_like_first, run_unary},
    {"Atanh", "", kSince9_22, infer_like_first, run_unary},
    {"Erf", "", kSince9_13, infer_like_first, run_unary},
    {"Ceil", "", kSince6_13, infer_like_first, run_unary},
    {"Floor", "", kSince6_13, infer_like_first, run_unary},
    {"Round", "", kRoundSince, infer_like_first, run_unary},
    {"Sigmoid", "", kSince6_13, infer_like_first, run_unary},
    {"Relu", "", kReluSince, infer_like_first, run_unary},
    {"LeakyRelu", "", kLeakyReluSince, infer_like_first, run_unary},
    {"Elu", "", kSince6_22, infer_like_first, run_unary},
    {"Selu", "", kSince6_22, infer_like_first, run_unary},
    {"Celu", "", kCeluSince, infer_like_first, run_unary},
    {"Gelu", "", kGeluSince, infer_like_first, run_unary},
    {"Swish", "", kSwishSince, infer_like_first, run_unary},
    {"HardSigmoid", "", kSince6_22, infer_like_first, run_unary},
    {"HardSwish", "", kHardSwishSince, infer_like_first, run_unary},
    {"Mish", "", kMishSince, infer_like_first, run_unary},
    {"Softplus", "", kSince1_22, infer_like_first, run_unary},
    {"Softsign", "", kSince1_22, infer_like_first, run_unary},
    {"ThresholdedRelu", "", kThresholdedReluSince, infer_like_first, run_unary},
    {"Shrink", "", kShrinkSince, infer_like_first, run_unary},
    {"IsNaN", "", kIsNanSince, infer_boolean_like_first, run_is_nan},
    {"IsInf", "", kIsInfSince, infer_boolean_like_first, run_is_inf},
    {"Not", "", kNotSince, infer_boolean_like_first, run_not},
    {"Clip", "", kClipSince, infer_like_first, run_clip},
    {"Dropout", "", kDropoutSince, infer_dropout, run_dropout},
    {"Gelu", "com.microsoft", kMicrosoftSince, infer_like_first, run_unary},
    {"QuickGelu", "com.microsoft", kMicrosoftSince, infer_like_first, run_unary},
    {"FastGelu", "com.microsoft", kMicrosoftSince, infer_like_first, run_fast_gelu},
};

}  // namespace

extern const OpFamily unary_family;
const OpFamily unary_family{"unary", kOps};

}  // namespace bitwright
