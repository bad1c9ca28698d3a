#include <cmath>

#include "base/math.h"
#include "kernels/elementwise_f32/elementwise_f32.h"
#include "ops/elementwise.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

using Unsigned = std::uint64_t;

/// How an operator joins two elements. u64 is there where unsigned 64-bit elements differ from signed ones.
struct BinaryRow {
  std::string_view op_type;
  ZipF32 f32;
  double (*f64)(double a, double b);
  std::int64_t (*i64)(std::int64_t a, std::int64_t b);
  std::int64_t (*u64)(Unsigned a, Unsigned b);
};

std::int64_t wrapped(Unsigned value) { return static_cast<std::int64_t>(value); }

// Division and remainder by zero are undefined in ONNX: the result is 0 here, in every build.
std::int64_t quotient(std::int64_t a, std::int64_t b) {
  if (b == 0) return 0;
  return b == -1 ? wrapped(0 - static_cast<Unsigned>(a)) : a / b;
}
std::int64_t remainder(std::int64_t a, std::int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
std::int64_t floored_remainder(std::int64_t a, std::int64_t b) {
  const std::int64_t r = remainder(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
double floored_remainder64(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0.0 && (r < 0.0) != (b < 0.0) ? r + b : r;
}
std::int64_t power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 != 0 ? -1 : 1) : 0;
  Unsigned result = 1;
  Unsigned square = static_cast<Unsigned>(base);
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result *= square;
    square *= square;
  }
  return wrapped(result);
}
double smaller(double a, double b) { return a != a || a < b ? a : b; }
double larger(double a, double b) { return a != a || a > b ? a : b; }

const BinaryRow kRows[] = {
    {"Add", zip_f32__add, [](double a, double b) { return a + b; },
     [](std::int64_t a, std::int64_t b) { return wrapped(static_cast<Unsigned>(a) + static_cast<Unsigned>(b)); }, nullptr},
    {"Sub", zip_f32__sub, [](double a, double b) { return a - b; },
     [](std::int64_t a, std::int64_t b) { return wrapped(static_cast<Unsigned>(a) - static_cast<Unsigned>(b)); }, nullptr},
    {"Mul", zip_f32__mul, [](double a, double b) { return a * b; },
     [](std::int64_t a, std::int64_t b) { return wrapped(static_cast<Unsigned>(a) * static_cast<Unsigned>(b)); }, nullptr},
    {"Div", zip_f32__div, [](double a, double b) { return a / b; }, quotient,
     [](Unsigned a, Unsigned b) { return b == 0 ? 0 : wrapped(a / b); }},
    {"Pow", zip_f32__pow, f64::pow, power, nullptr},
    {"PRelu", zip_f32__prelu, [](double a, double b) { return a < 0.0 ? a * b : a; },
     [](std::int64_t a, std::int64_t b) { return a < 0 ? wrapped(static_cast<Unsigned>(a) * static_cast<Unsigned>(b)) : a; },
     [](Unsigned a, Unsigned) { return wrapped(a); }},
    {"Min", zip_f32__min, smaller, [](std::int64_t a, std::int64_t b) { return std::min(a, b); },
     [](Unsigned a, Unsigned b) { return wrapped(std::min(a, b)); }},
    {"Max", zip_f32__max, larger, [](std::int64_t a, std::int64_t b) { return std::max(a, b); },
     [](Unsigned a, Unsigned b) { return wrapped(std::max(a, b)); }},
    {"Equal", nullptr, [](double a, double b) { return a == b ? 1.0 : 0.0; },
     [](std::int64_t a, std::int64_t b) { return std::int64_t{a == b}; }, nullptr},
    {"Less", nullptr, [](double a, double b) { return a < b ? 1.0 : 0.0; },
     [](std::int64_t a, std::int64_t b) { return std::int64_t{a < b}; },
     [](Unsigned a, Unsigned b) { return std::int64_t{a < b}; }},
    {"LessOrEqual", nullptr, [](double a, double b) { return a <= b ? 1.0 : 0.0; },
     [](std::int64_t a, std::int64_t b) { return std::int64_t{a <= b}; },
     [](Unsigned a, Unsigned b) { return std::int64_t{a <= b}; }},
    {"Greater", nullptr, [](double a, double b) { return a > b ? 1.0 : 0.0; },
     [](std::int64_t a, std::int64_t b) { return std::int64_t{a > b}; },
     [](Unsigned a, Unsigned b) { return std::int64_t{a > b}; }},
    {"GreaterOrEqual", nullptr, [](double a, double b) { return a >= b ? 1.0 : 0.0; },
     [](std::int64_t a, std::int64_t b) { return std::int64_t{a >= b}; },
     [](Unsigned a, Unsigned b) { return std::int64_t{a >= b}; }},
    {"And", nullptr, nullptr, [](std::int64_t a, std::int64_t b) { return std::int64_t{a != 0 && b != 0}; }, nullptr},
    {"Or", nullptr, nullptr, [](std::int64_t a, std::int64_t b) { return std::int64_t{a != 0 || b != 0}; }, nullptr},
    {"Xor", nullptr, nullptr, [](std::int64_t a, std::int64_t b) { return std::int64_t{(a != 0) != (b != 0)}; }, nullptr},
    {"BitwiseAnd", nullptr, nullptr, [](std::int64_t a, std::int64_t b) { return a & b; }, nullptr},
    {"BitwiseOr", nullptr, nullptr, [](std::int64_t a, std::int64_t b) { return a | b; }, nullptr},
    {"BitwiseXor", nullptr, nullptr, [](std::int64_t a, std::int64_t b) { return a ^ b; }, nullptr},
};
const BinaryRow kShiftLeft = {"BitShift", nullptr, nullptr, nullptr,
                              [](Unsigned a, Unsigned b) { return b > 63 ? 0 : wrapped(a << b); }};
