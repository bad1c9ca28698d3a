// Einsum.
#include <algorithm>
#include <array>
#include <optional>

#include "ops/op.h"
#include "ops/refusal.h"
#include "tensor/elements.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

/// An equation with its subscripts made into numbers: letters as they are, the axes of `...` as 256 and up, right-aligned.
struct Equation {
  std::vector<std::vector<int>> inputs;
  std::vector<int> output;
};

constexpr int kEllipsis = 256;

/// The labels of one term. `rank` is that of its tensor; -1 for the output, whose ellipsis has `n_broadcast` axes.
std::vector<int> read_term(const Node& node, std::string_view term, std::int64_t rank, std::int64_t n_broadcast) {
  std::vector<int> labels;
  const auto n_letters = static_cast<std::int64_t>(std::count_if(term.begin(), term.end(), [](char c) { return c != '.'; }));
  for (std::size_t i = 0; i < term.size(); ++i) {
    if (term[i] == '.') {
      require(term.substr(i, 3) == "...", node, "the equation has a lone dot");
      i += 2;
      const std::int64_t n = rank < 0 ? n_broadcast : rank - n_letters;
      require_shape(n >= 0, node, "a term of the equation has more letters than its input has axes");
      for (std::int64_t axis = 0; axis < n; ++axis) labels.push_back(kEllipsis + static_cast<int>(n - 1 - axis));
      continue;
    }
    const bool is_letter = (term[i] >= 'a' && term[i] <= 'z') || (term[i] >= 'A' && term[i] <= 'Z');
    require(is_letter, node, "the equation holds something else than letters, commas, an arrow and ellipses");
    labels.push_back(term[i]);
  }
  require_shape(rank < 0 || static_cast<std::int64_t>(labels.size()) == rank, node,
                "a term of the equation has another rank than its input");
  return labels;
}

Equation read_equation(const Node& node, const std::vector<Shape>& shapes) {
  std::string text = node.attr_s("equation", "");
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const std::size_t arrow = text.find("->");
  const std::string left = text.substr(0, arrow);
  Equation equation;
  std::int64_t n_broadcast = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    require(begin <= left.size(), node, "the equation has fewer terms than there are inputs");
    const std::size_t end = std::min(left.find(',', begin), left.size());
    equation.inputs.push_back(
        read_term(node, std::string_view(left).substr(begin, end - begin), static_cast<std::int64_t>(shapes[i].size()), 0));
    n_broadcast = std::max<std::int64_t>(n_broadcast, std::count_if(equation.inputs.back().begin(), equation.inputs.back().end(),
                                                                    [](int label) { return label >= kEllipsis; }));
    begin = end + 1;
  }
  require(begin == left.size() + 1, node, "the equation has more terms than there are inputs");
  if (arrow != std::string::npos) {
    equation.output = read_term(node, std::string_view(text).substr(arrow + 2), -1, n_broadcast);
    return equation;
  }
  for (std::int64_t axis = n_broadcast; axis-- > 0;) equation.output.push_back(kEllipsis + static_cast<int>(axis));
  std::array<int, kEllipsis> uses{};
  for (const std::vector<int>& labels : equation.inputs)
    for (const int label : labels)
      if (label < kEllipsis) ++uses[static_cast<std::size_t>(label)];
  for (int label = 0; label < kEllipsis; ++label)
    if (uses[static_cast<std::size_t>(label)] == 1) equation.output.push_back(label);
  return equation;
}

/// The extents of the output's labels, then of the labels summed over.
struct EinsumPlan {
  std::vector<int> labels;
  Shape extents;
  std::size_t n_output = 0;
};

EinsumPlan plan_einsum(const Node& node, const Equation& equation, const std::vector<Shape>& shapes) {
  EinsumPlan plan;
  plan.labels = equation.output;
  plan.n_output = plan.labels.size();
  for (std::size_t i = 0; i < plan.n_output; ++i)
    require(std::count(plan.labels.begin(), plan.labels.end(), plan.labels[i]) == 1, node, "the output names a letter twice");
  for (const std::vector<int>& labels : equation.inputs)
    for (const int label : labels)
      if (std::find(plan.labels.begin(), plan.labels.end(), label) == plan.labels.end()) plan.labels.push_back(label);
  for (std::size_t l = 0; l < plan.labels.size(); ++l) {
    std::optional<std::int64_t> extent;
    for (std::size_t i = 0; i < shapes.size(); ++i)
      for (std::size_t axis = 0; axis < shapes[i].size(); ++axis) {
        if (equation.inputs[i][axis] != plan.labels[l]) continue;
        const std::int64_t here = shapes[i][axis];
        if (!extent || *extent == 1) {
          extent = here;
        } else {
          require_shape(here == 1 || may_equal(*extent, here), node, "axes of one letter differ in extent");
          if (*extent < 0 && here > 1) extent = here;
        }
      }
    require(extent.has_value(), node, "the output names a letter that no input has");
    plan.extents.push_back(*extent);
  }
  return plan;
}

