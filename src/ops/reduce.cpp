#include <algorithm>
#include <cmath>
#include <limits>

#include "base/math.h"
#include "ops/shapes.h"
#include "tensor/elements.h"
#include "tensor/strides.h"

// Reductions. Every float sum is taken in double, in one order: where the reduced axes are innermost, element i of a row goes to
// partial sum i mod 4, and the partial sums are folded as (0 + 1) + (2 + 3); else rows are added one after the other. With 53 bits
// the rounding to float at the end decides almost every result, in any order, but the order is fixed all the same.
namespace bitwright {

namespace {

enum class Reduction { sum, mean, max, min, prod, l1, l2, log_sum, log_sum_exp, sum_square };

struct ReductionRow {
  std::string_view op_type;
  Reduction reduction;
  std::int64_t axes_are_input_since;  // opset from which the axes are an input
};

constexpr ReductionRow kRows[] = {
    {"ReduceSum", Reduction::sum, 13},
    {"ReduceMean", Reduction::mean, 18},
    {"ReduceMax", Reduction::max, 18},
    {"ReduceMin", Reduction::min, 18},
    {"ReduceProd", Reduction::prod, 18},
    {"ReduceL1", Reduction::l1, 18},
    {"ReduceL2", Reduction::l2, 18},
    {"ReduceLogSum", Reduction::log_sum, 18},
    {"ReduceLogSumExp", Reduction::log_sum_exp, 18},
    {"ReduceSumSquare", Reduction::sum_square, 18},
};

const ReductionRow& row_of(const Node& node) {
  for (const ReductionRow& row : kRows)
    if (row.op_type == node.op_type) return row;
  BITWRIGHT_ASSERT(false);
  return kRows[0];
}

/// Which axes are reduced; all where none are named, unless the node asks for none then.
std::vector<bool> reduced_axes(const Node& node, const std::vector<std::int64_t>& axes, std::size_t rank) {
  if (axes.empty()) return std::vector<bool>(rank, node.attr_i("noop_with_empty_axes", 0) == 0);
  return axis_flags(node, axes, rank);
}

void infer_reduce(InferContext& context) {
  if (lacks_rank(context)) return;
  const Node& node = context.node();
  const Shape& shape = context.shape(0);
  const bool keeps = node.attr_i("keepdims", 1) != 0;
  const auto axes =
      context.opset() < row_of(node).axes_are_input_since ? std::optional(node.attr_ints("axes")) : context.ints_of(1);
  if (!axes)
    return context.set_output(
        0, context.dtype(0), keeps ? std::optional<Shape>(unknown_shape(static_cast<std::int64_t>(shape.size()))) : std::nullopt);
  const std::vector<bool> is_reduced = reduced_axes(node, *axes, shape.size());
  Shape out;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (!is_reduced[i] || keeps) out.push_back(is_reduced[i] ? 1 : shape[i]);
  context.set_output(0, context.dtype(0), out);
}

template <typename Wide>
Wide start_value(Reduction reduction) {
  switch (reduction) {
    case Reduction::prod:
      return Wide(1);
    case Reduction::max:
      return std::numeric_limits<Wide>::has_infinity ? -std::numeric_limits<Wide>::infinity() : std::numeric_limits<Wide>::min();
    case Reduction::min:
      return std::numeric_limits<Wide>::has_infinity ? std::numeric_limits<Wide>::infinity() : std::numeric_limits<Wide>::max();
    default:
      return Wide(0);
  }
}

std::int64_t wrapped_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
std::int64_t wrapped_mul(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}
double wrapped_add(double a, double b) { return a + b; }
double wrapped_mul(double a, double b) { return a * b; }

template <typename Wide>
Wide mapped(Reduction reduction, Wide x) {
  switch (reduction) {
    case Reduction::l1:
      return x < Wide(0) ? wrapped_mul(x, Wide(-1)) : x;
    case Reduction::l2:
    case Reduction::sum_square:
      return wrapped_mul(x, x);
    default:
      return x;
  }
}

template <typename Wide>
Wide folded(Reduction reduction, Wide a, Wide b) {
  switch (reduction) {
    case Reduction::prod:
      return wrapped_mul(a, b);
    case Reduction::max:
      return a != a || a > b ? a : b;
    case Reduction::min:
      return a != a || a < b ? a : b;
    default:
      return wrapped_add(a, b);
  }
}

template <typename Wide>
Wide widened(double value) {
  if constexpr (std::is_integral_v<Wide>)
    return truncated(value);
  else
    return static_cast<Wide>(value);
}

template <typename Wide>
Wide finished(Reduction reduction, Wide total, std::int64_t n) {
  switch (reduction) {
    case Reduction::mean:
      return n == 0 ? (std::numeric_limits<Wide>::has_quiet_NaN ? std::numeric_limits<Wide>::quiet_NaN() : Wide(0))
                    : static_cast<Wide>(total / static_cast<Wide>(n));
    case Reduction::l2:
      return widened<Wide>(std::sqrt(static_cast<double>(total)));
    case Reduction::log_sum:
      return widened<Wide>(f64::log(static_cast<double>(total)));
    default:
      return total;
  }
}

/// x is seen as [outer, extent, inner]; y as [outer, inner].
template <typename Wide>
void reduce(Reduction reduction, const Tensor& x, AxisView view, Tensor& y) {
  std::array<Wide, kBlockElements> block;
  std::array<Wide, kBlockElements> totals;
  const bool flips = x.dtype() == DType::u64 && (reduction == Reduction::max || reduction == Reduction::min);
  const auto read = [&](std::int64_t first, std::int64_t n) {
    read_elements(x, first, std::span<Wide>(block.data(), static_cast<std::size_t>(n)));
    if constexpr (std::is_same_v<Wide, std::int64_t>)
      if (flips)
        for (std::int64_t i = 0; i < n; ++i) block[static_cast<std::size_t>(i)] ^= INT64_MIN;  // orders unsigned numbers
  };
  const auto write = [&](std::int64_t first, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      Wide& total = totals[static_cast<std::size_t>(i)];
      total = finished(reduction, total, view.extent);
      if constexpr (std::is_same_v<Wide, std::int64_t>)
        if (flips) total ^= INT64_MIN;
    }
    write_elements(y, first, std::span<const Wide>(totals.data(), static_cast<std::size_t>(n)));
  };
  for (std::int64_t outer = 0; outer < view.outer; ++outer) {
    if (view.inner == 1) {
      Wide parts[4];
      std::fill(std::begin(parts), std::end(parts), start_value<Wide>(reduction));
      for (std::int64_t first = 0; first < view.extent; first += kBlockElements) {
        const std::int64_t n = std::min(kBlockElements, view.extent - first);
        read(outer * view.extent + first, n);
        for (std::int64_t i = 0; i < n; ++i)
          parts[i & 3] = folded(reduction, parts[i & 3], mapped(reduction, block[static_cast<std::size_t>(i)]));
      }
      totals[0] = folded(reduction, folded(reduction, parts[0], parts[1]), folded(reduction, parts[2], parts[3]));
      write(outer, 1);
      continue;
    }
    for (std::int64_t first = 0; first < view.inner; first += kBlockElements) {
      const std::int64_t n = std::min(kBlockElements, view.inner - first);
      std::fill_n(totals.begin(), n, start_value<Wide>(reduction));
      for (std::int64_t row = 0; row < view.extent; ++row) {
        read((outer * view.extent + row) * view.inner + first, n);
        for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
          totals[i] = folded(reduction, totals[i], mapped(reduction, block[i]));
      }
      write(outer * view.inner + first, n);
    }
  }
}

/// log(sum(exp(x - m))) + m with m = max(x): no overflow.
void reduce_log_sum_exp(const Tensor& x, AxisView view, Tensor& y) {
  for (std::int64_t outer = 0; outer < view.outer; ++outer)
    for (std::int64_t inner = 0; inner < view.inner; ++inner) {
      const auto at = [&](std::int64_t i) { return element_f64(x, (outer * view.extent + i) * view.inner + inner); };
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t i = 0; i < view.extent; ++i) largest = folded(Reduction::max, at(i), largest);
      double sum = 0.0;
      const double offset = std::isinf(largest) ? 0.0 : largest;
      for (std::int64_t i = 0; i < view.extent; ++i) sum += f64::exp(at(i) - offset);
      const double value = f64::log(sum) + offset;
      write_elements(y, outer * view.inner + inner, std::span<const double>(&value, 1));
    }
}

