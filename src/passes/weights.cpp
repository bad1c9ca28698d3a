#include "passes/weights.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "passes/graph_edit.h"

namespace bitwright {

namespace {

/// Constants move through at most this many nodes; seen in real models: 3 (gates of an LSTM put in another order).
constexpr int kMaxHops = 8;

template <typename Visit>
void for_each_subgraph(Node& node, const std::string& path, const Visit& visit) {
  const std::string prefix = concat({(path.empty() ? "" : concat({path, "/"})), node_key(node), "/"});
  for (Attribute& attribute : node.attributes) {
    if (attribute.g) visit(*attribute.g, prefix + attribute.name);
    for (std::size_t i = 0; i < attribute.graphs.size(); ++i)
      if (attribute.graphs[i]) visit(*attribute.graphs[i], concat({prefix, attribute.name, i}));
  }
}

bool makes(const Graph& graph, const std::string& name) {
  const auto is_name = [&](const auto& item) { return item.name == name; };
  if (std::any_of(graph.inputs.begin(), graph.inputs.end(), is_name)) return true;
  if (std::any_of(graph.initializers.begin(), graph.initializers.end(), is_name)) return true;
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return std::find(node.outputs.begin(), node.outputs.end(), name) != node.outputs.end();
  });
}

/// The order of axes behind a Transpose; nothing where the attribute does not fit.
std::optional<std::vector<std::int64_t>> transposed(const Node& node, const std::vector<std::int64_t>& axes) {
  std::vector<std::int64_t> perm = node.attr_ints("perm");
  if (perm.empty()) return std::vector<std::int64_t>(axes.rbegin(), axes.rend());
  if (perm.size() != axes.size()) return std::nullopt;
  std::vector<std::int64_t> result;
  for (const std::int64_t from : perm) {
    if (from < 0 || from >= static_cast<std::int64_t>(axes.size())) return std::nullopt;
    result.push_back(axes[static_cast<std::size_t>(from)]);
  }
  return result;
}

/// Operators that only move values about: what they make is as exact as what they take.
constexpr std::string_view kMovers[] = {"Slice", "Concat", "Split", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Expand"};

/// The axes behind a node that passes values on; nothing where it does not.
std::optional<std::vector<std::int64_t>> axes_behind(const Node& node, const std::vector<std::int64_t>& axes) {
  if (!node.domain.empty()) return std::nullopt;
  if (node.op_type == "Identity") return axes;
  if (node.op_type == "Transpose") return axes.empty() ? axes : transposed(node, axes);
  if (std::find(std::begin(kMovers), std::end(kMovers), node.op_type) != std::end(kMovers)) return std::vector<std::int64_t>{};
  return std::nullopt;
}

void collect_uses(Graph& graph, const std::string& name, const std::string& path, const std::vector<std::int64_t>& axes,
                  int n_hops, ConstantWeight& weight) {
  for (const ValueInfo& output : graph.outputs) weight.is_graph_output |= output.name == name;
  for (Node& node : graph.nodes) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != name) continue;
      const auto behind = axes_behind(node, axes);
      if (!behind || n_hops >= kMaxHops) {
        weight.uses.push_back({&node, i, path, axes, static_cast<std::int64_t>(weight.record->shape.size())});
        continue;
      }
      for (const std::string& output : node.outputs)
        if (!output.empty()) collect_uses(graph, output, path, *behind, n_hops + 1, weight);
    }
    for_each_subgraph(node, path, [&](Graph& inner, const std::string& inner_path) {
      if (!makes(inner, name)) collect_uses(inner, name, inner_path, axes, n_hops, weight);
    });
  }
}

