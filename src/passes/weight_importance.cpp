#include "passes/weight_importance.h"

#include <algorithm>
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

/// Of a convolution: rows of its unfolded input, as if it moved by single steps. Where its kernel is not dense, or the weight was
/// turned, each place of the kernel is taken for an output of its own.
void want_rows(ChannelRequest& request, const WeightUse& use, const Shape& shape) {
  const Node& node = *use.node;
  request.wants_rows = node.attr_i("group", 1) == 1;
  const std::vector<std::int64_t> dilations = node.attr_ints("dilations");
  if (request.wants_rows && node.op_type == "Conv" && std::is_sorted(use.axes.begin(), use.axes.end()) &&
      std::all_of(dilations.begin(), dilations.end(), [](std::int64_t dilation) { return dilation == 1; }))
    request.window.assign(shape.begin() + 2, shape.end());
}

}  // namespace

std::string constant_key(const std::string& graph, const std::string& name) { return concat({graph, "\n", name}); }

const WeightInputs* find_inputs(const InputsOfWeights* inputs, const std::string& graph, const std::string& name) {
  if (inputs == nullptr) return nullptr;
  const auto found = inputs->find(constant_key(graph, name));
  return found == inputs->end() ? nullptr : &found->second;
}

std::vector<float> importance_of(const WeightInputs* inputs, const Shape& shape) {
  if (inputs == nullptr || inputs->importance.empty()) return {};
  const auto extent = static_cast<std::size_t>(shape[static_cast<std::size_t>(inputs->reduction)]);
  const std::vector<float>& known = inputs->importance;
  if (known.size() % extent != 0) return {};
  if (known.size() == extent) return known;
  const std::size_t n_groups = known.size() / extent;
  const auto n = static_cast<std::size_t>(n_elements(shape));
  const std::size_t inner = n / (static_cast<std::size_t>(shape[0]) * extent);
  std::vector<float> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = known[i / (n / n_groups) * extent + i / inner % extent];
  return all;
}

InputsOfWeights inputs_of_weights(Model& model, const Recipe& recipe) {
  InputsOfWeights found;
  for (const ConstantWeight& weight : find_weights(model, recipe.min_weight_elements(), true)) {
    std::vector<ChannelRequest> requests;
    for (const WeightUse& use : weight.uses) {
      std::optional<ChannelRequest> request = input_of(use, weight.record->shape);
      if (request && recipe.weight.encoding == Encoding::product) want_rows(*request, use, weight.record->shape);
      if (request && (requests.empty() || requests[0].row_length() == request->row_length())) requests.push_back(*request);
    }
    if (!requests.empty() && requests.size() == weight.uses.size())
      found[constant_key(weight.path, weight.name)] = {std::move(requests), {}, {}, weight_axes(weight.uses[0])->reduction};
  }
  return found;
}

void weigh(InputsOfWeights& inputs, FunctionRef<const ChannelStatistics*(const ChannelRequest&)> seen) {
  for (auto& [key, row] : inputs) {
    const auto extent = static_cast<std::size_t>(row.requests[0].extent);
    std::vector<double> sum(extent);
    std::size_t n_seen = 0;
    for (const ChannelRequest& request : row.requests) {
      const ChannelStatistics* found = seen(request);
      if (found == nullptr || found->squares.size() != extent) continue;
      for (std::size_t i = 0; i < extent; ++i) sum[i] += found->squares[i];
      if (found->request == request) row.rows.insert(row.rows.end(), found->rows.begin(), found->rows.end());
      ++n_seen;
    }
    double mean = 0.0;
    for (const double square : sum) mean += square / static_cast<double>(extent);
    if (n_seen != row.requests.size() || !(mean > 0.0)) {
      row.rows.clear();
      continue;
    }
    for (const double square : sum) row.importance.push_back(static_cast<float>((square / mean + kDamping) / (1.0 + kDamping)));
  }
}

}  // namespace bitwright