/// The view of x where its reduced axes stand side by side; x is turned over first where they do not.
Tensor with_adjacent_axes(const Tensor& x, const std::vector<bool>& is_reduced, AxisView& view, Allocator& allocator) {
  int n_groups = 0;
  bool was_reduced = false;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (x.extent(i) == 1) continue;
    if (is_reduced[i] && !was_reduced) ++n_groups;
    was_reduced = is_reduced[i];
  }
  view = {};
  if (n_groups <= 1) {
    bool is_past = false;
    for (std::size_t i = 0; i < x.rank(); ++i) {
      if (is_reduced[i] && x.extent(i) != 1) is_past = true;
      (is_reduced[i] ? view.extent : is_past ? view.inner : view.outer) *= x.extent(i);
    }
    return x;
  }
  const std::vector<std::int64_t> dense = row_major_strides(x.shape());
  Shape extents;
  std::vector<std::int64_t> strides;
  for (const bool reduced : {false, true})
    for (std::size_t i = 0; i < x.rank(); ++i) {
      if (is_reduced[i] != reduced) continue;
      extents.push_back(x.extent(i));
      strides.push_back(dense[i]);
      (reduced ? view.extent : view.outer) *= x.extent(i);
    }
  Tensor turned(x.dtype(), extents, allocator);
  strided_copy(element_bytes(x.dtype()), extents, x.bytes().data(), strides, turned.bytes().data(), row_major_strides(extents));
  return turned;
}

