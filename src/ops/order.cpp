#include <algorithm>
#include <bit>

#include "base/sorted_order.h"
#include "ops/shapes.h"
#include "tensor/strides.h"

// Operators that compare or accumulate along one axis: ArgMax, ArgMin, TopK, Hardmax, CumSum, CumProd, Unique, Trilu.
namespace bitwright {

namespace {

/// Numbers that are ordered as the elements are, whatever their type; equal elements have equal keys, NaN the greatest.
std::vector<std::int64_t> order_keys(const Tensor& x) {
  std::vector<std::int64_t> keys(static_cast<std::size_t>(x.n_elements()));
  if (!is_float(x.dtype())) {
    read_elements(x, 0, std::span<std::int64_t>(keys));
    if (x.dtype() == DType::u64)
      for (std::int64_t& key : keys) key ^= INT64_MIN;
    return keys;
  }
  std::array<double, kBlockElements> block;
  for (std::int64_t first = 0; first < x.n_elements(); first += kBlockElements) {
    const std::int64_t n = std::min(kBlockElements, x.n_elements() - first);
    read_elements(x, first, std::span<double>(block.data(), static_cast<std::size_t>(n)));
    for (std::int64_t i = 0; i < n; ++i) {
      const double value = block[static_cast<std::size_t>(i)];
      const auto bits = std::bit_cast<std::int64_t>(value + 0.0);  // -0 becomes 0
      keys[static_cast<std::size_t>(first + i)] = value != value ? INT64_MAX : bits ^ ((bits >> 63) & INT64_MAX);
    }
  }
  return keys;
}

/// The keys of one line along an axis at a time.
class Lines {
 public:
  Lines(const Tensor& x, AxisView view) : view_(view), all_(order_keys(x)), line_(static_cast<std::size_t>(view.extent)) {}
  std::int64_t n_lines() const { return view_.extent == 0 ? 0 : static_cast<std::int64_t>(all_.size()) / view_.extent; }
  /// Where element i of the line stands in the tensor.
  std::int64_t place(std::int64_t line, std::int64_t i) const {
    return (line / view_.inner * view_.extent + i) * view_.inner + line % view_.inner;
  }
  const std::vector<std::int64_t>& line(std::int64_t line) {
    for (std::int64_t i = 0; i < view_.extent; ++i)
      line_[static_cast<std::size_t>(i)] = all_[static_cast<std::size_t>(place(line, i))];
    return line_;
  }

