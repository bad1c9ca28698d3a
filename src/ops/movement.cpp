#include <algorithm>

#include "ops/shapes.h"
#include "tensor/strides.h"

// Operators that move elements along a fixed pattern: Transpose, Expand, Tile, Concat, Split, Slice, DepthToSpace, SpaceToDepth.
namespace bitwright {

namespace {

/// y, dense of shape `extents`, takes from x by strides of x.
void copy_by_strides(const Tensor& x, const Shape& extents, std::span<const std::int64_t> x_strides, std::int64_t x_first,
                     Tensor& y) {
  const std::size_t bytes = element_bytes(x.dtype());
  if (y.n_elements() == 0) return;
  strided_copy(bytes, extents, x.bytes().data() + static_cast<std::size_t>(x_first) * bytes, x_strides, y.bytes().data(),
               row_major_strides(extents));
}

void copy_transposed(const Tensor& x, const Shape& x_shape, std::span<const std::size_t> order, Tensor& y) {
  const std::vector<std::int64_t> dense = row_major_strides(x_shape);
  Shape extents;
  std::vector<std::int64_t> strides;
  for (const std::size_t axis : order) {
    extents.push_back(x_shape[axis]);
    strides.push_back(dense[axis]);
  }
  copy_by_strides(x, extents, strides, 0, y);
}

std::vector<std::size_t> transpose_order(const Node& node, std::size_t rank) {
  std::vector<std::size_t> order(rank);
  if (!node.has("perm")) {
    for (std::size_t i = 0; i < rank; ++i) order[i] = rank - 1 - i;
    return order;
  }
  const std::vector<std::int64_t> perm = node.attr_ints("perm");
  if (perm.size() != rank)
    refuse(node, {"attribute 'perm' has ", perm.size(), " axes, the input ", rank}, ErrorCode::shape_mismatch);
  axis_flags(node, perm, rank);
  for (std::size_t i = 0; i < rank; ++i) order[i] = static_cast<std::size_t>(normalized_axis(perm[i], rank));
  return order;
}

void infer_transpose(InferContext& context) {
  if (lacks_rank(context)) return;
  const Shape& shape = context.shape(0);
  Shape out;
  for (const std::size_t axis : transpose_order(context.node(), shape.size())) out.push_back(shape[axis]);
  context.set_output(0, context.dtype(0), out);
}

/// Packed 4- and 2-bit elements are turned over one by one.
void transpose_packed(const Tensor& x, std::span<const std::size_t> order, Tensor& y) {
  const std::vector<std::int64_t> dense = row_major_strides(x.shape());
  std::vector<std::int64_t> strides[1];
  for (const std::size_t axis : order) strides[0].push_back(dense[axis]);
  std::int64_t next = 0;
  for (StridedWalk walk(y.shape(), strides); walk.has_run(); walk.advance())
    for (std::int64_t i = 0; i < walk.n_in_run(); ++i) {
      const float value = static_cast<float>(element_f64(x, walk.offset(0) + i * walk.run_stride(0)));
      write_elements(y, next++, std::span<const float>(&value, 1));
    }
}

void run_transpose(RunContext& context) {
  const Tensor& x = context.input(0);
  const std::vector<std::size_t> order = transpose_order(context.node(), x.rank());
  // Axes of extent 1 may move freely: where the others keep their order the bytes stay.
  std::size_t last = 0;
  bool is_view = true;
  for (const std::size_t axis : order) {
    if (x.extent(axis) == 1) continue;
    is_view = is_view && axis >= last;
    last = axis;
  }
  if (is_view) return context.set_output(0, x.reshaped(*context.inferred(0).shape));
  if (dtype_bits(x.dtype()) < 8) return transpose_packed(x, order, context.output(0));
  copy_transposed(x, x.shape(), order, context.output(0));
}

void infer_expand(InferContext& context) {
  const auto wanted = context.ints_of(1);
  if (lacks_rank(context)) return;
  if (!wanted) {
    const auto n = list_length(context, 1);
    const auto rank = static_cast<std::int64_t>(context.shape(0).size());
    return context.set_output(0, context.dtype(0), n ? std::optional<Shape>(unknown_shape(std::max(*n, rank))) : std::nullopt);
  }
  for (const std::int64_t extent : *wanted)
    if (extent < 0) refuse(context.node(), {"the shape has extent ", extent}, ErrorCode::shape_mismatch);
  context.set_output(0, context.dtype(0), broadcast(context.shape(0), *wanted));
}

void run_expand(RunContext& context) {
  const Tensor& x = context.input(0);
  const Shape& shape = *context.inferred(0).shape;
  if (n_elements(shape) == x.n_elements()) return context.set_output(0, x.reshaped(shape));
  copy_by_strides(x, shape, broadcast_strides(x.shape(), shape), 0, context.output(0));
}

void infer_tile(InferContext& context) {
  if (lacks_rank(context)) return;
  Shape shape = context.shape(0);
  const auto repeats = context.ints_of(1);
  if (repeats && repeats->size() != shape.size())
    refuse(context.node(), "one repeat for each axis is needed", ErrorCode::shape_mismatch);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (repeats && (*repeats)[i] < 0) refuse(context.node(), {"repeat ", (*repeats)[i], " is negative"});
    shape[i] = repeats ? extent_product(shape[i], (*repeats)[i]) : kUnknownDim;
  }
  context.set_output(0, context.dtype(0), shape);
}

void run_tile(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const std::vector<std::int64_t> repeats = to_i64_vector(context.input(1));
  const std::vector<std::int64_t> dense = row_major_strides(x.shape());
  Shape extents;  // [repeat, extent] for each axis: the repeat has stride 0
  std::vector<std::int64_t> strides;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    extents.insert(extents.end(), {repeats[i], x.extent(i)});
    strides.insert(strides.end(), {0, dense[i]});
  }
  copy_by_strides(x, extents, strides, 0, y);
}