const BinaryRow kShiftRight = {"BitShift", nullptr, nullptr,
                               [](std::int64_t a, std::int64_t b) { return a >> (b < 0 || b > 63 ? 63 : b); },  // keeps the sign
                               [](Unsigned a, Unsigned b) { return b > 63 ? 0 : wrapped(a >> b); }};
const BinaryRow kMod = {"Mod", nullptr, floored_remainder64, floored_remainder,
                        [](Unsigned a, Unsigned b) { return b == 0 ? 0 : wrapped(a % b); }};
const BinaryRow kFmod = {"Mod", nullptr, [](double a, double b) { return std::fmod(a, b); }, remainder,
                         [](Unsigned a, Unsigned b) { return b == 0 ? 0 : wrapped(a % b); }};

const BinaryRow& row_of(const Node& node) {
  std::string_view op_type = node.op_type;
  if (op_type == "Mod") return node.attr_i("fmod", 0) != 0 ? kFmod : kMod;
  if (op_type == "BitShift") {
    const std::string direction = node.attr_s("direction", "");
    if (direction != "LEFT" && direction != "RIGHT")
      refuse(node, {"attribute 'direction' is ", in_quotes(direction), ", LEFT or RIGHT is needed"});
    return direction == "LEFT" ? kShiftLeft : kShiftRight;
  }
  if (op_type == "Sum" || op_type == "Mean") op_type = "Add";
  for (const BinaryRow& row : kRows)
    if (row.op_type == op_type) return row;
  BITWRIGHT_ASSERT(false);
  return kRows[0];
}

/// One operand's part of a run: `n` elements, or one where the stride is 0.
template <typename Wide>
struct Lanes {
  std::array<Wide, kBlockElements> values;
  void read(const Tensor& tensor, std::int64_t offset, std::int64_t stride, std::int64_t first, std::int64_t n) {
    if (stride == 0) {
      if (first == 0) read_elements(tensor, offset, std::span<Wide>(values.data(), 1));
    } else {
      read_elements(tensor, offset + first, std::span<Wide>(values.data(), static_cast<std::size_t>(n)));
    }
  }
};

