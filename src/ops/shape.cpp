#include <algorithm>
#include <cmath>

#include "ops/shapes.h"

namespace bitwright {

namespace {

void infer_shape(InferContext& context) {
  if (lacks_rank(context)) return context.set_output(0, DType::i64, unknown_shape(1));
  const auto rank = static_cast<std::int64_t>(context.shape(0).size());
  std::int64_t start = context.node().attr_i("start", 0);
  std::int64_t end = context.node().attr_i("end", rank);
  start = std::clamp<std::int64_t>(start < 0 ? start + rank : start, 0, rank);
  end = std::clamp<std::int64_t>(end < 0 ? end + rank : end, 0, rank);
  context.set_output(0, DType::i64, Shape{std::max<std::int64_t>(end - start, 0)});
}

void run_shape(RunContext& context) {
  const Shape& shape = context.input(0).shape();
  const auto rank = static_cast<std::int64_t>(shape.size());
  const std::int64_t start = context.node().attr_i("start", 0);
  const std::int64_t first = std::clamp<std::int64_t>(start < 0 ? start + rank : start, 0, rank);
  const auto out = context.output(0).data<std::int64_t>();
  std::copy_n(shape.begin() + first, out.size(), out.begin());
}

void infer_size(InferContext& context) { context.set_output(0, DType::i64, Shape{}); }
void run_size(RunContext& context) { context.output(0).data<std::int64_t>()[0] = context.input(0).n_elements(); }

/// Operators that only give the same bytes another shape.
void run_view(RunContext& context) { context.set_output(0, context.input(0).reshaped(*context.inferred(0).shape)); }

void infer_reshape(InferContext& context) {
  const auto wanted = context.ints_of(1);
  if (!wanted) {
    const auto rank = list_length(context, 1);
    return context.set_output(0, context.dtype(0), rank ? std::optional<Shape>(unknown_shape(*rank)) : std::nullopt);
  }
  const bool has_input_shape = context.has_shape(0);
  const bool zero_is_zero = context.node().attr_i("allowzero", 0) != 0;
  Shape shape = *wanted;
  std::optional<std::size_t> open;
  std::int64_t known = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && !zero_is_zero) {
      if (has_input_shape && i >= context.shape(0).size())
        refuse(context.node(), "the new shape copies an axis that the input does not have", ErrorCode::shape_mismatch);
      shape[i] = has_input_shape ? context.shape(0)[i] : kUnknownDim;
      known = extent_product(known, shape[i]);
    } else if (shape[i] == -1) {
      if (open) refuse(context.node(), "the new shape leaves two extents open", ErrorCode::shape_mismatch);
      open = i;
    } else if (shape[i] < -1) {
      refuse(context.node(), {"the new shape has extent ", shape[i]}, ErrorCode::shape_mismatch);
    } else {
      known = extent_product(known, shape[i]);
    }
  }
  if (has_input_shape && is_known(context.shape(0)) && known >= 0) {
    const std::int64_t n = n_elements(context.shape(0));
    const bool fits = open ? (known != 0 ? n % known == 0 : n == 0) : n == known;
    if (!fits) refuse(context.node(), {"shape ", context.shape(0), " cannot be seen as ", *wanted}, ErrorCode::shape_mismatch);
    if (open) shape[*open] = known != 0 ? n / known : 0;
  }
  context.set_output(0, context.dtype(0), shape);
}

void infer_flatten(InferContext& context) {
  if (!context.has_shape(0)) return context.set_output(0, context.dtype(0), unknown_shape(2));
  const Shape& shape = context.shape(0);
  // Counted from the end, -1 is the last axis; the rank itself is allowed too.
  const std::int64_t wanted = context.node().attr_i("axis", 1);
  const auto axis =
      static_cast<std::size_t>(wanted < 0 ? normalized_axis(wanted, shape.size()) : normalized_axis(wanted, shape.size(), true));
  Shape out = {1, 1};
  for (std::size_t i = 0; i < shape.size(); ++i) out[i < axis ? 0 : 1] = extent_product(out[i < axis ? 0 : 1], shape[i]);
  context.set_output(0, context.dtype(0), out);
}

