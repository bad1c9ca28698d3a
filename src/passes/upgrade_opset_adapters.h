#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/model.h"
#include "passes/upgrade_opset_facts.h"

namespace bitwright {

/// What an adapter may do besides changing its node: put nodes before and behind it, add constants, or refuse.
class NodeUpgrade {
 public:
  NodeUpgrade(Node& node, const ValueFacts& facts, NameAllocator& names, std::int64_t target)
      : node(node), facts(facts), target(target), names_(names) {}

  /// The name of a new constant, "<node>_<role>".
  std::string constant(const std::string& role, Tensor value);
  std::string i64_constant(const std::string& role, const std::vector<std::int64_t>& values);
  std::string scalar_constant(const std::string& role, DType dtype, float value);
  std::string fresh(const std::string& role);
  Node& add_before(std::string op_type, std::vector<std::string> inputs, const std::string& role);
  Node& add_behind(std::string op_type, std::vector<std::string> inputs, std::vector<std::string> outputs);
  /// Sets input `i`, with empty ones before it where there are none yet.
  void set_input(std::size_t i, std::string value);
  std::string input(std::size_t i) const { return i < node.inputs.size() ? node.inputs[i] : std::string(); }
  bool has_input(std::size_t i) const { return !input(i).empty(); }
  [[noreturn]] void refuse(const std::string& reason) const;
  /// The node's element type (that of its first input). Refuses where it is not known.
  DType dtype() const;

  Node& node;
  const ValueFacts& facts;
  std::int64_t target;
  std::vector<Node> before;
  std::vector<Node> behind;
  std::vector<TensorRecord> constants;

 private:
  NameAllocator& names_;
};

/// Thrown by NodeUpgrade::refuse, caught by upgrade_opset.
struct UpgradeRefusal {
  std::string node;
  std::string reason;
};

/// Turns the node from the meaning before `opset` into the one from `opset` on; says in `change` what it did.
struct OpsetAdapter {
  std::string_view op_type;
  std::int64_t opset;
  void (*apply)(NodeUpgrade& upgrade);
  std::string_view change;
};

/// Every change of meaning, in order of the opset.
std::span<const OpsetAdapter> opset_adapters();

/// Refuses a node whose operator changed between `from` and opset 7 in a way that its attributes show.
void upgrade_below_7(NodeUpgrade& upgrade, std::int64_t from);

}  // namespace bitwright