/// zip(a, a_stride, b, b_stride, y, n) over all runs, block by block; y may be a.
template <typename Wide, typename Zip>
void zip_blocks(StridedWalk& walk, const Tensor& a, const Tensor& b, Tensor& y, Zip zip) {
  Lanes<Wide> lanes_a;
  Lanes<Wide> lanes_b;
  std::array<Wide, kBlockElements> out;
  for (; walk.has_run(); walk.advance())
    for (std::int64_t first = 0; first < walk.n_in_run(); first += kBlockElements) {
      const std::int64_t n = std::min(kBlockElements, walk.n_in_run() - first);
      lanes_a.read(a, walk.offset(0), walk.run_stride(0), first, n);
      lanes_b.read(b, walk.offset(1), walk.run_stride(1), first, n);
      zip(lanes_a.values.data(), walk.run_stride(0), lanes_b.values.data(), walk.run_stride(1), out.data(), n);
      write_elements(y, walk.offset(2) + first, std::span<const Wide>(out.data(), static_cast<std::size_t>(n)));
    }
}

template <typename Wide, typename Join>
void zip_each(StridedWalk& walk, const Tensor& a, const Tensor& b, Tensor& y, Join join) {
  zip_blocks<Wide>(walk, a, b, y,
                   [&](const Wide* va, std::int64_t sa, const Wide* vb, std::int64_t sb, Wide* out, std::int64_t n) {
                     for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<Wide>(join(va[i * sa], vb[i * sb]));
                   });
}

void zip_strings(const Node& node, StridedWalk& walk, const Tensor& a, const Tensor& b, Tensor& y) {
  if (node.op_type != "Equal" || b.dtype() != DType::string)
    refuse(node, "strings can only be compared for equality", ErrorCode::unsupported);
  const auto out = y.bytes();
  for (; walk.has_run(); walk.advance())
    for (std::int64_t i = 0; i < walk.n_in_run(); ++i)
      out[static_cast<std::size_t>(walk.offset(2) + i)] =
          a.strings()[static_cast<std::size_t>(walk.offset(0) + i * walk.run_stride(0))] ==
          b.strings()[static_cast<std::size_t>(walk.offset(1) + i * walk.run_stride(1))];
}

void zip(const Node& node, const BinaryRow& row, const Tensor& a, const Tensor& b, Tensor& y) {
  const std::vector<std::int64_t> strides[] = {broadcast_strides(a.shape(), y.shape()), broadcast_strides(b.shape(), y.shape()),
                                               row_major_strides(y.shape())};
  StridedWalk walk(y.shape(), strides);
  const DType dtype = a.dtype();
  if (dtype == DType::f32 && b.dtype() == DType::f32 && row.f32 != nullptr) {
    const float* va = a.data<float>().data();
    const float* vb = b.data<float>().data();
    float* vy = y.data<float>().data();
    for (; walk.has_run(); walk.advance())
      row.f32(va + walk.offset(0), walk.run_stride(0), vb + walk.offset(1), walk.run_stride(1), vy + walk.offset(2),
              walk.n_in_run());
  } else if (dtype == DType::string) {
    zip_strings(node, walk, a, b, y);
  } else if (is_float(dtype) || is_float(b.dtype())) {
    if (row.f64 == nullptr) refuse(node, {"elements of ", dtype_name(dtype), " are not allowed"}, ErrorCode::shape_mismatch);
    if (row.f32 != nullptr && dtype != DType::f64 && b.dtype() == dtype)
      zip_blocks<float>(walk, a, b, y, row.f32);
    else
      zip_each<double>(walk, a, b, y, row.f64);
  } else if (row.u64 != nullptr && (dtype == DType::u64 || row.i64 == nullptr)) {
    zip_each<std::int64_t>(walk, a, b, y, [&](std::int64_t x, std::int64_t z) {
      return row.u64(static_cast<Unsigned>(x), static_cast<Unsigned>(z));
    });
  } else {
    zip_each<std::int64_t>(walk, a, b, y, row.i64);
  }
}