void infer_squeeze(InferContext& context) {
  if (lacks_rank(context)) return;
  const auto axes = context.ints_of(1, "axes");
  if (!axes) return context.set_output(0, context.dtype(0), std::nullopt);
  const Shape& shape = context.shape(0);
  const bool has_axes = context.has_input(1) || context.node().has("axes");
  if (!has_axes && !is_known(shape)) return context.set_output(0, context.dtype(0), std::nullopt);
  const std::vector<bool> is_named = axis_flags(context.node(), *axes, shape.size());
  Shape out;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool is_dropped = has_axes ? is_named[i] : shape[i] == 1;
    if (is_dropped && shape[i] != 1 && shape[i] != kUnknownDim)
      refuse(context.node(), {"axis ", i, " of ", shape, " is not 1"}, ErrorCode::shape_mismatch);
    if (!is_dropped) out.push_back(shape[i]);
  }
  context.set_output(0, context.dtype(0), out);
}

void infer_unsqueeze(InferContext& context) {
  if (lacks_rank(context)) return;
  const Shape& shape = context.shape(0);
  const auto axes = context.ints_of(1, "axes");
  if (!axes) {
    const auto n_axes = list_length(context, 1);
    return context.set_output(
        0, context.dtype(0),
        n_axes ? std::optional<Shape>(unknown_shape(*n_axes + static_cast<std::int64_t>(shape.size()))) : std::nullopt);
  }
  const std::vector<bool> is_new = axis_flags(context.node(), *axes, shape.size() + axes->size());
  Shape out;
  std::size_t next = 0;
  for (const bool inserted : is_new) out.push_back(inserted ? 1 : shape[next++]);
  context.set_output(0, context.dtype(0), out);
}

Tensor fill_value(const Node& node) {
  const Attribute* value = node.find("value");
  if (value == nullptr) return Tensor::scalar(0.0f);
  if (value->t == nullptr) refuse(node, "attribute 'value' is no tensor");
  Tensor tensor = value->t->load();
  if (tensor.n_elements() != 1) refuse(node, "attribute 'value' must hold one element");
  return tensor;
}

void infer_constant_of_shape(InferContext& context) {
  const Attribute* value = context.node().find("value");
  const DType dtype = value == nullptr || value->t == nullptr ? DType::f32 : value->t->dtype;
  const auto extents = context.ints_of(0);
  if (!extents) {
    const auto rank = list_length(context, 0);
    return context.set_output(0, dtype, rank ? std::optional<Shape>(unknown_shape(*rank)) : std::nullopt);
  }
  for (const std::int64_t extent : *extents)
    if (extent < 0) refuse(context.node(), {"the shape has extent ", extent}, ErrorCode::shape_mismatch);
  context.set_output(0, dtype, *extents);
}

void run_constant_of_shape(RunContext& context) { fill_elements(context.output(0), fill_value(context.node())); }

void infer_range(InferContext& context) {
  const Tensor* start = context.value(0);
  const Tensor* limit = context.value(1);
  const Tensor* delta = context.value(2);
  if (start == nullptr || limit == nullptr || delta == nullptr) return context.set_output(0, context.dtype(0), unknown_shape(1));
  if (start->n_elements() != 1 || limit->n_elements() != 1 || delta->n_elements() != 1)
    refuse(context.node(), "start, limit and delta must be single numbers", ErrorCode::shape_mismatch);
  const double step = element_f64(*delta, 0);
  const double n = std::ceil((element_f64(*limit, 0) - element_f64(*start, 0)) / step);
  if (step == 0.0 || !(n < static_cast<double>(kMaxElements)))
    refuse(context.node(), {"the range does not end within ", kMaxElements, " elements"}, ErrorCode::limit_exceeded);
  context.set_output(0, context.dtype(0), Shape{n > 0.0 ? static_cast<std::int64_t>(n) : 0});
}

