#include <algorithm>
#include <cstring>

#include "ops/shapes.h"
#include "tensor/strides.h"

// Operators that write at places named by data: ScatterElements (Scatter), ScatterND, TensorScatter.
namespace bitwright {

namespace {

enum class Joining { replace, add, mul, min, max };

Joining joining_of(const Node& node) {
  const std::string name = node.attr_s("reduction", "none");
  if (name == "none") return Joining::replace;
  if (name == "add") return Joining::add;
  if (name == "mul") return Joining::mul;
  if (name == "min") return Joining::min;
  if (name == "max") return Joining::max;
  refuse(node, {"attribute 'reduction' is ", in_quotes(name), ", which is unknown"}, ErrorCode::unsupported);
}

template <typename Wide>
Wide joined(Joining joining, Wide old_value, Wide update) {
  switch (joining) {
    case Joining::add:
      return old_value + update;
    case Joining::mul:
      return old_value * update;
    case Joining::min:
      return std::min(old_value, update);
    case Joining::max:
      return std::max(old_value, update);
    default:
      return update;
  }
}

/// y[to ...] = join(y[to ...], updates[from ...]) for n consecutive elements. Integers wrap.
template <typename Wide>
void join_elements(Joining joining, Tensor& y, std::int64_t to, const Tensor& updates, std::int64_t from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    Wide old_value{};
    Wide update{};
    read_elements(y, to + i, std::span<Wide>(&old_value, 1));
    read_elements(updates, from + i, std::span<Wide>(&update, 1));
    if constexpr (std::is_same_v<Wide, std::int64_t>) {
      if (joining == Joining::add || joining == Joining::mul)
        old_value = static_cast<Wide>(joined(joining, static_cast<std::uint64_t>(old_value), static_cast<std::uint64_t>(update)));
      else
        old_value = joined(joining, old_value, update);
    } else {
      old_value = joined(joining, old_value, update);
    }
    write_elements(y, to + i, std::span<const Wide>(&old_value, 1));
  }
}

void put(Joining joining, Tensor& y, std::int64_t to, const Tensor& updates, std::int64_t from, std::int64_t n) {
  if (joining == Joining::replace) {
    const std::size_t bytes = element_bytes(y.dtype());
    std::memcpy(y.bytes().data() + static_cast<std::size_t>(to) * bytes,
                updates.bytes().data() + static_cast<std::size_t>(from) * bytes, static_cast<std::size_t>(n) * bytes);
  } else if (y.dtype() == DType::f64) {
    join_elements<double>(joining, y, to, updates, from, n);
  } else if (is_float(y.dtype())) {
    join_elements<float>(joining, y, to, updates, from, n);
  } else {
    join_elements<std::int64_t>(joining, y, to, updates, from, n);
  }
}

std::int64_t checked_index(const Node& node, std::int64_t index, std::int64_t extent) {
  if (index < -extent || index >= extent)
    refuse(node, {"index ", index, " lies outside of an axis of ", extent}, ErrorCode::bad_data);
  return index < 0 ? index + extent : index;
}

/// The output, holding a copy of the data.
Tensor& copied_data(RunContext& context, std::size_t i_updates) {
  const Tensor& data = context.input(0);
  if (data.dtype() == DType::string) refuse(context.node(), "strings cannot be scattered", ErrorCode::unsupported);
  if (context.input(i_updates).dtype() != data.dtype())
    refuse(context.node(), "data and updates differ in element type", ErrorCode::shape_mismatch);
  Tensor& y = context.output(0);
  std::copy(data.bytes().begin(), data.bytes().end(), y.bytes().begin());
  return y;
}

void run_scatter_elements(RunContext& context) {
  const Node& node = context.node();
  const Tensor& updates = context.input(2);
  const Shape& shape = context.input(1).shape();
  Tensor& y = copied_data(context, 2);
  if (updates.shape() != shape || shape.size() != y.rank())
    refuse(node, "data, indices and updates do not fit together", ErrorCode::shape_mismatch);
  const auto axis = static_cast<std::size_t>(normalized_axis(node.attr_i("axis", 0), y.rank()));
  for (std::size_t i = 0; i < y.rank(); ++i)
    if (i != axis && shape[i] > y.extent(i)) refuse(node, {"the indices reach beyond axis ", i}, ErrorCode::shape_mismatch);
  const Joining joining = joining_of(node);
  const std::vector<std::int64_t> indices = to_i64_vector(context.input(1));
  std::vector<std::int64_t> strides[1] = {row_major_strides(y.shape())};
  const std::int64_t axis_stride = strides[0][axis];
  strides[0][axis] = 0;
  std::int64_t next = 0;
  for (StridedWalk walk(shape, strides); walk.has_run(); walk.advance())
    for (std::int64_t i = 0; i < walk.n_in_run(); ++i, ++next) {
      const std::int64_t index = checked_index(node, indices[static_cast<std::size_t>(next)], y.extent(axis));
      put(joining, y, walk.offset(0) + i * walk.run_stride(0) + index * axis_stride, updates, next, 1);
    }
}

void run_scatter_nd(RunContext& context) {
  const Node& node = context.node();
  const Tensor& updates = context.input(2);
  const Shape& index_shape = context.input(1).shape();
  Tensor& y = copied_data(context, 2);
  if (index_shape.empty() || index_shape.back() > static_cast<std::int64_t>(y.rank()))
    refuse(node, "the indices name more axes than the data have", ErrorCode::shape_mismatch);
  const auto n_indexed = static_cast<std::size_t>(index_shape.back());
  Shape wanted(index_shape.begin(), index_shape.end() - 1);
  wanted.insert(wanted.end(), y.shape().begin() + static_cast<std::ptrdiff_t>(n_indexed), y.shape().end());
  if (updates.shape() != wanted)
    refuse(node, {"updates of ", wanted, " are needed, ", updates.shape(), " were given"}, ErrorCode::shape_mismatch);
  const Joining joining = joining_of(node);
  const std::vector<std::int64_t> indices = to_i64_vector(context.input(1));
  const std::vector<std::int64_t> strides = row_major_strides(y.shape());
  std::int64_t slice = 1;
  for (std::size_t i = n_indexed; i < y.rank(); ++i) slice *= y.extent(i);
  if (updates.n_elements() == 0) return;
  for (std::int64_t i = 0; i < updates.n_elements() / slice; ++i) {
    std::int64_t to = 0;
    for (std::size_t k = 0; k < n_indexed; ++k)
      to += checked_index(node, indices[static_cast<std::size_t>(i) * n_indexed + k], y.extent(k)) * strides[k];
    put(joining, y, to, updates, i * slice, slice);
  }
}

// A cache [batch, ..., max_length, ...] whose sequence axis takes `update` from the batch's write index on.
void run_tensor_scatter(RunContext& context) {
  const Node& node = context.node();
  const Tensor& update = context.input(1);
  Tensor& y = copied_data(context, 1);
  const std::string mode = node.attr_s("mode", "linear");
  if (mode != "linear" && mode != "circular")
    refuse(node, {"attribute 'mode' is ", in_quotes(mode), ", linear or circular is needed"});
  const auto axis = static_cast<std::size_t>(normalized_axis(node.attr_i("axis", -2), y.rank()));
  if (axis == 0 || update.rank() != y.rank())
    refuse(node, "the sequence axis cannot be the batch axis, and ranks must agree", ErrorCode::shape_mismatch);
  for (std::size_t i = 0; i < y.rank(); ++i)
    if (i != axis ? update.extent(i) != y.extent(i) : update.extent(i) > y.extent(i))
      refuse(node, {"an update of ", update.shape(), " does not fit a cache of ", y.shape()}, ErrorCode::shape_mismatch);
  const AxisView view = around_axis(y.shape(), axis);
  std::vector<std::int64_t> first(static_cast<std::size_t>(y.extent(0)), 0);
  if (context.has_input(2)) {
    if (context.input(2).n_elements() != y.extent(0))
      refuse(node, "one write index for each batch is needed", ErrorCode::shape_mismatch);
    first = to_i64_vector(context.input(2));
  }
  if (update.n_elements() == 0) return;
  const std::int64_t n_new = update.extent(axis);
  const std::int64_t rows_per_batch = view.outer / y.extent(0);
  for (std::int64_t outer = 0; outer < view.outer; ++outer)
    for (std::int64_t t = 0; t < n_new; ++t) {
      const std::int64_t start = first[static_cast<std::size_t>(outer / rows_per_batch)];
      if (start < 0 || start > view.extent - (mode == "linear" ? n_new : 0))
        refuse(node, {"write index ", start, " lies outside of the cache"}, ErrorCode::bad_data);
      const std::int64_t place = (start + t) % view.extent;
      put(Joining::replace, y, (outer * view.extent + place) * view.inner, update, (outer * n_new + t) * view.inner, view.inner);
    }
}

constexpr std::int64_t kScatterSince[] = {9, 11};
constexpr std::int64_t kScatterElementsSince[] = {11, 13, 16, 18};
constexpr std::int64_t kTensorScatterSince[] = {24};

constexpr Op kOps[] = {
    {"Scatter", "", kScatterSince, infer_like_first, run_scatter_elements},
    {"ScatterElements", "", kScatterElementsSince, infer_like_first, run_scatter_elements},
    {"ScatterND", "", kScatterElementsSince, infer_like_first, run_scatter_nd},
    {"TensorScatter", "", kTensorScatterSince, infer_like_first, run_tensor_scatter},
};

}  // namespace

extern const OpFamily scatter_family;
const OpFamily scatter_family{"scatter", kOps};

}  // namespace bitwright
