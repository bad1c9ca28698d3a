#include "passes/weights.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/sorted_order.h"
#include "passes/graph_edit.h"

namespace bitwright {

namespace {

/// Constants move through at most this many nodes; seen in real models: 3 (gates of an LSTM put in another order).
constexpr int kMaxHops = 8;
/// Uses found behind such nodes, of all constants together: a file may let each of a million constants reach a million readers.
constexpr std::size_t kMaxMovedUses = std::size_t{1} << 20;
/// Rows of a table shorter than this share one scale with all others: a scale each would outweigh the codes.
constexpr std::int64_t kMinRowLength = 16;

template <typename Visit>
void for_each_subgraph(Node& node, const std::string& path, const Visit& visit) {
  const std::string prefix = concat({(path.empty() ? "" : concat({path, "/"})), node_key(node), "/"});
  for (Attribute& attribute : node.attributes) {
    if (attribute.g) visit(*attribute.g, prefix + attribute.name);
    for (std::size_t i = 0; i < attribute.graphs.size(); ++i)
      if (attribute.graphs[i]) visit(*attribute.graphs[i], concat({prefix, attribute.name, i}));
  }
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

/// Who reads which value of which graph, found once: a graph of a million nodes is looked through in linear time.
class UseFinder {
 public:
  explicit UseFinder(Model& model) {
    collect(model.graph, "");
    sort_list(sites_, comes_before);
    reached_by_.resize(sites_.size());
  }

  std::vector<ConstantWeight> weights(std::int64_t min_elements, bool takes_halves) {
    std::vector<ConstantWeight> found;
    for (std::size_t scope = 0; scope < graphs_.size(); ++scope) {
      Graph& graph = *graphs_[scope];
      const auto add = [&](const std::string& name, const TensorRecord& record) {
        if (record.dtype != DType::f32 && !(takes_halves && record.dtype == DType::f16)) return;
        if (n_elements(record.shape) < min_elements) return;
        ConstantWeight weight{&graph, paths_[scope], name, &record, false, {}};
        std::vector<std::int64_t> axes(record.shape.size());
        std::iota(axes.begin(), axes.end(), 0);
        ++n_weights_;
        collect_uses(scope, name, axes, 0, weight);
        found.push_back(std::move(weight));
      };
      for (const TensorRecord& record : graph.initializers) add(record.name, record);
      for (const Node& node : graph.nodes) {
        const Attribute* value = node.op_type == "Constant" && node.domain.empty() ? node.find("value") : nullptr;
        if (value != nullptr && value->t && !node.outputs.empty()) add(node.outputs[0], *value->t);
      }
    }
    return found;
  }

 private:
  /// One reader of a value. Those in subgraphs stand under every graph around them whose value they see.
  struct Site {
    std::size_t scope;  // of the value
    const std::string* name;
    std::size_t place;  // the reader's graph
    Node* node;         // null: the value is an output of that graph
    std::size_t input;
  };

  static bool comes_before(const Site& a, const Site& b) { return a.scope != b.scope ? a.scope < b.scope : *a.name < *b.name; }

  /// Adds the sites of a graph and of those inside it; returns what the graph reads.
  std::vector<Site> collect(Graph& graph, const std::string& path) {
    const std::size_t scope = graphs_.size();
    graphs_.push_back(&graph);
    paths_.push_back(path);
    std::vector<Site> sites;
    for (const ValueInfo& output : graph.outputs) sites.push_back({scope, &output.name, scope, nullptr, 0});
    for (Node& node : graph.nodes) {
      for (std::size_t i = 0; i < node.inputs.size(); ++i) sites.push_back({scope, &node.inputs[i], scope, &node, i});
      for_each_subgraph(node, path, [&](Graph& inner, const std::string& inner_path) {
        const std::vector<Site> read = collect(inner, inner_path);
        std::set<std::string> own;
        for (const ValueInfo& input : inner.inputs) own.insert(input.name);
        for (const TensorRecord& record : inner.initializers) own.insert(record.name);
        for (const Node& maker : inner.nodes) own.insert(maker.outputs.begin(), maker.outputs.end());
        for (Site site : read) {
          site.scope = scope;
          if (!own.contains(*site.name)) sites.push_back(site);
        }
      });
    }
    sites_.insert(sites_.end(), sites.begin(), sites.end());
    return sites;
  }

  void collect_uses(std::size_t scope, const std::string& name, const std::vector<std::int64_t>& axes, int n_hops,
                    ConstantWeight& weight) {
    auto site = std::lower_bound(sites_.begin(), sites_.end(), Site{scope, &name, 0, nullptr, 0}, comes_before);
    if (site == sites_.end() || site->scope != scope || *site->name != name) return;
    // A value is reached once, by however many ways.
    std::size_t& reached_by = reached_by_[static_cast<std::size_t>(site - sites_.begin())];
    if (reached_by == n_weights_) return;
    reached_by = n_weights_;
    for (; site != sites_.end() && site->scope == scope && *site->name == name; ++site) {
      if (site->node == nullptr) {
        weight.is_graph_output = true;
        continue;
      }
      const auto behind = axes_behind(*site->node, axes);
      n_moved_ += n_hops > 0 ? 1 : 0;
      if (!behind || n_hops >= kMaxHops || n_moved_ >= kMaxMovedUses) {
        weight.uses.push_back(
            {site->node, site->input, paths_[site->place], axes, static_cast<std::int64_t>(weight.record->shape.size())});
        continue;
      }
      for (const std::string& output : site->node->outputs)
        if (!output.empty()) collect_uses(site->place, output, *behind, n_hops + 1, weight);
    }
  }

  std::vector<Graph*> graphs_;
  std::vector<std::string> paths_;
  std::vector<Site> sites_;              // by scope and name, then in order of the graph
  std::vector<std::size_t> reached_by_;  // by the first site of a value: the last weight, from 1, that reached it
  std::size_t n_weights_ = 0;
  std::size_t n_moved_ = 0;  // readers behind movers, looked at so far
};

}  // namespace

std::vector<ConstantWeight> find_weights(Model& model, std::int64_t min_elements, bool takes_halves) {
  return UseFinder(model).weights(min_elements, takes_halves);
}

TensorScheme fitted_scheme(TensorScheme scheme, const Shape& shape, const WeightAxes& axes, const Node& reader) {
  using enum TensorScheme::Grain;
  if (scheme.grain == per_block && shape[static_cast<std::size_t>(axes.reduction)] < scheme.block_size) {
    scheme.grain = per_channel;
    if (scheme.scale_form == ScaleForm::u6) scheme.scale_form = ScaleForm::f16;  // two levels need blocks
  }
  if (reader.op_type == "Gather" && scheme.grain == per_channel &&
      n_elements(shape) < kMinRowLength * shape[static_cast<std::size_t>(axes.channel)])
    scheme.grain = per_tensor;
  return scheme;
}

std::int64_t scheme_axis(const TensorScheme& scheme, const Shape& shape, const WeightAxes& axes) {
  const bool is_too_short =
      scheme.encoding == Encoding::product && shape[static_cast<std::size_t>(axes.reduction)] < scheme.sub_vector;
  return scheme.grain == TensorScheme::Grain::per_channel || is_too_short ? axes.channel : axes.reduction;
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

void replace_constants(const Model& model, std::vector<Replacement> replacements) {
  for (std::size_t i = 0; i < replacements.size();) {
    Graph& graph = *replacements[i].graph;
    std::set<std::string> names;
    for (; i < replacements.size() && replacements[i].graph == &graph; ++i) names.insert(replacements[i].name);
    erase_initializers(graph, names);
    std::erase_if(graph.nodes, [&](const Node& node) {
      return node.op_type == "Constant" && node.domain.empty() && !node.outputs.empty() && names.contains(node.outputs[0]);
    });
  }
  for (Replacement& replacement : replacements)
    for (TensorRecord& record : replacement.records) {
      if (model.ir_version < 4 && replacement.graph == &model.graph)
        replacement.graph->inputs.push_back(ValueInfo::of(record.name, record.dtype, record.shape));
      replacement.graph->initializers.push_back(std::move(record));
    }
}

}  // namespace bitwright