void run_reduce(RunContext& context) {
  const Node& node = context.node();
  const ReductionRow& row = row_of(node);
  const Tensor& x = context.input(0);
  std::vector<std::int64_t> axes;
  if (context.opset() < row.axes_are_input_since)
    axes = node.attr_ints("axes");
  else if (context.has_input(1))
    axes = to_i64_vector(context.input(1));
  const std::vector<bool> is_reduced = reduced_axes(node, axes, x.rank());
  Tensor& y = context.output(0);
  AxisView view;
  const Tensor adjacent = with_adjacent_axes(x, is_reduced, view, context.allocator());
  if (row.reduction == Reduction::log_sum_exp)
    reduce_log_sum_exp(adjacent, view, y);
  else if (is_float(x.dtype()))
    reduce<double>(row.reduction, adjacent, view, y);
  else
    reduce<std::int64_t>(row.reduction, adjacent, view, y);
}

constexpr std::int64_t kReduceSumSince[] = {1, 11, 13};
constexpr std::int64_t kReduceSince[] = {1, 11, 13, 18};
constexpr std::int64_t kReduceMaxSince[] = {1, 11, 12, 13, 18, 20};
constexpr std::int64_t kReduceLogSince[] = {1, 11, 13, 18, 28};

constexpr Op kOps[] = {
    {"ReduceSum", "", kReduceSumSince, infer_reduce, run_reduce},
    {"ReduceMean", "", kReduceSince, infer_reduce, run_reduce},
    {"ReduceMax", "", kReduceMaxSince, infer_reduce, run_reduce},
    {"ReduceMin", "", kReduceMaxSince, infer_reduce, run_reduce},
    {"ReduceProd", "", kReduceSince, infer_reduce, run_reduce},
    {"ReduceL1", "", kReduceSince, infer_reduce, run_reduce},
    {"ReduceL2", "", kReduceSince, infer_reduce, run_reduce},
    {"ReduceLogSum", "", kReduceLogSince, infer_reduce, run_reduce},
    {"ReduceLogSumExp", "", kReduceLogSince, infer_reduce, run_reduce},
    {"ReduceSumSquare", "", kReduceSince, infer_reduce, run_reduce},
};

}  // namespace

extern const OpFamily reduce_family;
const OpFamily reduce_family{"reduce", kOps};

}  // namespace bitwright