/// Element type checks and the broadcast shape of all inputs.
std::optional<Shape> joined_shape(InferContext& context, bool may_mix_types) {
  std::optional<Shape> joined = context.input(0).shape;
  for (std::size_t i = 1; i < context.n_inputs(); ++i) {
    const DType dtype = context.dtype(i);
    if (!may_mix_types && dtype != context.dtype(0) && dtype != DType::undefined && context.dtype(0) != DType::undefined)
      refuse(context.node(), {"inputs of ", dtype_name(context.dtype(0)), " and ", dtype_name(dtype), " do not mix"},
             ErrorCode::shape_mismatch);
    if (joined && context.has_shape(i))
      joined = broadcast(*joined, context.shape(i));
    else
      joined.reset();
  }
  return joined;
}

void infer_binary(InferContext& context) {
  const bool may_mix_types = context.node().op_type == "Pow";
  context.set_output(0, context.dtype(0), joined_shape(context, may_mix_types));
}

void infer_comparison(InferContext& context) { context.set_output(0, DType::boolean, joined_shape(context, false)); }

void run_binary(RunContext& context) {
  zip(context.node(), row_of(context.node()), context.input(0), context.input(1), context.output(0));
}

void infer_prelu(InferContext& context) {
  infer_like_first(context);
  if (!context.has_shape(0) || !context.has_shape(1)) return;
  const Shape& x = context.shape(0);
  const Shape both = broadcast(x, context.shape(1));
  if (both.size() != x.size() || (is_known(x) && both != x))
    refuse(context.node(), {"a slope of ", context.shape(1), " does not fit an input of ", x}, ErrorCode::shape_mismatch);
}

/// Min, Max, Sum and Mean take any number of inputs, joined from left to right.
void run_variadic(RunContext& context) {
  const Node& node = context.node();
  const BinaryRow& row = row_of(node);
  Tensor& y = context.output(0);
  const std::size_t n = context.n_inputs();
  if (n == 1) {
    context.set_output(0, context.input(0));
    return;
  }
  zip(node, row, context.input(0), context.input(1), y);
  for (std::size_t i = 2; i < n; ++i) zip(node, row, y, context.input(i), y);
  if (node.op_type != "Mean") return;
  if (y.dtype() == DType::f64) {
    map_blocks<double>(y, y, [&](std::span<double> v) {
      for (double& element : v) element /= static_cast<double>(n);
    });
  } else {
    map_blocks<float>(y, y, [&](std::span<float> v) {
      for (float& element : v) element /= static_cast<float>(n);
    });
  }
}

void infer_where(InferContext& context) {
  if (context.dtype(1) != context.dtype(2) && context.dtype(1) != DType::undefined && context.dtype(2) != DType::undefined)
    refuse(context.node(), "the two choices differ in element type", ErrorCode::shape_mismatch);
  std::optional<Shape> joined;
  if (context.has_shape(0) && context.has_shape(1) && context.has_shape(2))
    joined = broadcast(broadcast(context.shape(0), context.shape(1)), context.shape(2));
  context.set_output(0, context.dtype(1), joined);
}

template <typename T>
void choose(StridedWalk& walk, const std::uint8_t* condition, const Tensor& a, const Tensor& b, Tensor& y) {
  const T* va = reinterpret_cast<const T*>(a.bytes().data());
  const T* vb = reinterpret_cast<const T*>(b.bytes().data());
  T* vy = reinterpret_cast<T*>(y.bytes().data());
  for (; walk.has_run(); walk.advance())
    for (std::int64_t i = 0; i < walk.n_in_run(); ++i)
      vy[walk.offset(3) + i] = condition[walk.offset(0) + i * walk.run_stride(0)] != 0
                                   ? va[walk.offset(1) + i * walk.run_stride(1)]
                                   : vb[walk.offset(2) + i * walk.run_stride(2)];
}

