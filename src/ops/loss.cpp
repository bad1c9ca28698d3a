#include <cmath>
#include <limits>

#include "base/math.h"
#include "ops/shapes.h"

// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss, which stand at the end of graphs exported for training.
namespace bitwright {

namespace {

bool is_reduced(const Node& node) {
  const std::string reduction = node.attr_s("reduction", "mean");
  if (reduction != "mean" && reduction != "sum" && reduction != "none")
    refuse(node, {"attribute 'reduction' is ", in_quotes(reduction), ", which is unknown"});
  return reduction != "none";
}

void infer_loss(InferContext& context) {
  const std::optional<Shape> shape = is_reduced(context.node()) ? std::optional(Shape{}) : context.input(1).shape;
  context.set_output(0, context.dtype(0), shape);
  if (context.node().op_type == "SoftmaxCrossEntropyLoss") context.set_output(1, context.dtype(0), context.input(0).shape);
}

/// scores seen as [batch, classes, places].
AxisView checked_view(const RunContext& context) {
  const Shape& scores = context.input(0).shape();
  Shape wanted = scores;
  if (scores.size() >= 2) wanted.erase(wanted.begin() + 1);
  if (scores.size() < 2 || context.input(1).shape() != wanted)
    refuse(context.node(), {"scores ", scores, " and labels ", context.input(1).shape(), " do not fit together"},
           ErrorCode::shape_mismatch);
  return around_axis(scores, 1);
}

/// loss = -weight[label] * log_prob[label], over all places that are not ignored; the mean is weighted.
void reduce_loss(RunContext& context, AxisView view, std::span<const double> log_prob) {
  const Node& node = context.node();
  const std::vector<std::int64_t> labels = to_i64_vector(context.input(1));
  std::vector<double> weights;  // empty: 1 for every class
  if (context.has_input(2)) {
    if (context.input(2).n_elements() != view.extent)
      refuse(node, "one weight for each class is needed", ErrorCode::shape_mismatch);
    weights.resize(static_cast<std::size_t>(view.extent));
    read_elements(context.input(2), 0, std::span<double>(weights));
  }
  const bool has_ignored = node.has("ignore_index");
  const std::int64_t ignored = node.attr_i("ignore_index", 0);
  std::vector<double> losses(labels.size(), 0.0);
  double sum = 0.0;
  double total_weight = 0.0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (has_ignored && labels[i] == ignored) continue;
    if (labels[i] < 0 || labels[i] >= view.extent)
      refuse(node, {"label ", labels[i], " is none of ", view.extent, " classes"}, ErrorCode::bad_data);
    const auto place = static_cast<std::int64_t>(i);
    const std::int64_t at = (place / view.inner * view.extent + labels[i]) * view.inner + place % view.inner;
    const double weight = weights.empty() ? 1.0 : weights[static_cast<std::size_t>(labels[i])];
    losses[i] = -weight * log_prob[static_cast<std::size_t>(at)];
    sum += losses[i];
    total_weight += weight;
  }
  Tensor& y = context.output(0);
  if (!is_reduced(node)) return write_elements(y, 0, std::span<const double>(losses));
  if (node.attr_s("reduction", "mean") == "mean") sum /= total_weight;
  write_elements(y, 0, std::span<const double>(&sum, 1));
}

void run_negative_log_likelihood(RunContext& context) {
  const AxisView view = checked_view(context);
  std::vector<double> log_prob(static_cast<std::size_t>(context.input(0).n_elements()));
  read_elements(context.input(0), 0, std::span<double>(log_prob));
  reduce_loss(context, view, log_prob);
}

void run_softmax_cross_entropy(RunContext& context) {
  const AxisView view = checked_view(context);
  std::vector<double> values(static_cast<std::size_t>(context.input(0).n_elements()));
  read_elements(context.input(0), 0, std::span<double>(values));
  for (std::int64_t outer = 0; outer < view.outer; ++outer)
    for (std::int64_t inner = 0; inner < view.inner; ++inner) {
      const auto at = [&](std::int64_t i) -> double& {
        return values[static_cast<std::size_t>((outer * view.extent + i) * view.inner + inner)];
      };
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t i = 0; i < view.extent; ++i) largest = std::max(largest, at(i));
      double sum = 0.0;
      for (std::int64_t i = 0; i < view.extent; ++i) sum += f64::exp(at(i) - largest);
      const double log_sum = f64::log(sum) + largest;
      for (std::int64_t i = 0; i < view.extent; ++i) at(i) -= log_sum;
    }
  if (context.wants_output(1)) write_elements(context.output(1), 0, std::span<const double>(values));
  reduce_loss(context, view, values);
}

constexpr std::int64_t kNllSince[] = {12, 13, 22};
constexpr std::int64_t kSceSince[] = {12, 13};

constexpr Op kOps[] = {
    {"NegativeLogLikelihoodLoss", "", kNllSince, infer_loss, run_negative_log_likelihood},
    {"SoftmaxCrossEntropyLoss", "", kSceSince, infer_loss, run_softmax_cross_entropy},
};

}  // namespace

extern const OpFamily loss_family;
const OpFamily loss_family{"loss", kOps};

}  // namespace bitwright
