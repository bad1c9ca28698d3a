#include <algorithm>
#include <cstring>

#include "ops/shapes.h"
#include "tensor/indexed_copy.h"

// Operators that read at places named by data: Gather, GatherElements, GatherND, Compress, OneHot, NonZero, ReverseSequence.
namespace bitwright {

namespace {

/// An index of ONNX, which may count from the end. Throws Error{bad_data} outside of the axis.
std::int64_t checked_index(const Node& node, std::int64_t index, std::int64_t extent) {
  if (index < -extent || index >= extent)
    refuse(node, {"index ", index, " lies outside of an axis of ", extent}, ErrorCode::bad_data);
  return index < 0 ? index + extent : index;
}

void infer_gather(InferContext& context) {
  if (lacks_rank(context)) return;
  const Shape& shape = context.shape(0);
  const auto axis = static_cast<std::ptrdiff_t>(normalized_axis(context.node().attr_i("axis", 0), shape.size()));
  if (!context.has_shape(1)) return context.set_output(0, context.dtype(0), std::nullopt);
  Shape out(shape.begin(), shape.begin() + axis);
  out.insert(out.end(), context.shape(1).begin(), context.shape(1).end());
  out.insert(out.end(), shape.begin() + axis + 1, shape.end());
  context.set_output(0, context.dtype(0), out);
}

void run_gather(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const auto axis = static_cast<std::size_t>(normalized_axis(context.node().attr_i("axis", 0), x.rank()));
  const AxisView view = around_axis(x.shape(), axis);
  std::vector<std::int64_t> indices = to_i64_vector(context.input(1));
  for (std::int64_t& index : indices) index = checked_index(context.node(), index, view.extent);
  if (x.dtype() == DType::string) {
    std::size_t next = 0;
    for (std::int64_t outer = 0; outer < view.outer; ++outer)
      for (const std::int64_t index : indices)
        for (std::int64_t inner = 0; inner < view.inner; ++inner)
          y.strings()[next++] = x.strings()[static_cast<std::size_t>((outer * view.extent + index) * view.inner + inner)];
    return;
  }
  const std::vector<std::vector<std::int64_t>> tables = {whole_axis(view.outer), std::move(indices), {0}};
  const std::size_t row_bytes = element_bytes(x.dtype()) * static_cast<std::size_t>(view.inner);
  if (row_bytes != 0) indexed_copy(row_bytes, {view.outer, view.extent, 1}, x.bytes().data(), tables, nullptr, y.bytes().data());
}

void infer_gather_elements(InferContext& context) {
  context.set_output(0, context.dtype(0), context.input(1).shape);
  if (!context.has_shape(0) || !context.has_shape(1)) return;
  if (context.shape(0).size() != context.shape(1).size())
    refuse(context.node(), "data and indices differ in rank", ErrorCode::shape_mismatch);
  normalized_axis(context.node().attr_i("axis", 0), context.shape(0).size());
}

void run_gather_elements(RunContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& indices = context.input(1);
  Tensor& y = context.output(0);
  const auto axis = static_cast<std::size_t>(normalized_axis(context.node().attr_i("axis", 0), x.rank()));
  for (std::size_t i = 0; i < x.rank(); ++i)
    if (i != axis && indices.extent(i) > x.extent(i))
      refuse(context.node(), {"the indices reach beyond axis ", i}, ErrorCode::shape_mismatch);
  const std::size_t bytes = element_bytes(x.dtype());
  std::vector<std::int64_t> strides[1] = {row_major_strides(x.shape())};
  const std::int64_t axis_stride = strides[0][axis];
  strides[0][axis] = 0;
  const std::vector<std::int64_t> values = to_i64_vector(indices);
  std::size_t next = 0;
  for (StridedWalk walk(indices.shape(), strides); walk.has_run(); walk.advance())
    for (std::int64_t i = 0; i < walk.n_in_run(); ++i, ++next) {
      const std::int64_t index = checked_index(context.node(), values[next], x.extent(axis));
      const std::int64_t from = walk.offset(0) + i * walk.run_stride(0) + index * axis_stride;
      std::memcpy(y.bytes().data() + next * bytes, x.bytes().data() + static_cast<std::size_t>(from) * bytes, bytes);
    }
}

void infer_gather_nd(InferContext& context) {
  if (lacks_rank(context) || lacks_rank(context, 1)) return;
  const Shape& shape = context.shape(0);
  const Shape& indices = context.shape(1);
  const std::int64_t n_batch = context.node().attr_i("batch_dims", 0);
  if (indices.empty() || shape.empty() || n_batch < 0 ||
      n_batch >= static_cast<std::int64_t>(std::min(shape.size(), indices.size())))
    refuse(context.node(), "attribute 'batch_dims' does not fit the inputs", ErrorCode::shape_mismatch);
  const std::int64_t n_indexed = indices.back();
  if (n_indexed < 0) return context.set_output(0, context.dtype(0), std::nullopt);
  if (n_indexed > static_cast<std::int64_t>(shape.size()) - n_batch)
    refuse(context.node(), "the indices name more axes than the data have", ErrorCode::shape_mismatch);
  for (std::int64_t i = 0; i < n_batch; ++i) {
    const auto k = static_cast<std::size_t>(i);
    if (shape[k] >= 0 && indices[k] >= 0 && shape[k] != indices[k])
      refuse(context.node(), "data and indices differ in a batch axis", ErrorCode::shape_mismatch);
  }
  Shape out(indices.begin(), indices.end() - 1);
  out.insert(out.end(), shape.begin() + static_cast<std::ptrdiff_t>(n_batch + n_indexed), shape.end());
  context.set_output(0, context.dtype(0), out);
}

void run_gather_nd(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const Shape& index_shape = context.input(1).shape();
  const auto n_batch = static_cast<std::size_t>(context.node().attr_i("batch_dims", 0));
  const auto n_indexed = static_cast<std::size_t>(index_shape.back());
  const std::vector<std::int64_t> indices = to_i64_vector(context.input(1));
  const std::vector<std::int64_t> strides = row_major_strides(x.shape());
  std::int64_t n_batches = 1;
  std::int64_t slice = 1;
  for (std::size_t i = 0; i < n_batch; ++i) n_batches *= x.extent(i);
  for (std::size_t i = n_batch + n_indexed; i < x.rank(); ++i) slice *= x.extent(i);
  const std::int64_t batch_stride = n_batch == 0 ? 0 : strides[n_batch - 1];
  const std::size_t slice_bytes = static_cast<std::size_t>(slice) * element_bytes(x.dtype());
  const std::int64_t n_slices = y.n_elements() / slice;
  for (std::int64_t i = 0; i < n_slices; ++i) {
    std::int64_t from = i / (n_slices / n_batches) * batch_stride;
    for (std::size_t k = 0; k < n_indexed; ++k)
      from += checked_index(context.node(), indices[static_cast<std::size_t>(i) * n_indexed + k], x.extent(n_batch + k)) *
              strides[n_batch + k];
    std::memcpy(y.bytes().data() + static_cast<std::size_t>(i) * slice_bytes,
                x.bytes().data() + static_cast<std::size_t>(from) * element_bytes(x.dtype()), slice_bytes);
  }
}

void infer_compress(InferContext& context) {
  if (!context.node().has("axis")) return context.set_output(0, context.dtype(0), unknown_shape(1));
  if (lacks_rank(context)) return;
  Shape shape = context.shape(0);
  shape[static_cast<std::size_t>(normalized_axis(context.node().attr_i("axis", 0), shape.size()))] = kUnknownDim;
  context.set_output(0, context.dtype(0), shape);
}

void run_compress(RunContext& context) {
  const bool is_flat = !context.node().has("axis");
  const Tensor x = is_flat ? context.input(0).reshaped({context.input(0).n_elements()}) : context.input(0);
  const auto axis = static_cast<std::size_t>(is_flat ? 0 : normalized_axis(context.node().attr_i("axis", 0), x.rank()));
  const std::vector<std::int64_t> condition = to_i64_vector(context.input(1));
  std::vector<std::vector<std::int64_t>> tables;
  const bool is_empty = x.n_elements() == 0;  // then its other axes may be of any length
  for (std::size_t i = 0; i < x.rank(); ++i)
    tables.push_back(i == axis || is_empty ? std::vector<std::int64_t>{} : whole_axis(x.extent(i)));
  if (static_cast<std::int64_t>(condition.size()) > x.extent(axis))
    refuse(context.node(), "the condition is longer than the axis", ErrorCode::shape_mismatch);
  for (std::size_t i = 0; i < condition.size(); ++i)
    if (condition[i] != 0) tables[axis].push_back(static_cast<std::int64_t>(i));
  Shape shape = x.shape();
  shape[axis] = static_cast<std::int64_t>(tables[axis].size());
  Tensor y(x.dtype(), shape, context.allocator());
  if (!is_empty) indexed_copy(element_bytes(x.dtype()), x.shape(), x.bytes().data(), tables, nullptr, y.bytes().data());
  context.set_output(0, std::move(y));
}

void infer_one_hot(InferContext& context) {
  if (lacks_rank(context)) return context.set_output(0, context.dtype(2), std::nullopt);
  Shape shape = context.shape(0);
  const auto axis = static_cast<std::ptrdiff_t>(normalized_axis(context.node().attr_i("axis", -1), shape.size(), true));
  std::int64_t depth = kUnknownDim;
  if (const Tensor* value = context.value(1)) {
    if (value->n_elements() != 1) refuse(context.node(), "the depth must be one number", ErrorCode::shape_mismatch);
    depth = element_i64(*value, 0);
    if (depth < 0) refuse(context.node(), {"depth ", depth, " is negative"});
  }
  shape.insert(shape.begin() + axis, depth);
  context.set_output(0, context.dtype(2), shape);
}

void run_one_hot(RunContext& context) {
  const Tensor& indices = context.input(0);
  const Tensor& values = context.input(2);
  Tensor& y = context.output(0);
  if (values.n_elements() != 2) refuse(context.node(), "'values' must hold the off and the on value", ErrorCode::shape_mismatch);
  const auto axis = static_cast<std::size_t>(normalized_axis(context.node().attr_i("axis", -1), indices.rank(), true));
  const AxisView view = around_axis(y.shape(), axis);
  fill_elements(y, values);
  const std::size_t bytes = element_bytes(y.dtype());
  for (std::int64_t i = 0; i < indices.n_elements(); ++i) {
    const auto index = element_f64(indices, i);
    const auto depth = static_cast<double>(view.extent);
    if (!(index >= -depth && index < depth)) continue;  // all off
    const auto place = static_cast<std::int64_t>(index < 0.0 ? index + depth : index);
    const std::int64_t to = (i / view.inner * view.extent + place) * view.inner + i % view.inner;
    std::memcpy(y.bytes().data() + static_cast<std::size_t>(to) * bytes, values.bytes().data() + bytes, bytes);
  }
}

void infer_non_zero(InferContext& context) {
  const std::int64_t rank = context.has_shape(0) ? static_cast<std::int64_t>(context.shape(0).size()) : kUnknownDim;
  context.set_output(0, DType::i64, Shape{rank == 0 ? 1 : rank, kUnknownDim});
}

void run_non_zero(RunContext& context) {
  const Tensor& x = context.input(0);
  std::vector<std::int64_t> found;
  for (std::int64_t i = 0; i < x.n_elements(); ++i)
    if (element_f64(x, i) != 0.0) found.push_back(i);
  const std::size_t n_rows = std::max<std::size_t>(x.rank(), 1);
  Tensor y(DType::i64, {static_cast<std::int64_t>(n_rows), static_cast<std::int64_t>(found.size())}, context.allocator());
  const auto out = y.data<std::int64_t>();
  const std::vector<std::int64_t> strides = row_major_strides(x.shape());
  for (std::size_t k = 0; k < n_rows; ++k)
    for (std::size_t i = 0; i < found.size(); ++i)
      out[k * found.size() + i] = x.rank() == 0 ? 0 : found[i] / strides[k] % x.extent(k);
  context.set_output(0, std::move(y));
}

void infer_reverse_sequence(InferContext& context) {
  infer_like_first(context);
  const std::int64_t time = context.node().attr_i("time_axis", 0);
  const std::int64_t batch = context.node().attr_i("batch_axis", 1);
  if (time + batch != 1 || time * batch != 0) refuse(context.node(), "'time_axis' and 'batch_axis' must be 0 and 1, or 1 and 0");
  if (context.has_shape(0) && context.shape(0).size() < 2)
    refuse(context.node(), "an input of rank 2 or more is needed", ErrorCode::shape_mismatch);
}

void run_reverse_sequence(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const auto time = static_cast<std::size_t>(context.node().attr_i("time_axis", 0));
  const std::vector<std::int64_t> strides = row_major_strides(x.shape());
  const std::vector<std::int64_t> lengths = to_i64_vector(context.input(1));
  if (static_cast<std::int64_t>(lengths.size()) != x.extent(1 - time))
    refuse(context.node(), "one length for each sequence is needed", ErrorCode::shape_mismatch);
  const std::size_t block = static_cast<std::size_t>(strides[1]) * element_bytes(x.dtype());
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] < 0 || lengths[b] > x.extent(time))
      refuse(context.node(), {"length ", lengths[b], " lies outside of the time axis"}, ErrorCode::bad_data);
    for (std::int64_t t = 0; t < x.extent(time); ++t) {
      const std::int64_t from = t < lengths[b] ? lengths[b] - 1 - t : t;
      const auto place = [&](std::int64_t at) {
        return static_cast<std::size_t>(time == 0 ? at * x.extent(1) + static_cast<std::int64_t>(b)
                                                  : static_cast<std::int64_t>(b) * x.extent(1) + at) *
               block;
      };
      std::memcpy(y.bytes().data() + place(t), x.bytes().data() + place(from), block);
    }
  }
}