void infer_concat(InferContext& context) {
  if (lacks_rank(context)) return;
  Shape out = context.shape(0);
  if (!context.node().has("axis")) refuse(context.node(), "attribute 'axis' is missing");
  const auto axis = static_cast<std::size_t>(normalized_axis(context.node().attr_i("axis", 0), out.size()));
  for (std::size_t i = 1; i < context.n_inputs(); ++i) {
    if (context.dtype(i) != DType::undefined && context.dtype(0) != DType::undefined && context.dtype(i) != context.dtype(0))
      refuse(context.node(), "the inputs differ in element type", ErrorCode::shape_mismatch);
    if (!context.has_shape(i)) {
      out[axis] = kUnknownDim;
      continue;
    }
    const Shape& shape = context.shape(i);
    if (shape.size() != out.size())
      refuse(context.node(), {context.shape(0), " and ", shape, " differ in rank"}, ErrorCode::shape_mismatch);
    for (std::size_t k = 0; k < out.size(); ++k) {
      if (k == axis) {
        out[k] = out[k] < 0 || shape[k] < 0 ? kUnknownDim : out[k] + shape[k];
      } else if (out[k] == kUnknownDim) {
        out[k] = shape[k];
      } else if (shape[k] != kUnknownDim && shape[k] != out[k]) {
        refuse(context.node(), {context.shape(0), " and ", shape, " do not fit together along axis ", axis},
               ErrorCode::shape_mismatch);
      }
    }
  }
  context.set_output(0, context.dtype(0), out);
}

void run_concat(RunContext& context) {
  Tensor& y = context.output(0);
  const auto axis = static_cast<std::size_t>(normalized_axis(context.node().attr_i("axis", 0), y.rank()));
  const AxisView whole = around_axis(y.shape(), axis);
  if (y.dtype() == DType::string) {
    std::int64_t first = 0;
    for (std::size_t i = 0; i < context.n_inputs(); ++i) {
      const Tensor& x = context.input(i);
      const std::int64_t n = x.extent(axis) * whole.inner;
      for (std::int64_t row = 0; row < whole.outer; ++row)
        std::copy_n(x.strings().begin() + row * n, n, y.strings().begin() + row * whole.extent * whole.inner + first);
      first += n;
    }
    return;
  }
  const std::size_t bytes = element_bytes(y.dtype());
  const auto row_bytes = static_cast<std::size_t>(whole.extent * whole.inner) * bytes;
  std::size_t first = 0;
  for (std::size_t i = 0; i < context.n_inputs(); ++i) {
    const Tensor& x = context.input(i);
    const auto n = static_cast<std::size_t>(x.extent(axis) * whole.inner) * bytes;
    if (n != 0)
      for (std::int64_t row = 0; row < whole.outer; ++row)
        std::copy_n(x.bytes().data() + static_cast<std::size_t>(row) * n, n,
                    y.bytes().data() + static_cast<std::size_t>(row) * row_bytes + first);
    first += n;
  }
}

