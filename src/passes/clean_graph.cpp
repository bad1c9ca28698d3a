#include "passes/clean_graph.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/sorted_order.h"
#include "passes/graph_edit.h"

namespace bitwright {

namespace {

/// The tensor that a Constant node holds; nothing for strings and sparse tensors, which stay nodes.
std::optional<TensorRecord> constant_of(const Node& node) {
  const std::string& name = node.outputs.at(0);
  for (const Attribute& attribute : node.attributes) {
    if (!attribute.ref_attr_name.empty()) return std::nullopt;
    if (attribute.name == "value" && attribute.t) {
      if (attribute.t->dtype == DType::string) return std::nullopt;
      TensorRecord record = *attribute.t;
      record.name = name;
      record.is_untouched = false;
      return record;
    }
    const auto n = [](const auto& values) { return Shape{static_cast<std::int64_t>(values.size())}; };
    if (attribute.name == "value_float") return TensorRecord::of(name, Tensor::scalar(attribute.f));
    if (attribute.name == "value_int") return TensorRecord::of(name, Tensor::scalar(attribute.i));
    if (attribute.name == "value_floats")
      return TensorRecord::of(name, Tensor::of<float>(n(attribute.floats), std::span<const float>(attribute.floats)));
    if (attribute.name == "value_ints")
      return TensorRecord::of(name, Tensor::of<std::int64_t>(n(attribute.ints), std::span<const std::int64_t>(attribute.ints)));
  }
  return std::nullopt;
}

std::optional<std::vector<std::int64_t>> integers_of(const Node& node, std::size_t input, std::string_view attribute,
                                                     const GraphIndex& index) {
  if (node.has(attribute)) return node.attr_ints(attribute);
  if (input >= node.inputs.size() || node.inputs[input].empty()) return std::nullopt;
  const TensorRecord* record = index.initializer(node.inputs[input]);
  if (record == nullptr || record->dtype != DType::i64 || record->shape.size() > 1) return std::nullopt;
  return to_i64_vector(record->load());
}

/// The shape of the view, where the node only renames the axes of a constant.
std::optional<Shape> view_shape(const Node& node, const Shape& shape, const GraphIndex& index) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  if (is_onnx(node, "Flatten")) {
    const std::int64_t axis = normalized_axis(node.attr_i("axis", 1), shape.size(), false);
    Shape view{1, 1};
    for (std::int64_t i = 0; i < rank; ++i) view[i < axis ? 0 : 1] *= shape[static_cast<std::size_t>(i)];
    return view;
  }
  if (is_onnx(node, "Reshape")) {
    std::optional<std::vector<std::int64_t>> target = integers_of(node, 1, "shape", index);
    if (!target || node.attr_i("allowzero", 0) != 0) return std::nullopt;
    std::int64_t known = 1;
    std::int64_t open = -1;
    for (std::size_t i = 0; i < target->size(); ++i) {
      if ((*target)[i] == 0 && i < shape.size()) (*target)[i] = shape[i];
      if ((*target)[i] == -1 && open < 0)
        open = static_cast<std::int64_t>(i);
      else if ((*target)[i] <= 0 || known > kMaxElements / (*target)[i])
        return std::nullopt;
      else
        known *= (*target)[i];
    }
    const std::int64_t n = n_elements(shape);
    if (open >= 0) (*target)[static_cast<std::size_t>(open)] = n / known;
    return n_elements(*target) == n ? target : std::nullopt;
  }
  return std::nullopt;
}

/// A record with the values of `base` under another shape, permuted where `perm` is not empty.
TensorRecord view_record(std::string name, const TensorRecord& base, const Shape& shape, const std::vector<std::int64_t>& perm) {
  TensorRecord record;
  record.name = std::move(name);
  record.dtype = base.dtype;
  record.shape = shape;
  record.values = Generated{[base, shape, perm]() -> Tensor {
    const Tensor values = base.load();
    if (perm.empty()) return values.reshaped(shape);
    Tensor out(base.dtype, shape);
    const std::size_t element = static_cast<std::size_t>(dtype_bits(base.dtype)) / 8;
    const std::vector<std::int64_t> strides = row_major_strides(base.shape);
    std::vector<std::int64_t> at(shape.size(), 0);
    for (std::int64_t i = 0; i < out.n_elements(); ++i) {
      std::int64_t from = 0;
      for (std::size_t axis = 0; axis < at.size(); ++axis) from += at[axis] * strides[static_cast<std::size_t>(perm[axis])];
      std::copy_n(values.bytes().data() + static_cast<std::size_t>(from) * element, element,
                  out.bytes().data() + static_cast<std::size_t>(i) * element);
      for (std::size_t axis = at.size(); axis-- > 0;) {
        if (++at[axis] < shape[axis]) break;
        at[axis] = 0;
      }
    }
    return out;
  }};
  return record;
}

std::optional<TensorRecord> folded_view(const Node& node, const TensorRecord& base, const GraphIndex& index) {
  if (dtype_bits(base.dtype) < 8) return std::nullopt;
  if (!is_onnx(node, "Transpose")) {
    const std::optional<Shape> shape = view_shape(node, base.shape, index);
    if (!shape) return std::nullopt;
    return view_record(node.outputs[0], base, *shape, {});
  }
  std::vector<std::int64_t> perm = node.attr_ints("perm");
  if (perm.empty())
    for (std::size_t axis = base.shape.size(); axis-- > 0;) perm.push_back(static_cast<std::int64_t>(axis));
  std::vector<std::int64_t> sorted = perm;
  sort_list(sorted);
  if (perm.size() != base.shape.size()) return std::nullopt;
  for (std::size_t axis = 0; axis < perm.size(); ++axis)
    if (sorted[axis] != static_cast<std::int64_t>(axis)) return std::nullopt;
  Shape shape;
  for (const std::int64_t axis : perm) shape.push_back(base.shape[static_cast<std::size_t>(axis)]);
  return view_record(node.outputs[0], base, shape, perm);
}

/// Names that subgraphs, at any depth, read or pass on.
void collect_names(const Graph& graph, std::set<std::string, std::less<>>& names);
void collect_names(const std::vector<Node>& nodes, std::set<std::string, std::less<>>& names) {
  for (const Node& node : nodes) {
    names.insert(node.inputs.begin(), node.inputs.end());
    for (const Attribute& attribute : node.attributes) {
      if (attribute.g) collect_names(*attribute.g, names);
      for (const std::shared_ptr<Graph>& graph : attribute.graphs)
        if (graph) collect_names(*graph, names);
    }
  }
}
void collect_names(const Graph& graph, std::set<std::string, std::less<>>& names) {
  collect_names(graph.nodes, names);
  for (const ValueInfo& output : graph.outputs) names.insert(output.name);
}

}  // namespace