 private:
  AxisView view_;
  std::vector<std::int64_t> all_;
  std::vector<std::int64_t> line_;
};

std::size_t axis_of(const Node& node, std::size_t rank, std::int64_t otherwise) {
  return static_cast<std::size_t>(normalized_axis(node.attr_i("axis", otherwise), rank));
}

void infer_arg(InferContext& context) {
  if (lacks_rank(context)) return context.set_output(0, DType::i64, std::nullopt);
  Shape shape = context.shape(0);
  const std::size_t axis = axis_of(context.node(), shape.size(), 0);
  if (shape[axis] == 0) refuse(context.node(), "the axis is empty", ErrorCode::shape_mismatch);
  if (context.node().attr_i("keepdims", 1) != 0)
    shape[axis] = 1;
  else
    shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  context.set_output(0, DType::i64, shape);
}

void run_arg(RunContext& context) {
  const Tensor& x = context.input(0);
  const auto out = context.output(0).data<std::int64_t>();
  const AxisView view = around_axis(x.shape(), axis_of(context.node(), x.rank(), 0));
  const bool is_max = context.node().op_type == "ArgMax";
  const bool takes_last = context.node().attr_i("select_last_index", 0) != 0;
  Lines lines(x, view);
  for (std::int64_t k = 0; k < lines.n_lines(); ++k) {
    const auto& line = lines.line(k);
    std::size_t best = 0;
    for (std::size_t i = 1; i < line.size(); ++i) {
      const bool is_better = is_max ? line[i] > line[best] : line[i] < line[best];
      if (is_better || (takes_last && line[i] == line[best])) best = i;
    }
    out[static_cast<std::size_t>(k)] = static_cast<std::int64_t>(best);
  }
}

void infer_top_k(InferContext& context) {
  if (lacks_rank(context)) return context.set_output(1, DType::i64, std::nullopt);
  Shape shape = context.shape(0);
  std::int64_t& extent = shape[axis_of(context.node(), shape.size(), -1)];
  const auto k =
      context.opset() < 10 ? std::optional(std::vector<std::int64_t>{context.node().attr_i("k", -1)}) : context.ints_of(1);
  if (k && (k->size() != 1 || (*k)[0] < 0 || (extent >= 0 && (*k)[0] > extent)))
    refuse(context.node(), {"k is outside of the ", extent, " elements of the axis"}, ErrorCode::shape_mismatch);
  extent = k ? (*k)[0] : kUnknownDim;
  context.set_output(0, context.dtype(0), shape);
  context.set_output(1, DType::i64, shape);
}

void run_top_k(RunContext& context) {
  const Tensor& x = context.input(0);
  const std::size_t axis = axis_of(context.node(), x.rank(), -1);
  const AxisView view = around_axis(x.shape(), axis);
  const AxisView out_view = around_axis(*context.inferred(0).shape, axis);
  const bool is_largest = context.node().attr_i("largest", 1) != 0;
  Tensor& values = context.output(0);
  Tensor& indices = context.output(1);
  const auto out = indices.data<std::int64_t>();
  if (out.empty()) return;
  const std::size_t bytes = element_bytes(x.dtype());
  Lines lines(x, view);
  for (std::int64_t k = 0; k < lines.n_lines(); ++k) {
    const auto& line = lines.line(k);
    const std::vector<std::size_t> order = sorted_order(
        line.size(), [&](std::size_t a, std::size_t b) { return line[a] != line[b] && is_largest == (line[a] > line[b]); });
    for (std::int64_t i = 0; i < out_view.extent; ++i) {
      const auto place = static_cast<std::int64_t>(order[static_cast<std::size_t>(i)]);
      const std::int64_t from = lines.place(k, place);
      const std::int64_t to = (k / view.inner * out_view.extent + i) * view.inner + k % view.inner;
      out[static_cast<std::size_t>(to)] = place;
      std::copy_n(x.bytes().data() + static_cast<std::size_t>(from) * bytes, bytes,
                  values.bytes().data() + static_cast<std::size_t>(to) * bytes);
    }
  }
}

void run_hardmax(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  // Before opset 13 all axes from `axis` on are one.
  const bool is_flattened = context.opset() < 13;
  const std::size_t axis = axis_of(context.node(), x.rank(), is_flattened ? 1 : -1);
  AxisView view = around_axis(x.shape(), axis);
  if (is_flattened) view = {view.outer, view.extent * view.inner, 1};
  std::fill(y.bytes().begin(), y.bytes().end(), std::uint8_t{0});
  Lines lines(x, view);
  const float one = 1.0f;
  for (std::int64_t k = 0; k < lines.n_lines(); ++k) {
    const auto& line = lines.line(k);
    const auto best = std::max_element(line.begin(), line.end()) - line.begin();
    write_elements(y, lines.place(k, best), std::span<const float>(&one, 1));
  }
}

void run_cumulate(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  if (context.input(1).n_elements() != 1) refuse(context.node(), "the axis must be one number", ErrorCode::shape_mismatch);
  const auto axis = static_cast<std::size_t>(normalized_axis(element_i64(context.input(1), 0), x.rank()));
  const AxisView view = around_axis(x.shape(), axis);
  const bool is_exclusive = context.node().attr_i("exclusive", 0) != 0;
  const bool is_reversed = context.node().attr_i("reverse", 0) != 0;
  const bool is_sum = context.node().op_type == "CumSum";
  const auto cumulate = [&](auto zero) {
    using Wide = decltype(zero);
    using Number = std::conditional_t<std::is_same_v<Wide, double>, double, std::uint64_t>;  // integers wrap
    std::vector<Wide> values(static_cast<std::size_t>(x.n_elements()));
    read_elements(x, 0, std::span<Wide>(values));
    for (std::int64_t outer = 0; outer < view.outer; ++outer)
      for (std::int64_t inner = 0; inner < view.inner; ++inner) {
        Number total = is_sum ? Number(0) : Number(1);
        for (std::int64_t i = 0; i < view.extent; ++i) {
          const std::int64_t at = is_reversed ? view.extent - 1 - i : i;
          Wide& value = values[static_cast<std::size_t>((outer * view.extent + at) * view.inner + inner)];
          const Number before = total;
          total = is_sum ? total + static_cast<Number>(value) : total * static_cast<Number>(value);
          value = static_cast<Wide>(is_exclusive ? before : total);
        }
      }
    write_elements(y, 0, std::span<const Wide>(values));
  };
  if (is_float(x.dtype()))
    cumulate(double{});
  else
    cumulate(std::int64_t{});
}

void infer_unique(InferContext& context) {
  std::optional<Shape> shape = unknown_shape(1);
  if (context.node().has("axis")) {
    shape = context.input(0).shape;
    if (shape) (*shape)[axis_of(context.node(), shape->size(), 0)] = kUnknownDim;
  }
  context.set_output(0, context.dtype(0), shape);
  for (std::size_t i = 1; i < context.n_outputs(); ++i) context.set_output(i, DType::i64, unknown_shape(1));
}

Tensor index_tensor(const std::vector<std::int64_t>& values) {
  return Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, std::span<const std::int64_t>(values));
}

void run_unique(RunContext& context) {
  const bool is_flat = !context.node().has("axis");
  const Tensor x = is_flat ? context.input(0).reshaped({context.input(0).n_elements()}) : context.input(0);
  const std::size_t axis = is_flat ? 0 : axis_of(context.node(), x.rank(), 0);
  const AxisView view = around_axis(x.shape(), axis);
  if (!is_flat && x.n_elements() == 0 && view.extent > 0)
    refuse(context.node(), "slices without elements cannot be told apart", ErrorCode::shape_mismatch);
  const bool is_sorted = context.node().attr_i("sorted", 1) != 0;
  const std::vector<std::int64_t> all = order_keys(x);
  const auto value = [&](std::size_t slice, std::int64_t outer, std::int64_t inner) {
    return all[static_cast<std::size_t>((outer * view.extent + static_cast<std::int64_t>(slice)) * view.inner + inner)];
  };
  const auto compare = [&](std::size_t a, std::size_t b) {
    for (std::int64_t outer = 0; outer < view.outer; ++outer)
      for (std::int64_t inner = 0; inner < view.inner; ++inner) {
        const std::int64_t va = value(a, outer, inner);
        const std::int64_t vb = value(b, outer, inner);
        if (va != vb) return va < vb ? -1 : 1;
      }
    return 0;
  };
  const std::vector<std::size_t> order =
      sorted_order(static_cast<std::size_t>(view.extent), [&](std::size_t a, std::size_t b) { return compare(a, b) < 0; });
  std::vector<std::int64_t> first;  // of each group of equal slices, its first one
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> group(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0) {
      first.push_back(static_cast<std::int64_t>(order[i]));
      counts.push_back(0);
    }
    ++counts.back();
    group[order[i]] = static_cast<std::int64_t>(first.size()) - 1;
  }
  if (!is_sorted) {  // groups in order of first appearance
    const std::vector<std::size_t> appearance =
        sorted_order(first.size(), [&](std::size_t a, std::size_t b) { return first[a] < first[b]; });
    std::vector<std::int64_t> rank(first.size());
    std::vector<std::int64_t> new_first;
    std::vector<std::int64_t> new_counts;
    for (const std::size_t old_group : appearance) {
      rank[old_group] = static_cast<std::int64_t>(new_first.size());
      new_first.push_back(first[old_group]);
      new_counts.push_back(counts[old_group]);
    }
    for (std::int64_t& g : group) g = rank[static_cast<std::size_t>(g)];
    first = std::move(new_first);
    counts = std::move(new_counts);
  }
  Shape shape = x.shape();
  shape[axis] = static_cast<std::int64_t>(first.size());
  Tensor y(x.dtype(), shape, context.allocator());
  const std::size_t bytes = element_bytes(x.dtype()) * static_cast<std::size_t>(view.inner);
  std::uint8_t* out = y.bytes().data();
  for (std::int64_t outer = 0; outer < view.outer; ++outer)
    for (const std::int64_t slice : first) {
      std::copy_n(x.bytes().data() + static_cast<std::size_t>(outer * view.extent + slice) * bytes, bytes, out);
      out += bytes;
    }
  context.set_output(0, std::move(y));
  context.set_output(1, index_tensor(first));
  context.set_output(2, index_tensor(group));
  context.set_output(3, index_tensor(counts));
}