void infer_split(InferContext& context) {
  if (lacks_rank(context)) return;
  const Node& node = context.node();
  const Shape& shape = context.shape(0);
  const auto axis = static_cast<std::size_t>(normalized_axis(node.attr_i("axis", 0), shape.size()));
  const auto n_parts = static_cast<std::int64_t>(context.n_outputs());
  auto parts = context.ints_of(1, "split");
  const bool has_parts = context.has_input(1) || node.has("split");
  const std::int64_t extent = shape[axis];
  if (!has_parts) {
    if (node.has("num_outputs") && node.attr_i("num_outputs", 0) != n_parts)
      refuse(node, "attribute 'num_outputs' is not the number of outputs");
    if (n_parts == 0) refuse(node, "there are no outputs");
    const std::int64_t even = extent < 0 ? kUnknownDim : (extent + n_parts - 1) / n_parts;
    if (extent >= 0 && extent % n_parts != 0 && !node.has("num_outputs"))
      refuse(node, {"an extent of ", extent, " is not divided by ", n_parts}, ErrorCode::shape_mismatch);
    parts.emplace(static_cast<std::size_t>(n_parts), even);
    if (extent >= 0) parts->back() = extent - even * (n_parts - 1);  // the last part is smaller
    if (extent >= 0 && parts->back() < 0)
      refuse(node, {"an extent of ", extent, " is too small for the parts"}, ErrorCode::shape_mismatch);
  } else if (parts) {
    std::int64_t sum = 0;
    for (const std::int64_t part : *parts) {
      if (part < 0 || part > kMaxElements) refuse(node, {"a part has extent ", part}, ErrorCode::shape_mismatch);
      sum += part;
    }
    if (static_cast<std::int64_t>(parts->size()) != n_parts || (extent >= 0 && sum != extent))
      refuse(node, {"the parts ", *parts, " do not make up the ", extent, " elements of the axis"}, ErrorCode::shape_mismatch);
  }
  for (std::size_t i = 0; i < context.n_outputs(); ++i) {
    Shape out = shape;
    out[axis] = parts ? (*parts)[i] : kUnknownDim;
    context.set_output(i, context.dtype(0), out);
  }
}

void run_split(RunContext& context) {
  const Tensor& x = context.input(0);
  const auto axis = static_cast<std::size_t>(normalized_axis(context.node().attr_i("axis", 0), x.rank()));
  const AxisView whole = around_axis(x.shape(), axis);
  const std::vector<std::int64_t> strides = row_major_strides(x.shape());
  std::int64_t first = 0;
  for (std::size_t i = 0; i < context.n_outputs(); ++i) {
    const Shape& shape = *context.inferred(i).shape;
    if (context.wants_output(i)) copy_by_strides(x, shape, strides, first * whole.inner, context.output(i));
    first += shape[axis];
  }
}

/// One axis of a slice: `n` elements from `first` on in steps of `step`.
struct SliceAxis {
  std::int64_t first = 0;
  std::int64_t step = 1;
  std::int64_t n = 0;
};

SliceAxis slice_axis(std::int64_t extent, std::int64_t start, std::int64_t end, std::int64_t step) {
  step = std::max(step, -INT64_MAX);
  if (start < 0) start += extent;
  if (end < 0) end += extent;
  SliceAxis out{0, step, 0};
  if (step > 0) {
    out.first = std::clamp<std::int64_t>(start, 0, extent);
    const std::int64_t last = std::clamp<std::int64_t>(end, 0, extent);
    if (last > out.first) out.n = (last - out.first - 1) / step + 1;
  } else {
    out.first = std::clamp<std::int64_t>(start, 0, std::max<std::int64_t>(extent - 1, 0));
    const std::int64_t last = std::clamp<std::int64_t>(end, -1, extent - 1);
    if (extent > 0 && out.first > last) out.n = (out.first - last - 1) / -step + 1;
  }
  return out;
}