void infer_einsum(InferContext& context) {
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < context.n_inputs(); ++i) shapes.push_back(context.shape(i));
  const EinsumPlan plan = plan_einsum(context.node(), read_equation(context.node(), shapes), shapes);
  context.set_output(0, context.dtype(0),
                     Shape(plan.extents.begin(), plan.extents.begin() + static_cast<std::ptrdiff_t>(plan.n_output)));
}

/// Every term of every output is formed, in double or int64: no order of contraction is sought.
/// Integers wrap: `Sum` is unsigned then.
template <typename Wide, typename Sum>
void sum_products(RunContext& context, const EinsumPlan& plan, const Equation& equation) {
  const std::size_t n_inputs = equation.inputs.size(), rank = plan.labels.size();
  std::vector<std::vector<Wide>> values(n_inputs);
  std::vector<std::vector<std::int64_t>> strides(n_inputs, std::vector<std::int64_t>(rank, 0));
  for (std::size_t i = 0; i < n_inputs; ++i) {
    const Tensor& input = context.input(i);
    values[i].resize(static_cast<std::size_t>(input.n_elements()));
    read_elements(input, 0, std::span<Wide>(values[i]));
    const std::vector<std::int64_t> dense = row_major_strides(input.shape());
    for (std::size_t axis = 0; axis < dense.size(); ++axis)
      for (std::size_t l = 0; l < rank; ++l)
        if (plan.labels[l] == equation.inputs[i][axis] && input.extent(axis) != 1) strides[i][l] += dense[axis];
  }
  Tensor& y = context.output(0);
  const Shape summed(plan.extents.begin() + static_cast<std::ptrdiff_t>(plan.n_output), plan.extents.end());
  const std::int64_t n_terms = n_elements(summed);
  std::vector<Wide> results(static_cast<std::size_t>(y.n_elements()));
  std::vector<std::int64_t> index(rank, 0), offsets(n_inputs, 0);
  for (Wide& result : results) {
    Sum sum = 0;
    for (std::int64_t term = 0; term < n_terms; ++term) {
      Sum product = 1;
      for (std::size_t i = 0; i < n_inputs; ++i) product *= static_cast<Sum>(values[i][static_cast<std::size_t>(offsets[i])]);
      sum += product;
      for (std::size_t l = rank; l-- > plan.n_output;) {
        const bool is_over = ++index[l] == plan.extents[l];
        for (std::size_t i = 0; i < n_inputs; ++i) offsets[i] += is_over ? -(plan.extents[l] - 1) * strides[i][l] : strides[i][l];
        if (!is_over) break;
        index[l] = 0;
      }
    }
    result = static_cast<Wide>(sum);
    for (std::size_t l = plan.n_output; l-- > 0;) {
      const bool is_over = ++index[l] == plan.extents[l];
      for (std::size_t i = 0; i < n_inputs; ++i) offsets[i] += is_over ? -(plan.extents[l] - 1) * strides[i][l] : strides[i][l];
      if (!is_over) break;
      index[l] = 0;
    }
  }
  write_elements(y, 0, std::span<const Wide>(results));
}

void run_einsum(RunContext& context) {
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < context.n_inputs(); ++i) shapes.push_back(context.input(i).shape());
  const Equation equation = read_equation(context.node(), shapes);
  const EinsumPlan plan = plan_einsum(context.node(), equation, shapes);
  if (is_integer(context.input(0).dtype())) return sum_products<std::int64_t, std::uint64_t>(context, plan, equation);
  sum_products<double, double>(context, plan, equation);
}

constexpr std::int64_t kSince[] = {12};
constexpr Op kOps[] = {
    {"Einsum", "", kSince, infer_einsum, run_einsum},
};

}  // namespace

extern const OpFamily einsum_family;
const OpFamily einsum_family{"einsum", kOps};

}  // namespace bitwright
