#include "passes/weight_importance.h"

#include <optional>

#include "base/error.h"
#include "passes/weights.h"

namespace bitwright {

namespace {

constexpr double kDamping = 0.01;

std::optional<ChannelRequest> input_of(const WeightUse& use, const Shape& shape) {
  const Node& node = *use.node;
  const std::optional<WeightAxes> axes = weight_axes(use);
  if (!axes || !use.graph.empty() || use.axes.empty()) return std::nullopt;
  const std::int64_t extent = shape[static_cast<std::size_t>(axes->reduction)];
  const auto of = [&](std::size_t input, std::int64_t axis, std::int64_t n_groups = 1) -> std::optional<ChannelRequest> {
    if (node.inputs.size() <= input || node.inputs[input].empty()) return std::nullopt;
    return ChannelRequest{node.inputs[input], axis, extent * n_groups};
  };
  const bool is_left = use.input == 0;
  if (node.op_type == "MatMul") return is_left ? of(1, -2) : of(0, -1);
  if (node.op_type == "Gemm")
    return is_left ? of(1, node.attr_i("transB", 0) != 0 ? 1 : 0) : of(0, node.attr_i("transA", 0) != 0 ? 0 : 1);
  if (node.op_type == "ConvTranspose") return of(0, 1);
  if (node.op_type == "Conv") {
    const std::int64_t n_groups = node.attr_i("group", 1);
    const bool is_plain = use.axes[0] == 0 && use.axes[1] == 1;
    if (n_groups == 1) return of(0, 1);
    return n_groups > 1 && is_plain && shape[0] % n_groups == 0 ? of(0, 1, n_groups) : std::nullopt;
  }
  // The rest are tables, whose rows are outputs, and recurrent layers: their state is seen by nobody.
  return node.op_type != "Gather" && use.input == 1 ? of(0, -1) : std::nullopt;
}

}  // namespace

std::string constant_key(const std::string& graph, const std::string& name) { return concat({graph, "\n", name}); }

InputsOfWeights inputs_of_weights(Model& model, const Recipe& recipe) {
  InputsOfWeights found;
  for (const ConstantWeight& weight : find_weights(model, recipe.min_weight_elements(), true)) {
    std::vector<ChannelRequest> requests;
    for (const WeightUse& use : weight.uses) {
      const std::optional<ChannelRequest> request = input_of(use, weight.record->shape);
      if (request && (requests.empty() || requests[0].extent == request->extent)) requests.push_back(*request);
    }
    if (!requests.empty() && requests.size() == weight.uses.size())
      found[constant_key(weight.path, weight.name)].requests = std::move(requests);
  }
  return found;
}

void weigh(InputsOfWeights& inputs, FunctionRef<const std::vector<double>*(const ChannelRequest&)> mean_squares) {
  for (auto& [key, row] : inputs) {
    const auto extent = static_cast<std::size_t>(row.requests[0].extent);
    std::vector<double> sum(extent);
    std::size_t n_seen = 0;
    for (const ChannelRequest& request : row.requests) {
      const std::vector<double>* squares = mean_squares(request);
      if (squares == nullptr || squares->size() != extent) continue;
      for (std::size_t i = 0; i < extent; ++i) sum[i] += (*squares)[i];
      ++n_seen;
    }
    double mean = 0.0;
    for (const double square : sum) mean += square / static_cast<double>(extent);
    if (n_seen != row.requests.size() || !(mean > 0.0)) continue;
    for (const double square : sum) row.importance.push_back(static_cast<float>((square / mean + kDamping) / (1.0 + kDamping)));
  }
}

}  // namespace bitwright
