#include "ops/elementwise.h"

namespace bitwright {

namespace {

DType target_of(const Node& node) {
  const std::int64_t number = node.attr_i("to", 0);
  const auto dtype = dtype_from_onnx(number);
  if (!dtype) refuse(node, {"attribute 'to' is ", number, ", which names no element type"});
  return *dtype;
}

void infer_cast(InferContext& context) { context.set_output(0, target_of(context.node()), context.input(0).shape); }
void infer_cast_like(InferContext& context) { context.set_output(0, context.dtype(1), context.input(0).shape); }

NarrowOptions narrow_options(const Node& node) {
  NarrowOptions options;
  options.is_saturating = node.attr_i("saturate", 1) != 0;
  const std::string rounding = node.attr_s("round_mode", "up");
  if (rounding == "nearest")
    options.scale_rounding = ScaleRounding::nearest;
  else if (rounding == "down")
    options.scale_rounding = ScaleRounding::down;
  else if (rounding != "up")
    refuse(node, {"attribute 'round_mode' is ", in_quotes(rounding), ", up, down or nearest is needed"});
  return options;
}

template <typename Wide>
void cast_through(const Tensor& x, Tensor& y, NarrowOptions options) {
  std::array<Wide, kBlockElements> block;
  for (std::int64_t first = 0; first < x.n_elements(); first += kBlockElements) {
    const std::span<Wide> values(block.data(), static_cast<std::size_t>(std::min(kBlockElements, x.n_elements() - first)));
    read_elements(x, first, values);
    write_elements(y, first, std::span<const Wide>(values), options);
  }
}

void run_cast(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  if (x.dtype() == y.dtype()) {
    context.set_output(0, x);
    return;
  }
  for (const DType dtype : {x.dtype(), y.dtype()})
    if (dtype == DType::string || dtype == DType::c64 || dtype == DType::c128)
      refuse(context.node(), {"casts of ", dtype_name(dtype), " are not supported"}, ErrorCode::unsupported);
  const NarrowOptions options = narrow_options(context.node());
  // u64 above 2^63 must not be taken for a negative number on its way to a float.
  if (x.dtype() == DType::f64 || (x.dtype() == DType::u64 && y.dtype() == DType::f64) ||
      (is_float(x.dtype()) && !is_float(y.dtype())))
    cast_through<double>(x, y, options);
  else if (is_float(x.dtype()) || x.dtype() == DType::e8m0 || (x.dtype() == DType::u64 && is_float(y.dtype())))
    cast_through<float>(x, y, options);
  else
    cast_through<std::int64_t>(x, y, options);
}

void infer_bit_cast(InferContext& context) {
  const DType target = target_of(context.node());
  const DType source = context.dtype(0);
  if (source != DType::undefined && (dtype_bits(source) != dtype_bits(target) || dtype_bits(target) == 0))
    refuse(context.node(), {"elements of ", dtype_name(source), " and ", dtype_name(target), " differ in size"},
           ErrorCode::shape_mismatch);
  context.set_output(0, target, context.input(0).shape);
}

void run_bit_cast(RunContext& context) {
  const auto bytes = context.input(0).bytes();
  std::copy(bytes.begin(), bytes.end(), context.output(0).bytes().begin());
}

constexpr std::int64_t kCastSince[] = {1, 6, 9, 13, 19, 21, 23, 24, 25, 28};
constexpr std::int64_t kCastLikeSince[] = {15, 19, 21, 23, 24, 25};
constexpr std::int64_t kBitCastSince[] = {26};

constexpr Op kOps[] = {
    {"Cast", "", kCastSince, infer_cast, run_cast},
    {"CastLike", "", kCastLikeSince, infer_cast_like, run_cast},
    {"BitCast", "", kBitCastSince, infer_bit_cast, run_bit_cast},
};

}  // namespace

extern const OpFamily cast_family;
const OpFamily cast_family{"cast", kOps};

}  // namespace bitwright