void find_in_graph(Graph& graph, const std::string& path, std::int64_t min_elements, bool takes_halves,
                   std::vector<ConstantWeight>& found) {
  const auto add = [&](const std::string& name, const TensorRecord& record, bool is_constant_node) {
    if (record.dtype != DType::f32 && !(takes_halves && record.dtype == DType::f16)) return;
    if (n_elements(record.shape) < min_elements) return;
    ConstantWeight weight{&graph, path, name, &record, is_constant_node, false, {}};
    std::vector<std::int64_t> axes(record.shape.size());
    std::iota(axes.begin(), axes.end(), 0);
    collect_uses(graph, name, path, axes, 0, weight);
    found.push_back(std::move(weight));
  };
  for (const TensorRecord& record : graph.initializers) add(record.name, record, false);
  for (const Node& node : graph.nodes) {
    const Attribute* value = node.op_type == "Constant" && node.domain.empty() ? node.find("value") : nullptr;
    if (value != nullptr && value->t && !node.outputs.empty()) add(node.outputs[0], *value->t, true);
  }
  for (Node& node : graph.nodes)
    for_each_subgraph(node, path, [&](Graph& inner, const std::string& inner_path) {
      find_in_graph(inner, inner_path, min_elements, takes_halves, found);
    });
}

}  // namespace

std::vector<ConstantWeight> find_weights(Model& model, std::int64_t min_elements, bool takes_halves) {
  std::vector<ConstantWeight> found;
  find_in_graph(model.graph, "", min_elements, takes_halves, found);
  return found;
}

std::optional<WeightAxes> weight_axes(const WeightUse& use) {
  const Node& node = *use.node;
  if (!node.domain.empty()) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(use.axes.size());
  const std::string& op = node.op_type;
  if (use.axes.empty()) {
    const bool is_right =
        (op == "Conv" || op == "ConvTranspose" || op == "LSTM" || op == "GRU" || op == "RNN") && use.input >= 1 && use.input <= 2;
    if (use.rank < 2 || !(is_right || op == "MatMul" || (op == "Gemm" && use.input <= 1))) return std::nullopt;
    return WeightAxes{0, use.rank - 1};  // rows of the constant: as good a guess as any, and exact for what is moved
  }
  const auto of = [&](std::int64_t channel, std::int64_t reduction) {
    return WeightAxes{use.axes[static_cast<std::size_t>(channel)], use.axes[static_cast<std::size_t>(reduction)]};
  };
  if (op == "Conv" && use.input == 1 && rank >= 3) return of(0, 1);
  if (op == "ConvTranspose" && use.input == 1 && rank >= 3) return of(1, 0);
  if (op == "Gemm" && use.input <= 1 && rank == 2) {
    // A is [m, k], B is [k, n]; each may be stored transposed.
    const bool is_flipped = node.attr_i(use.input == 0 ? "transA" : "transB", 0) != 0;
    const std::int64_t channel = (use.input == 0) != is_flipped ? 0 : 1;
    return of(channel, 1 - channel);
  }
  if (op == "MatMul" && rank >= 2) return use.input == 0 ? of(rank - 2, rank - 1) : of(rank - 1, rank - 2);
  if (op == "Gather" && use.input == 0 && rank >= 1) {
    std::int64_t axis = node.attr_i("axis", 0);
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return std::nullopt;
    return of(axis, rank - 1);
  }
  const bool is_recurrent = op == "LSTM" || op == "GRU" || op == "RNN";
  if (is_recurrent && (use.input == 1 || use.input == 2) && rank == 3) return of(1, 2);
  return std::nullopt;
}

void replace_constant(const Model& model, const ConstantWeight& weight, std::vector<TensorRecord> records) {
  Graph& graph = *weight.graph;
  const bool lists_initializers = model.ir_version < 4 && weight.graph == &model.graph;
  if (weight.is_constant_node) {
    std::erase_if(graph.nodes, [&](const Node& node) {
      return node.op_type == "Constant" && node.domain.empty() && !node.outputs.empty() && node.outputs[0] == weight.name;
    });
  } else {
    erase_initializer(graph, weight.name);
  }
  for (TensorRecord& record : records) {
    if (lists_initializers) graph.inputs.push_back(ValueInfo::of(record.name, record.dtype, record.shape));
    graph.initializers.push_back(std::move(record));
  }
}

}  // namespace bitwright