constexpr std::int64_t kGatherSince[] = {1, 11, 13};
constexpr std::int64_t kGatherElementsSince[] = {11, 13};
constexpr std::int64_t kGatherNdSince[] = {11, 12, 13};
constexpr std::int64_t kCompressSince[] = {9, 11, 28};
constexpr std::int64_t kOneHotSince[] = {9, 11, 28};
constexpr std::int64_t kNonZeroSince[] = {9, 13};
constexpr std::int64_t kReverseSequenceSince[] = {10, 28};

constexpr Op kOps[] = {
    {"Gather", "", kGatherSince, infer_gather, run_gather},
    {"GatherElements", "", kGatherElementsSince, infer_gather_elements, run_gather_elements},
    {"GatherND", "", kGatherNdSince, infer_gather_nd, run_gather_nd},
    {"Compress", "", kCompressSince, infer_compress, run_compress},
    {"OneHot", "", kOneHotSince, infer_one_hot, run_one_hot},
    {"NonZero", "", kNonZeroSince, infer_non_zero, run_non_zero},
    {"ReverseSequence", "", kReverseSequenceSince, infer_reverse_sequence, run_reverse_sequence},
};

}  // namespace

extern const OpFamily gather_family;
const OpFamily gather_family{"gather", kOps};

}  // namespace bitwright