struct SliceLists {
  std::optional<std::vector<std::int64_t>> starts, ends, axes, steps;
};

/// nullopt inside where a list is not known yet; axes and steps are completed.
void check_slice(const Node& node, SliceLists& lists, std::size_t rank) {
  if (!lists.starts || !lists.ends) return;
  const std::size_t n = lists.starts->size();
  if (lists.axes && lists.axes->empty())
    for (std::size_t i = 0; i < n; ++i) lists.axes->push_back(static_cast<std::int64_t>(i));
  if (lists.steps && lists.steps->empty()) lists.steps->assign(n, 1);
  if (lists.ends->size() != n || (lists.axes && lists.axes->size() != n) || (lists.steps && lists.steps->size() != n))
    refuse(node, "starts, ends, axes and steps differ in length", ErrorCode::shape_mismatch);
  if (lists.axes) axis_flags(node, *lists.axes, rank);
  if (lists.steps && std::find(lists.steps->begin(), lists.steps->end(), 0) != lists.steps->end()) refuse(node, "a step is 0");
}

void infer_slice(InferContext& context) {
  if (lacks_rank(context)) return;
  const Node& node = context.node();
  Shape shape = context.shape(0);
  SliceLists lists;
  if (context.opset() < 10) {
    lists = {node.attr_ints("starts"), node.attr_ints("ends"), node.attr_ints("axes"), std::vector<std::int64_t>{}};
  } else {
    lists = {context.ints_of(1), context.ints_of(2), context.ints_of(3), context.ints_of(4)};
  }
  check_slice(node, lists, shape.size());
  if (!lists.axes) {
    shape.assign(shape.size(), kUnknownDim);
  } else if (!lists.starts || !lists.ends || !lists.steps) {
    if (lists.axes->empty()) {
      shape.assign(shape.size(), kUnknownDim);
    } else {
      for (const std::int64_t axis : *lists.axes)
        shape[static_cast<std::size_t>(normalized_axis(axis, shape.size()))] = kUnknownDim;
    }
  } else {
    for (std::size_t i = 0; i < lists.axes->size(); ++i) {
      std::int64_t& extent = shape[static_cast<std::size_t>(normalized_axis((*lists.axes)[i], shape.size()))];
      if (extent >= 0) extent = slice_axis(extent, (*lists.starts)[i], (*lists.ends)[i], (*lists.steps)[i]).n;
    }
  }
  context.set_output(0, context.dtype(0), shape);
}

void run_slice(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  const auto list = [&](std::size_t i) {
    return context.has_input(i) ? to_i64_vector(context.input(i)) : std::vector<std::int64_t>{};
  };
  SliceLists lists;
  if (context.opset() < 10)
    lists = {node.attr_ints("starts"), node.attr_ints("ends"), node.attr_ints("axes"), std::vector<std::int64_t>{}};
  else
    lists = {list(1), list(2), list(3), list(4)};
  check_slice(node, lists, x.rank());
  const Shape& shape = *context.inferred(0).shape;
  if (shape == x.shape() && std::all_of(lists.steps->begin(), lists.steps->end(), [](std::int64_t step) { return step > 0; }))
    return context.set_output(0, x);
  std::vector<std::int64_t> strides = row_major_strides(x.shape());
  std::int64_t first = 0;
  if (n_elements(shape) != 0) {
    for (std::size_t i = 0; i < lists.axes->size(); ++i) {
      const auto axis = static_cast<std::size_t>(normalized_axis((*lists.axes)[i], x.rank()));
      const SliceAxis slice = slice_axis(x.extent(axis), (*lists.starts)[i], (*lists.ends)[i], (*lists.steps)[i]);
      first += slice.first * strides[axis];
      strides[axis] *= slice.n > 1 ? slice.step : 1;
    }
  }
  if (x.dtype() == DType::string) refuse(node, "strings cannot be sliced", ErrorCode::unsupported);
  copy_by_strides(x, shape, strides, first, context.output(0));
}

std::int64_t block_size(const Node& node) {
  const std::int64_t size = node.attr_i("blocksize", 0);
  if (size < 1 || size > kMaxElements) refuse(node, {"attribute 'blocksize' is ", size});
  return size;
}