PassResult lift_constants(Model& model) {
  Graph& graph = model.graph;
  const GraphIndex index(graph);
  PassResult result;
  std::vector<bool> is_dead(graph.nodes.size(), false);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!is_onnx(node, "Constant") || node.outputs.size() != 1 || index.is_graph_output(node.outputs[0])) continue;
    std::optional<TensorRecord> record = constant_of(node);
    if (!record) continue;
    result.removed.push_back(removed_node(node, "became an initializer"));
    graph.initializers.push_back(std::move(*record));
    is_dead[i] = true;
    ++result.n_changes;
  }
  if (result.n_changes > 0) erase_nodes(graph, is_dead);
  return result;
}

PassResult fold_constant_views(Model& model) {
  Graph& graph = model.graph;
  PassResult result;
  for (bool is_changed = true; is_changed;) {
    is_changed = false;
    const GraphIndex index(graph);
    std::vector<bool> is_dead(graph.nodes.size(), false);
    std::vector<TensorRecord> folded;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      if (node.inputs.empty() || node.outputs.size() != 1 || node.outputs[0].empty() || index.is_graph_output(node.outputs[0]))
        continue;
      const TensorRecord* base = index.initializer(node.inputs[0]);
      if (base == nullptr || index.consumers(node.inputs[0]).size() != 1) continue;
      std::optional<TensorRecord> record = folded_view(node, *base, index);
      if (!record) continue;
      result.removed.push_back(removed_node(node, "folded into the constant it rearranges"));
      folded.push_back(std::move(*record));
      is_dead[i] = is_changed = true;
      ++result.n_changes;
    }
    if (!is_changed) break;
    erase_nodes(graph, is_dead);
    for (TensorRecord& record : folded) graph.initializers.push_back(std::move(record));
  }
  if (result.n_changes > 0) remove_unused(model);
  return result;
}

PassResult remove_identities(Model& model) {
  Graph& graph = model.graph;
  PassResult result;
  std::vector<bool> is_dead(graph.nodes.size(), false);
  const GraphIndex index(graph);
  NewNames renamed;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const bool is_dropout = is_onnx(node, "Dropout") && (node.inputs.size() < 3 || node.inputs[2].empty()) &&
                            (node.outputs.size() < 2 || index.consumers(node.outputs[1]).empty());
    if (!is_onnx(node, "Identity") && !is_dropout) continue;
    if (node.inputs.empty() || node.outputs.empty() || (node.outputs.size() > 1 && index.is_graph_output(node.outputs[1])))
      continue;
    const std::string* latest = latest_name(renamed, node.inputs[0]);
    const std::string input = latest == nullptr ? node.inputs[0] : *latest;
    const std::string output = node.outputs[0];
    if (index.is_graph_output(output)) {
      // The graph output keeps its name: the producer of the input takes it, unless that name is promised elsewhere too.
      const std::int64_t producer = index.producer(input);
      if (producer < 0 || index.is_graph_output(input)) continue;
      for (std::string& name : graph.nodes[static_cast<std::size_t>(producer)].outputs)
        if (name == input) name = output;
      renamed[input] = output;
    } else {
      renamed[output] = input;
    }
    result.removed.push_back(removed_node(node, "passes its input on unchanged"));
    is_dead[i] = true;
    ++result.n_changes;
  }
  if (result.n_changes == 0) return result;
  rename_uses(graph, renamed);
  erase_nodes(graph, is_dead);
  return result;
}

PassResult remove_unused(Model& model) {
  Graph& graph = model.graph;
  PassResult result;
  std::set<std::string, std::less<>> used;
  for (const ValueInfo& output : graph.outputs) used.insert(output.name);
  std::vector<bool> is_dead(graph.nodes.size(), false);
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    is_dead[i] = std::none_of(node.outputs.begin(), node.outputs.end(),
                              [&](const std::string& name) { return !name.empty() && used.contains(name); });
    if (is_dead[i]) {
      result.removed.push_back(removed_node(node, "nobody reads its result"));
      ++result.n_changes;
      continue;
    }
    collect_names(std::vector<Node>{node}, used);
  }
  if (result.n_changes > 0) erase_nodes(graph, is_dead);
  std::set<std::string, std::less<>> dropped;
  for (const TensorRecord& record : graph.initializers)
    if (!used.contains(record.name)) dropped.insert(record.name);
  if (dropped.empty()) return result;
  result.n_changes += static_cast<std::int64_t>(dropped.size());
  std::erase_if(graph.initializers, [&](const TensorRecord& record) { return dropped.contains(record.name); });
  std::erase_if(graph.inputs, [&](const ValueInfo& input) { return dropped.contains(input.name); });
  return result;
}

}  // namespace bitwright
