#include "passes/fold_batch_norm.h"

#include <cmath>
#include <optional>

#include "base/error.h"
#include "passes/graph_edit.h"

namespace bitwright {

namespace {

/// Channels of one layer: far above any known (the largest have some 2^17).
constexpr std::int64_t kMaxChannels = std::int64_t{1} << 24;

/// y = factor * x + offset, one of each per channel.
struct Affine {
  std::vector<double> factor;
  std::vector<double> offset;
};

/// A weight seen as [groups, rows, channels, inner]: output channel = group * channels + channel.
struct ChannelLayout {
  std::int64_t groups = 1;
  std::int64_t channels = 0;
  std::int64_t rows = 1;
  std::int64_t inner = 1;
  std::int64_t n_channels() const { return groups * channels; }
};

bool is_foldable(const Node& node) {
  return node.domain.empty() && (node.op_type == "Conv" || node.op_type == "ConvTranspose" || node.op_type == "Gemm");
}

std::optional<ChannelLayout> layout_of(const Node& node, const Shape& weight) {
  if (node.op_type == "Gemm") {
    if (weight.size() != 2) return std::nullopt;
    return node.attr_i("transB", 0) != 0 ? ChannelLayout{1, weight[0], 1, weight[1]} : ChannelLayout{1, weight[1], weight[0], 1};
  }
  if (weight.size() < 3) return std::nullopt;
  const std::int64_t groups = node.attr_i("group", 1);
  std::int64_t inner = 1;
  for (std::size_t axis = 2; axis < weight.size(); ++axis) inner *= weight[axis];
  if (node.op_type == "Conv") return ChannelLayout{1, weight[0], 1, weight[1] * inner};
  if (groups <= 0 || weight[0] % groups != 0) return std::nullopt;
  return ChannelLayout{groups, weight[1], weight[0] / groups, inner};
}

/// Constant values, one per channel or one for all, widened to one per channel.
std::optional<std::vector<double>> per_channel(const GraphIndex& index, std::string_view name, std::int64_t n_channels) {
  const std::optional<std::vector<float>> values = small_constant(index, name, kMaxChannels);
  if (!values || (values->size() != 1 && static_cast<std::int64_t>(values->size()) != n_channels)) return std::nullopt;
  std::vector<double> wide(static_cast<std::size_t>(n_channels));
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = (*values)[values->size() == 1 ? 0 : i];
  return wide;
}

std::optional<Affine> batch_norm_affine(const Node& node, const GraphIndex& index, std::int64_t n_channels) {
  if (node.inputs.size() < 5 || node.attr_i("training_mode", 0) != 0 || node.attr_i("spatial", 1) != 1) return std::nullopt;
  for (std::size_t i = 1; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty() && (!index.consumers(node.outputs[i]).empty() || index.is_graph_output(node.outputs[i])))
      return std::nullopt;
  const auto scale = per_channel(index, node.inputs[1], n_channels);
  const auto shift = per_channel(index, node.inputs[2], n_channels);
  const auto mean = per_channel(index, node.inputs[3], n_channels);
  const auto variance = per_channel(index, node.inputs[4], n_channels);
  if (!scale || !shift || !mean || !variance) return std::nullopt;
  const double epsilon = node.attr_f("epsilon", 1e-5f);
  Affine affine;
  for (std::size_t c = 0; c < scale->size(); ++c) {
    const double factor = (*scale)[c] / std::sqrt((*variance)[c] + epsilon);
    affine.factor.push_back(factor);
    affine.offset.push_back((*shift)[c] - (*mean)[c] * factor);
    if (!std::isfinite(affine.factor.back()) || !std::isfinite(affine.offset.back())) return std::nullopt;
  }
  return affine;
}

/// Mul or Add of the layer's output and a constant of one value per channel ([C,1,1] behind a convolution of any number of
/// dimensions, [C] behind Gemm) or one value for all.
std::optional<Affine> constant_affine(const Node& node, const GraphIndex& index, const std::string& value, const Node& layer,
                                      const Shape& weight, std::int64_t n_channels) {
  if (node.inputs.size() != 2) return std::nullopt;
  const std::string& other = node.inputs[0] == value ? node.inputs[1] : node.inputs[0];
  const TensorRecord* record = index.initializer(other);
  if (record == nullptr || record->dtype != DType::f32 || record->shape.size() > weight.size()) return std::nullopt;
  const std::size_t n_behind = layer.op_type == "Gemm" ? 0 : weight.size() - 2;  // axes behind the channel
  for (std::size_t i = 0; i < record->shape.size(); ++i) {
    const std::size_t from_end = record->shape.size() - 1 - i;
    if (from_end != n_behind && record->shape[i] != 1) return std::nullopt;
  }
  const auto values = per_channel(index, other, n_channels);
  if (!values) return std::nullopt;
  const std::vector<double> ones(values->size(), 1.0);
  const std::vector<double> zeros(values->size(), 0.0);
  return node.op_type == "Mul" ? Affine{*values, zeros} : Affine{ones, *values};
}

std::optional<Affine> affine_of(const Node& node, const GraphIndex& index, const std::string& value, const Node& layer,
                                const Shape& weight, std::int64_t n_channels) {
  if (!node.domain.empty() || node.outputs.empty() || node.inputs.empty()) return std::nullopt;
  if (node.op_type == "BatchNormalization" && node.inputs[0] == value) return batch_norm_affine(node, index, n_channels);
  if (node.op_type == "Mul" || node.op_type == "Add") return constant_affine(node, index, value, layer, weight, n_channels);
  return std::nullopt;
}

TensorRecord scaled_weight(std::string name, const TensorRecord& base, const ChannelLayout& layout, std::vector<double> factor) {
  TensorRecord record;
  record.name = std::move(name);
  record.dtype = DType::f32;
  record.shape = base.shape;
  record.doc = base.doc;
  record.values = Generated{[base, layout, factor = std::move(factor)]() -> Tensor {
    Tensor values = base.load().clone();
    float* w = values.data<float>().data();
    for (std::int64_t g = 0; g < layout.groups; ++g)
      for (std::int64_t r = 0; r < layout.rows; ++r)
        for (std::int64_t c = 0; c < layout.channels; ++c) {
          const double a = factor[static_cast<std::size_t>(g * layout.channels + c)];
          for (std::int64_t i = 0; i < layout.inner; ++i, ++w) *w = static_cast<float>(*w * a);
        }
    return values;
  }};
  return record;
}

void put_initializer(Graph& graph, TensorRecord record) {
  for (TensorRecord& old : graph.initializers)
    if (old.name == record.name) {
      old = std::move(record);
      return;
    }
  graph.initializers.push_back(std::move(record));
}

struct Fold {
  std::size_t layer = 0;
  std::size_t behind = 0;
  ChannelLayout layout;
  Affine affine;
  std::vector<double> bias;
};

/// The fold that this layer allows, if any.
std::optional<Fold> find_fold(const Graph& graph, const GraphIndex& index, std::size_t i) {
  const Node& layer = graph.nodes[i];
  if (!is_foldable(layer) || layer.inputs.size() < 2 || layer.outputs.size() != 1) return std::nullopt;
  const std::string& value = layer.outputs[0];
  const TensorRecord* weight = index.initializer(layer.inputs[1]);
  if (weight == nullptr || weight->dtype != DType::f32 || index.is_graph_output(value) || index.consumers(value).size() != 1)
    return std::nullopt;
  const std::optional<ChannelLayout> layout = layout_of(layer, weight->shape);
  if (!layout || layout->n_channels() <= 0 || layout->n_channels() > kMaxChannels) return std::nullopt;
  Fold fold{i,
            static_cast<std::size_t>(index.consumers(value)[0]),
            *layout,
            {},
            std::vector<double>(static_cast<std::size_t>(layout->n_channels()), 0.0)};
  std::optional<Affine> affine = affine_of(graph.nodes[fold.behind], index, value, layer, weight->shape, layout->n_channels());
  if (!affine) return std::nullopt;
  fold.affine = std::move(*affine);
  if (layer.inputs.size() > 2 && !layer.inputs[2].empty()) {
    const TensorRecord* bias = index.initializer(layer.inputs[2]);
    // Gemm's C may be a whole matrix: only one value per column folds.
    if (bias == nullptr || bias->shape.size() > 2 || (bias->shape.size() == 2 && bias->shape[0] != 1)) return std::nullopt;
    const auto values = per_channel(index, layer.inputs[2], layout->n_channels());
    if (!values) return std::nullopt;
    fold.bias = *values;
  }
  return fold;
}

void apply(Model& model, NameAllocator& names, const Fold& fold) {
  Graph& graph = model.graph;
  const GraphIndex index(graph);
  Node& layer = graph.nodes[fold.layer];
  const Node& behind = graph.nodes[fold.behind];
  const TensorRecord base = *index.initializer(layer.inputs[1]);
  const bool has_bias = layer.inputs.size() > 2 && !layer.inputs[2].empty();
  const double beta = layer.op_type == "Gemm" ? layer.attr_f("beta", 1.0f) : 1.0;

  bool is_scaled = false;
  for (double factor : fold.affine.factor) is_scaled = is_scaled || factor != 1.0;
  const bool shares_weight = index.consumers(layer.inputs[1]).size() > 1 || index.is_graph_output(layer.inputs[1]);
  const bool shares_bias = has_bias && (index.consumers(layer.inputs[2]).size() > 1 || index.is_graph_output(layer.inputs[2]));
  const std::string weight_name = shares_weight ? names.fresh(concat({base.name, "_folded"})) : base.name;
  const std::string bias_name = has_bias && !shares_bias ? layer.inputs[2] : names.fresh(concat({node_key(layer), "_bias"}));

  Tensor bias(DType::f32, {fold.layout.n_channels()});
  for (std::size_t c = 0; c < fold.bias.size(); ++c)
    bias.data<float>()[c] = static_cast<float>(fold.bias[c] * beta * fold.affine.factor[c] + fold.affine.offset[c]);
  const std::string output = behind.outputs[0];
  if (is_scaled) {
    layer.inputs[1] = weight_name;
    put_initializer(graph, scaled_weight(weight_name, base, fold.layout, fold.affine.factor));
  }
  layer.inputs.resize(3);
  layer.inputs[2] = bias_name;
  if (layer.op_type == "Gemm") layer.remove("beta");
  put_initializer(graph, TensorRecord::of(bias_name, std::move(bias)));
  layer.outputs[0] = output;
  // An input of the same name would let a caller override what is folded.
  std::erase_if(graph.inputs, [&](const ValueInfo& input) { return input.name == weight_name || input.name == bias_name; });
}

}  // namespace

PassResult fold_batch_norm(Model& model) {
  PassResult result;
  std::map<std::string, std::int64_t> n_folded;
  NameAllocator names(model);
  for (bool is_changed = true; is_changed;) {
    is_changed = false;
    const GraphIndex index(model.graph);
    std::vector<bool> is_dead(model.graph.nodes.size(), false);
    std::vector<Fold> folds;
    for (std::size_t i = 0; i < model.graph.nodes.size(); ++i)
      if (std::optional<Fold> fold = find_fold(model.graph, index, i)) folds.push_back(std::move(*fold));
    for (const Fold& fold : folds) {
      const Node& behind = model.graph.nodes[fold.behind];
      result.removed.push_back(removed_node(behind, concat({"folded into ", model.graph.nodes[fold.layer].label()})));
      ++n_folded[behind.op_type];
      apply(model, names, fold);
      is_dead[fold.behind] = is_changed = true;
      ++result.n_changes;
    }
    if (!is_changed) break;
    erase_nodes(model.graph, is_dead);
    // Constants of folded nodes: nobody reads them any more.
    const GraphIndex after(model.graph);
    std::set<std::string> unused;
    for (const TensorRecord& record : model.graph.initializers)
      if (after.consumers(record.name).empty() && !after.is_graph_output(record.name) && !index.consumers(record.name).empty())
        unused.insert(record.name);
    erase_initializers(model.graph, unused);
  }
  for (const auto& [op_type, n] : n_folded)
    result.messages.push_back(concat({n, " ", op_type, (n == 1 ? " node" : " nodes"), " folded into the layer in front"}));
  return result;
}

}  // namespace bitwright
