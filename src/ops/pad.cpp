#include <algorithm>

#include "ops/shapes.h"
#include "tensor/indexed_copy.h"

namespace bitwright {

namespace {

struct Padding {
  std::int64_t before = 0;
  std::int64_t after = 0;
};

/// The padding of every axis, or nothing where it is not known yet.
std::optional<std::vector<Padding>> paddings(const Node& node, std::optional<std::vector<std::int64_t>> pads,
                                             std::optional<std::vector<std::int64_t>> axes, bool has_axes, std::size_t rank) {
  if (!pads || !axes) return std::nullopt;
  if (!has_axes)
    for (std::size_t i = 0; i < rank; ++i) axes->push_back(static_cast<std::int64_t>(i));
  if (pads->size() != 2 * axes->size())
    refuse(node, {"'pads' needs two numbers for each axis, it has ", pads->size()}, ErrorCode::shape_mismatch);
  axis_flags(node, *axes, rank);
  std::vector<Padding> all(rank);
  for (std::size_t i = 0; i < axes->size(); ++i) {
    const Padding padding = {(*pads)[i], (*pads)[axes->size() + i]};
    for (const std::int64_t n : {padding.before, padding.after})
      if (n > kMaxElements || n < -kMaxElements)
        refuse(node, {"a padding of ", n, " passes the limit"}, ErrorCode::limit_exceeded);
    all[static_cast<std::size_t>(normalized_axis((*axes)[i], rank))] = padding;
  }
  return all;
}

void infer_pad(InferContext& context) {
  if (lacks_rank(context)) return;
  const Node& node = context.node();
  Shape shape = context.shape(0);
  const auto pads = context.opset() < 11 ? std::optional(node.attr_ints("pads")) : context.ints_of(1);
  const auto all = paddings(node, pads, context.opset() < 18 ? std::optional(std::vector<std::int64_t>{}) : context.ints_of(3),
                            context.opset() >= 18 && context.has_input(3), shape.size());
  if (!all) return context.set_output(0, context.dtype(0), unknown_shape(static_cast<std::int64_t>(shape.size())));
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) continue;
    shape[i] += (*all)[i].before + (*all)[i].after;
    if (shape[i] < 0) refuse(node, {"negative padding removes more than axis ", i, " has"}, ErrorCode::shape_mismatch);
  }
  context.set_output(0, context.dtype(0), shape);
}

/// Which element of an axis of n stands at each place of the padded axis; -1 for the constant.
std::vector<std::int64_t> padded_axis(const Node& node, std::int64_t n, Padding padding, std::string_view mode) {
  std::vector<std::int64_t> table(static_cast<std::size_t>(n + padding.before + padding.after));
  if (n == 0 && mode != "constant" && !table.empty())
    refuse(node, "an empty axis can only be padded with a constant", ErrorCode::shape_mismatch);
  for (std::size_t place = 0; place < table.size(); ++place) {
    std::int64_t i = static_cast<std::int64_t>(place) - padding.before;
    if (mode == "constant") {
      if (i < 0 || i >= n) i = -1;
    } else if (mode == "edge") {
      i = std::clamp<std::int64_t>(i, 0, n - 1);
    } else if (mode == "wrap") {
      i = (i % n + n) % n;
    } else {  // reflect: ... 2 1 | 0 1 2 ... n-1 | n-2 ...
      const std::int64_t period = std::max<std::int64_t>(2 * (n - 1), 1);
      i = (i % period + period) % period;
      if (i >= n) i = period - i;
    }
    table[place] = i;
  }
  return table;
}

void run_pad(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const std::string mode = node.attr_s("mode", "constant");
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap")
    refuse(node, {"attribute 'mode' is ", in_quotes(mode), ", which is unknown"}, ErrorCode::unsupported);
  const bool has_axes = context.opset() >= 18 && context.has_input(3);
  const auto all = paddings(node, context.opset() < 11 ? node.attr_ints("pads") : to_i64_vector(context.input(1)),
                            has_axes ? to_i64_vector(context.input(3)) : std::vector<std::int64_t>{}, has_axes, x.rank());
  Tensor fill(x.dtype(), {});  // zero
  if (context.opset() < 11) {
    const float value = node.attr_f("value", 0.0f);
    write_elements(fill, 0, std::span<const float>(&value, 1));
  } else if (context.has_input(2) && context.input(2).n_elements() == 1) {
    if (context.input(2).dtype() != x.dtype())
      refuse(node, "the constant is of another element type than the input", ErrorCode::shape_mismatch);
    fill = context.input(2);
  }
  std::vector<std::vector<std::int64_t>> tables;
  for (std::size_t i = 0; i < x.rank(); ++i) tables.push_back(padded_axis(node, x.extent(i), (*all)[i], mode));
  indexed_copy(element_bytes(x.dtype()), x.shape(), x.bytes().data(), tables, fill.bytes().data(), y.bytes().data());
}

constexpr std::int64_t kPadSince[] = {2, 11, 13, 18, 19, 21, 23, 24, 25};

constexpr Op kOps[] = {{"Pad", "", kPadSince, infer_pad, run_pad}};

}  // namespace

extern const OpFamily pad_family;
const OpFamily pad_family{"pad", kOps};

}  // namespace bitwright