void infer_depth_to_space(InferContext& context) {
  if (lacks_rank(context)) return;
  const Shape& s = context.shape(0);
  const std::int64_t block = block_size(context.node());
  const std::int64_t area = extent_product(block, block);
  if (s.size() != 4 || (s[1] >= 0 && s[1] % area != 0))
    refuse(context.node(), {s, " has no channels for blocks of ", block}, ErrorCode::shape_mismatch);
  context.set_output(0, context.dtype(0),
                     Shape{s[0], s[1] < 0 ? kUnknownDim : s[1] / area, extent_product(s[2], block), extent_product(s[3], block)});
}

void run_depth_to_space(RunContext& context) {
  const Tensor& x = context.input(0);
  const Shape& s = x.shape();
  const std::int64_t block = block_size(context.node());
  const std::int64_t depth = s[1] / (block * block);
  const std::string mode = context.node().attr_s("mode", "DCR");
  if (mode == "DCR")
    copy_transposed(x, {s[0], block, block, depth, s[2], s[3]}, std::vector<std::size_t>{0, 3, 4, 1, 5, 2}, context.output(0));
  else if (mode == "CRD")
    copy_transposed(x, {s[0], depth, block, block, s[2], s[3]}, std::vector<std::size_t>{0, 1, 4, 2, 5, 3}, context.output(0));
  else
    refuse(context.node(), {"attribute 'mode' is ", in_quotes(mode), ", DCR or CRD is needed"});
}

void infer_space_to_depth(InferContext& context) {
  if (lacks_rank(context)) return;
  const Shape& s = context.shape(0);
  const std::int64_t block = block_size(context.node());
  if (s.size() != 4 || (s[2] >= 0 && s[2] % block != 0) || (s[3] >= 0 && s[3] % block != 0))
    refuse(context.node(), {s, " is not made of blocks of ", block}, ErrorCode::shape_mismatch);
  const auto divided = [&](std::int64_t extent) { return extent < 0 ? kUnknownDim : extent / block; };
  context.set_output(0, context.dtype(0),
                     Shape{s[0], extent_product(s[1], extent_product(block, block)), divided(s[2]), divided(s[3])});
}

void run_space_to_depth(RunContext& context) {
  const Tensor& x = context.input(0);
  const Shape& s = x.shape();
  const std::int64_t block = block_size(context.node());
  const std::string mode = context.node().attr_s("mode", "DCR");
  const std::vector<std::size_t> order =
      mode == "CRD" ? std::vector<std::size_t>{0, 1, 3, 5, 2, 4} : std::vector<std::size_t>{0, 3, 5, 1, 2, 4};
  copy_transposed(x, {s[0], s[1], s[2] / block, block, s[3] / block, block}, order, context.output(0));
}

constexpr std::int64_t kTransposeSince[] = {1, 13, 21, 23, 24, 25};
constexpr std::int64_t kExpandSince[] = {8, 13};
constexpr std::int64_t kTileSince[] = {6, 13};
constexpr std::int64_t kConcatSince[] = {4, 11, 13};
constexpr std::int64_t kSplitSince[] = {2, 11, 13, 18};
constexpr std::int64_t kSliceSince[] = {1, 10, 11, 13};
constexpr std::int64_t kDepthToSpaceSince[] = {1, 11, 13, 28};
constexpr std::int64_t kSpaceToDepthSince[] = {1, 13, 28};

constexpr Op kOps[] = {
    {"Transpose", "", kTransposeSince, infer_transpose, run_transpose},
    {"Expand", "", kExpandSince, infer_expand, run_expand},
    {"Tile", "", kTileSince, infer_tile, run_tile},
    {"Concat", "", kConcatSince, infer_concat, run_concat},
    {"Split", "", kSplitSince, infer_split, run_split},
    {"Slice", "", kSliceSince, infer_slice, run_slice},
    {"DepthToSpace", "", kDepthToSpaceSince, infer_depth_to_space, run_depth_to_space},
    {"SpaceToDepth", "", kSpaceToDepthSince, infer_space_to_depth, run_space_to_depth},
};

}  // namespace

extern const OpFamily movement_family;
const OpFamily movement_family{"movement", kOps};

}  // namespace bitwright