void run_range(RunContext& context) {
  Tensor& y = context.output(0);
  if (is_integer(y.dtype())) {
    std::int64_t next = element_i64(context.input(0), 0);
    const std::int64_t delta = element_i64(context.input(2), 0);
    for (std::int64_t i = 0; i < y.n_elements(); ++i) {
      write_elements(y, i, std::span<const std::int64_t>(&next, 1));
      next = static_cast<std::int64_t>(static_cast<std::uint64_t>(next) + static_cast<std::uint64_t>(delta));
    }
    return;
  }
  const double start = element_f64(context.input(0), 0);
  const double delta = element_f64(context.input(2), 0);
  for (std::int64_t i = 0; i < y.n_elements(); ++i) {
    const double value = start + static_cast<double>(i) * delta;
    write_elements(y, i, std::span<const double>(&value, 1));
  }
}

void infer_eye_like(InferContext& context) {
  DType dtype = context.dtype(0);
  if (context.node().has("dtype")) {
    const auto wanted = dtype_from_onnx(context.node().attr_i("dtype", 0));
    if (!wanted) refuse(context.node(), "attribute 'dtype' names no element type");
    dtype = *wanted;
  }
  if (context.has_shape(0) && context.shape(0).size() != 2)
    refuse(context.node(), "a matrix is needed", ErrorCode::shape_mismatch);
  context.set_output(0, dtype, context.input(0).shape);
}

void run_eye_like(RunContext& context) {
  Tensor& y = context.output(0);
  std::fill(y.bytes().begin(), y.bytes().end(), std::uint8_t{0});
  const std::int64_t k = context.node().attr_i("k", 0);
  const std::int64_t one = 1;
  for (std::int64_t row = 0; row < y.extent(0); ++row) {
    if (k <= -y.extent(0) || k >= y.extent(1)) break;
    if (row + k >= 0 && row + k < y.extent(1))
      write_elements(y, row * y.extent(1) + row + k, std::span<const std::int64_t>(&one, 1));
  }
}

constexpr std::int64_t kShapeSince[] = {1, 13, 15, 19, 21, 23, 24, 25};
constexpr std::int64_t kSizeSince[] = {1, 13, 19, 21, 23, 24, 25};
constexpr std::int64_t kReshapeSince[] = {5, 13, 14, 19, 21, 23, 24, 25};
constexpr std::int64_t kFlattenSince[] = {1, 9, 11, 13, 21, 23, 24, 25};
constexpr std::int64_t kSqueezeSince[] = {1, 11, 13, 21, 23, 24, 25};
constexpr std::int64_t kConstantOfShapeSince[] = {9, 20, 21, 23, 24, 25};
constexpr std::int64_t kRangeSince[] = {11, 27};
constexpr std::int64_t kEyeLikeSince[] = {9, 22};

constexpr Op kOps[] = {
    {"Shape", "", kShapeSince, infer_shape, run_shape},
    {"Size", "", kSizeSince, infer_size, run_size},
    {"Reshape", "", kReshapeSince, infer_reshape, run_view},
    {"Flatten", "", kFlattenSince, infer_flatten, run_view},
    {"Squeeze", "", kSqueezeSince, infer_squeeze, run_view},
    {"Unsqueeze", "", kSqueezeSince, infer_unsqueeze, run_view},
    {"ConstantOfShape", "", kConstantOfShapeSince, infer_constant_of_shape, run_constant_of_shape},
    {"Range", "", kRangeSince, infer_range, run_range},
    {"EyeLike", "", kEyeLikeSince, infer_eye_like, run_eye_like},
};

}  // namespace

extern const OpFamily shape_family;
const OpFamily shape_family{"shape", kOps};

}  // namespace bitwright