void run_where(RunContext& context) {
  const Tensor& condition = context.input(0);
  if (condition.dtype() != DType::boolean)
    refuse(context.node(), {"a condition of type ", dtype_name(condition.dtype()), " is not bool"}, ErrorCode::shape_mismatch);
  const Tensor& a = context.input(1);
  const Tensor& b = context.input(2);
  Tensor& y = context.output(0);
  const std::vector<std::int64_t> strides[] = {broadcast_strides(condition.shape(), y.shape()),
                                               broadcast_strides(a.shape(), y.shape()), broadcast_strides(b.shape(), y.shape()),
                                               row_major_strides(y.shape())};
  StridedWalk walk(y.shape(), strides);
  const std::uint8_t* flags = condition.bytes().data();
  switch (element_bytes(y.dtype())) {
    case 1:
      return choose<std::uint8_t>(walk, flags, a, b, y);
    case 2:
      return choose<std::uint16_t>(walk, flags, a, b, y);
    case 4:
      return choose<std::uint32_t>(walk, flags, a, b, y);
    case 8:
      return choose<std::uint64_t>(walk, flags, a, b, y);
    default:
      refuse(context.node(), {"elements of ", dtype_name(y.dtype()), " are not allowed"}, ErrorCode::unsupported);
  }
}

constexpr std::int64_t kArithmeticSince[] = {1, 6, 7, 13, 14};
constexpr std::int64_t kPowSince[] = {1, 7, 12, 13, 15};
constexpr std::int64_t kPreluSince[] = {1, 6, 7, 9, 16};
constexpr std::int64_t kModSince[] = {10, 13, 28};
constexpr std::int64_t kMinMaxSince[] = {1, 6, 8, 12, 13};
constexpr std::int64_t kSumSince[] = {1, 6, 8, 13};
constexpr std::int64_t kLogicSince[] = {1, 7};
constexpr std::int64_t kBitwiseSince[] = {18};
constexpr std::int64_t kBitShiftSince[] = {11, 28};
constexpr std::int64_t kEqualSince[] = {1, 7, 11, 13, 19};
constexpr std::int64_t kOrderSince[] = {1, 7, 9, 13};
constexpr std::int64_t kOrEqualSince[] = {12, 16};
constexpr std::int64_t kWhereSince[] = {9, 16};

constexpr Op kOps[] = {
    {"Add", "", kArithmeticSince, infer_binary, run_binary},
    {"Sub", "", kArithmeticSince, infer_binary, run_binary},
    {"Mul", "", kArithmeticSince, infer_binary, run_binary},
    {"Div", "", kArithmeticSince, infer_binary, run_binary},
    {"Pow", "", kPowSince, infer_binary, run_binary},
    {"Mod", "", kModSince, infer_binary, run_binary},
    {"PRelu", "", kPreluSince, infer_prelu, run_binary},
    {"Min", "", kMinMaxSince, infer_binary, run_variadic},
    {"Max", "", kMinMaxSince, infer_binary, run_variadic},
    {"Sum", "", kSumSince, infer_binary, run_variadic},
    {"Mean", "", kSumSince, infer_binary, run_variadic},
    {"And", "", kLogicSince, infer_comparison, run_binary},
    {"Or", "", kLogicSince, infer_comparison, run_binary},
    {"Xor", "", kLogicSince, infer_comparison, run_binary},
    {"BitwiseAnd", "", kBitwiseSince, infer_binary, run_binary},
    {"BitwiseOr", "", kBitwiseSince, infer_binary, run_binary},
    {"BitwiseXor", "", kBitwiseSince, infer_binary, run_binary},
    {"BitShift", "", kBitShiftSince, infer_binary, run_binary},
    {"Equal", "", kEqualSince, infer_comparison, run_binary},
    {"Less", "", kOrderSince, infer_comparison, run_binary},
    {"Greater", "", kOrderSince, infer_comparison, run_binary},
    {"LessOrEqual", "", kOrEqualSince, infer_comparison, run_binary},
    {"GreaterOrEqual", "", kOrEqualSince, infer_comparison, run_binary},
    {"Where", "", kWhereSince, infer_where, run_where},
};

}  // namespace

extern const OpFamily binary_family;
const OpFamily binary_family{"binary", kOps};

}  // namespace bitwright
