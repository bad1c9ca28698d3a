#include "api/convert.h"

#include <algorithm>
#include <map>
#include <set>

#include "api/prepare.h"
#include "base/error.h"
#include "engine/session.h"
#include "files/onnx/onnx.h"
#include "ops/op.h"
#include "ops/qoperators.h"
#include "passes/clean_graph.h"
#include "passes/expand_quantized.h"
#include "passes/fuse_qoperators.h"
#include "passes/graph_edit.h"
#include "passes/upgrade_opset.h"

namespace bitwright {

namespace {

/// The opsets whose DequantizeLinear takes blocks, and several scales.
constexpr std::int64_t kBlockOpset = 21;
constexpr std::int64_t kChannelOpset = 13;

/// Computes what nodes make of constants. A chain that begins at codes becomes one constant, made whenever it is asked for.
class DequantizedConstants {
 public:
  DequantizedConstants(const Model& model, Graph& graph) : model_(model), graph_(graph), index_(graph) {}

  std::int64_t run() {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) look_at(graph_.nodes[i]);
    std::vector<TensorRecord> records;
    std::vector<bool> is_dead(graph_.nodes.size(), false);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const std::string& value = graph_.nodes[i].outputs[0];
      const auto found = constants_.find(value);
      if (found == constants_.end() || !found->second || !is_end(value)) continue;
      records.push_back(constant(value));
      is_dead[i] = true;
    }
    erase_nodes(graph_, is_dead);
    std::move(records.begin(), records.end(), std::back_inserter(graph_.initializers));
    return static_cast<std::int64_t>(records.size());
  }

 private:
  void look_at(const Node& node) {
    if (node.inputs.empty() || node.outputs.size() != 1 || find_op(node.domain, node.op_type) == nullptr) return;
    bool is_dequantized = node.op_type == "DequantizeLinear";
    for (const Attribute& attribute : node.attributes)
      if (attribute.g || !attribute.graphs.empty()) return;
    for (const std::string& input : node.inputs) {
      if (input.empty()) continue;
      const auto found = constants_.find(input);
      if (found == constants_.end() && index_.initializer(input) == nullptr) return;
      if (found != constants_.end()) is_dequantized |= found->second;
    }
    constants_[node.outputs[0]] = is_dequantized || widens_codes(node, index_.initializer(node.inputs[0]));
  }

  /// Somebody reads it who is no constant himself.
  bool is_end(const std::string& value) const {
    if (index_.is_graph_output(value)) return true;
    const auto readers = index_.consumers(value);
    return std::any_of(readers.begin(), readers.end(), [&](std::int64_t i) {
      const Node& reader = graph_.nodes[static_cast<std::size_t>(i)];
      return reader.outputs.empty() || !constants_.contains(reader.outputs[0]);
    });
  }

  TensorRecord constant(const std::string& value) const {
    auto piece = std::make_shared<Model>();
    piece->ir_version = model_.ir_version;
    piece->opset_imports = model_.opset_imports;
    std::set<std::string> needed{value};
    for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      if (node.outputs.empty() || !needed.contains(node.outputs[0])) continue;
      needed.insert(node.inputs.begin(), node.inputs.end());
      piece->graph.nodes.insert(piece->graph.nodes.begin(), node);
    }
    for (const std::string& name : needed)
      if (const TensorRecord* record = index_.initializer(name); record != nullptr) piece->graph.initializers.push_back(*record);
    ValueInfo output;
    output.name = value;
    piece->graph.outputs.push_back(output);
    const auto types = infer_types(*piece);
    const auto type = types.find(value);
    TensorRecord record;
    record.name = value;
    if (type != types.end() && type->second.is_known()) {
      record.dtype = type->second.dtype;
      record.shape = *type->second.shape;
      record.values = Generated{[piece, value] { return Session(piece).run({}).at(value); }};
      return record;
    }
    return TensorRecord::of(value, Session(piece).run({}).at(value));
  }

  const Model& model_;
  Graph& graph_;
  const GraphIndex index_;
  std::map<std::string, bool> constants_;  // whether it stems from codes
};

/// Casts to the type that a value has already, as exporters put behind QuantizeLinear.
void drop_idle_casts(Model& model) {
  const auto types = infer_types(model);
  for (Node& node : model.graph.nodes) {
    if (node.op_type != "Cast" || !node.domain.empty() || node.inputs.empty()) continue;
    const auto type = types.find(node.inputs[0]);
    if (type == types.end() || type->second.dtype == DType::undefined) continue;
    if (static_cast<std::int64_t>(type->second.dtype) != node.attr_i("to", 0)) continue;
    node.op_type = "Identity";
    node.attributes.clear();
  }
}

ConvertResult copy_of(const Model& model) {
  ConvertResult result{std::make_shared<Model>(model), 0, {}};
  own_subgraphs(*result.model);
  freeze_initializers(*result.model);
  lift_constants(*result.model);
  drop_idle_casts(*result.model);
  remove_identities(*result.model);  // exporters share scales through them
  return result;
}

void take(ConvertResult& result, const PassResult& pass) {
  result.n_changes += pass.n_changes;
  result.messages.insert(result.messages.end(), pass.messages.begin(), pass.messages.end());
}

}  // namespace

ConvertResult dequantize_model(const Model& model) {
  const std::string before = quantized_operators_of(model);
  if (before.empty()) return {std::make_shared<Model>(model), 0, {}};
  ConvertResult result = copy_of(model);
  Model& copy = *result.model;
  take(result, expand_quantized(copy));
  take(result, remove_qdq(copy));
  remove_unused(copy);
  visit_graphs(copy, [&](Graph& graph) { result.n_changes += DequantizedConstants(copy, graph).run(); });
  remove_unused(copy);
  remove_identities(copy);
  result.messages.insert(result.messages.begin(), concat({"dequantized to float: ", before}));
  if (const std::string rest = quantized_operators_of(copy); !rest.empty())
    result.messages.push_back(concat({"not dequantized: ", rest}));
  set_file_bytes(copy);
  return result;
}

ConvertResult convert_model(const Model& model, QuantFormat format) {
  ConvertResult result = copy_of(model);
  Model& copy = *result.model;
  if (format == QuantFormat::qoperator) {
    take(result, fuse_qoperators(copy, Target::onnxruntime));
    set_file_bytes(copy);
    return result;
  }
  bool has_blocks = false;
  visit_nodes(copy, [&](const Node& node, const std::string&) {
    has_blocks |= node.op_type == "MatMulNBits" || node.op_type == "GatherBlockQuantized";
  });
  const std::int64_t needed = has_blocks ? kBlockOpset : kChannelOpset, before = copy.opset();
  if (before < needed) {
    const UpgradeResult upgrade = upgrade_opset(copy, needed);
    if (!upgrade.is_done)
      throw_error(
          ErrorCode::unsupported,
          {"opset ", before, " cannot be raised to ", needed, ", which form qdq needs: ", upgrade.node, ": ", upgrade.reason},
          upgrade.node);
    result.messages.push_back(concat({"opset raised from ", before, " to ", needed}));
  }
  take(result, expand_quantized(copy));
  remove_unused(copy);
  set_file_bytes(copy);
  return result;
}

}  // namespace bitwright