void infer_trilu(InferContext& context) {
  infer_like_first(context);
  if (context.has_shape(0) && context.shape(0).size() < 2)
    refuse(context.node(), "a matrix is needed", ErrorCode::shape_mismatch);
}

void run_trilu(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const std::int64_t n_rows = x.extent(x.rank() - 2);
  const std::int64_t n_columns = x.extent(x.rank() - 1);
  const bool is_upper = context.node().attr_i("upper", 1) != 0;
  const std::int64_t k =
      std::clamp<std::int64_t>(context.has_input(1) ? element_i64(context.input(1), 0) : 0, -n_rows, n_columns);
  const std::size_t bytes = element_bytes(x.dtype());
  for (std::int64_t row = 0; row < x.n_elements() / n_columns; ++row) {
    // Columns [from, to) stay.
    const std::int64_t edge = std::clamp<std::int64_t>(row % n_rows + k + (is_upper ? 0 : 1), 0, n_columns);
    const auto from = static_cast<std::size_t>(is_upper ? edge : 0) * bytes;
    const auto to = static_cast<std::size_t>(is_upper ? n_columns : edge) * bytes;
    const std::size_t row_bytes = static_cast<std::size_t>(n_columns) * bytes;
    const std::uint8_t* src = x.bytes().data() + static_cast<std::size_t>(row) * row_bytes;
    std::uint8_t* dst = y.bytes().data() + static_cast<std::size_t>(row) * row_bytes;
    std::fill_n(dst, row_bytes, std::uint8_t{0});
    std::copy(src + from, src + to, dst + from);
  }
}

constexpr std::int64_t kArgSince[] = {1, 11, 12, 13};
constexpr std::int64_t kTopKSince[] = {1, 10, 11, 24};
constexpr std::int64_t kHardmaxSince[] = {1, 11, 13};
constexpr std::int64_t kCumSumSince[] = {11, 14};
constexpr std::int64_t kCumProdSince[] = {26};
constexpr std::int64_t kUniqueSince[] = {11, 28};
constexpr std::int64_t kTriluSince[] = {14};

constexpr Op kOps[] = {
    {"ArgMax", "", kArgSince, infer_arg, run_arg},
    {"ArgMin", "", kArgSince, infer_arg, run_arg},
    {"TopK", "", kTopKSince, infer_top_k, run_top_k},
    {"Hardmax", "", kHardmaxSince, infer_like_first, run_hardmax},
    {"CumSum", "", kCumSumSince, infer_like_first, run_cumulate},
    {"CumProd", "", kCumProdSince, infer_like_first, run_cumulate},
    {"Unique", "", kUniqueSince, infer_unique, run_unique},
    {"Trilu", "", kTriluSince, infer_trilu, run_trilu},
};

}  // namespace

extern const OpFamily order_family;
const OpFamily order_family{"order", kOps};

}  // namespace bitwright
