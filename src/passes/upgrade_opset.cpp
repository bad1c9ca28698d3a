#include "passes/upgrade_opset.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/error.h"
#include "passes/graph_edit.h"
#include "passes/upgrade_opset_adapters.h"

namespace bitwright {

namespace {

constexpr std::int64_t kFirstAdaptedOpset = 7;
constexpr std::int64_t kLastIrWithConstantInputs = 3;

class Upgrader {
 public:
  Upgrader(Model& model, std::int64_t target, std::vector<std::string>& messages)
      : target_(target), names_(model), messages_(messages) {
    for (const Function& function : model.functions) functions_.insert({function.domain, function.name});
  }

  void upgrade(Graph& graph, const ValueFacts* outer, std::int64_t from) {
    const ValueFacts facts(graph, outer);
    std::vector<TensorRecord> constants;
    upgrade(graph.nodes, facts, from, constants);
    std::move(constants.begin(), constants.end(), std::back_inserter(graph.initializers));
  }

  void upgrade(Function& function) {
    auto import = std::find_if(function.opset_imports.begin(), function.opset_imports.end(),
                               [](const OpsetImport& one) { return one.domain.empty(); });
    if (import == function.opset_imports.end() || import->version >= target_) return;
    const ValueFacts facts(function);
    std::vector<TensorRecord> constants;
    upgrade(function.nodes, facts, import->version, constants);
    import->version = target_;
    std::vector<Node> makers;
    for (TensorRecord& record : constants) {
      Node maker;
      maker.op_type = "Constant";
      maker.outputs = {record.name};
      maker.attributes.push_back(Attribute::of_tensor("value", record.load()));
      makers.push_back(std::move(maker));
    }
    function.nodes.insert(function.nodes.begin(), std::make_move_iterator(makers.begin()), std::make_move_iterator(makers.end()));
  }

 private:
  void upgrade(std::vector<Node>& nodes, const ValueFacts& facts, std::int64_t from, std::vector<TensorRecord>& constants) {
    std::vector<Node> upgraded;
    upgraded.reserve(nodes.size());
    for (Node& node : nodes) {
      for (Attribute& attribute : node.attributes) {
        if (attribute.g) upgrade(*attribute.g, &facts, from);
        for (const auto& graph : attribute.graphs) upgrade(*graph, &facts, from);
      }
      if (!node.domain.empty() || functions_.count({"", node.op_type}) != 0 || functions_.count({"ai.onnx", node.op_type}) != 0) {
        upgraded.push_back(std::move(node));
        continue;
      }
      const std::string label = node.label();
      NodeUpgrade one(node, facts, names_, target_);
      if (from < kFirstAdaptedOpset) upgrade_below_7(one, from);
      for (const OpsetAdapter& adapter : opset_adapters()) {
        if (adapter.opset <= from || adapter.opset > target_ || adapter.op_type != node.op_type) continue;
        const std::size_t n_before = one.before.size() + one.constants.size();
        adapter.apply(one);
        const bool is_rewritten = one.before.size() + one.constants.size() != n_before || adapter.op_type != node.op_type;
        if (is_rewritten && !adapter.change.empty())
          messages_.push_back(concat({label, ": ", adapter.change, " (opset ", adapter.opset, ")"}));
      }
      std::move(one.before.begin(), one.before.end(), std::back_inserter(upgraded));
      upgraded.push_back(std::move(node));
      std::move(one.behind.begin(), one.behind.end(), std::back_inserter(upgraded));
      std::move(one.constants.begin(), one.constants.end(), std::back_inserter(constants));
    }
    nodes = std::move(upgraded);
  }

  std::int64_t target_;
  NameAllocator names_;
  std::vector<std::string>& messages_;
  std::set<std::pair<std::string, std::string>> functions_;
};

/// From IR version 4 on an initializer that is also a graph input may be overridden, and is no constant any more.
void drop_constant_inputs(Graph& graph, std::vector<std::string>& messages) {
  std::set<std::string_view> initializers;
  for (const TensorRecord& record : graph.initializers) initializers.insert(record.name);
  const auto n_dropped = std::erase_if(graph.inputs, [&](const ValueInfo& input) { return initializers.count(input.name) != 0; });
  if (n_dropped != 0)
    messages.push_back(concat({n_dropped, " initializers are no longer listed as graph inputs (IR version 4)"}));
}

}  // namespace

std::int64_t ir_version_of_opset(std::int64_t opset) {
  struct Pair {
    std::int64_t opset;
    std::int64_t ir_version;
  };
  static constexpr Pair kPairs[] = {{25, 13}, {24, 12}, {23, 11}, {21, 10}, {19, 9}, {15, 8}, {12, 7}, {11, 6}, {10, 5}, {9, 4}};
  for (const Pair& pair : kPairs)
    if (opset >= pair.opset) return pair.ir_version;
  return 3;
}

UpgradeResult upgrade_opset(Model& model, std::int64_t target) {
  if (target < 1 || target > kMaxUpgradeOpset)
    throw_error(ErrorCode::invalid_argument,
                {"opset ", target, " is no target of an upgrade; it is between 1 and ", kMaxUpgradeOpset});
  UpgradeResult result;
  result.from = result.to = model.opset();
  result.ir_version = model.ir_version;
  result.is_done = true;
  if (result.from >= target) return result;

  Model draft = model;
  own_subgraphs(draft);
  try {
    Upgrader upgrader(draft, target, result.messages);
    if (result.from != 0) upgrader.upgrade(draft.graph, nullptr, result.from);
    for (Function& function : draft.functions) upgrader.upgrade(function);
  } catch (const UpgradeRefusal& refusal) {
    result.is_done = false;
    result.messages.clear();
    result.node = refusal.node;
    result.reason = refusal.reason;
    return result;
  }
  const std::int64_t ir_version = std::max(model.ir_version, ir_version_of_opset(target));
  if (draft.ir_version <= kLastIrWithConstantInputs && ir_version > kLastIrWithConstantInputs)
    drop_constant_inputs(draft.graph, result.messages);
  draft.ir_version = ir_version;
  draft.set_opset("", target);
  model = std::move(draft);
  result.to = target;
  result.ir_version = ir_version;
  return result;
}

}  // namespace bitwright
