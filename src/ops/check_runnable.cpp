#include <map>
#include <set>
#include <tuple>

#include "base/error.h"
#include "model/limits.h"
#include "ops/op.h"

namespace bitwright {

namespace {

/// The newest opset of ai.onnx whose definitions we know.
constexpr std::int64_t kNewestOpset = 28;

class Checker {
 public:
  explicit Checker(const Model& model) : model_(model) {
    for (const Function& function : model.functions)
      functions_.emplace(std::tie(function.domain, function.name, function.overload), &function);
  }

  void check() {
    check_values(model_.graph);
    check_nodes(model_.graph.nodes, model_.opset_imports, "", 0);
  }

 private:
  void check_values(const Graph& graph) {
    for (const auto* infos : {&graph.inputs, &graph.outputs})
      for (const ValueInfo& info : *infos)
        if (!info.is_tensor)
          throw Error(ErrorCode::unsupported,
                      "value " + quoted(info.name) + ": sequences, maps and optional values cannot be run, only tensors")
              .about(info.name);
  }

  void check_nodes(const std::vector<Node>& nodes, const std::vector<OpsetImport>& imports, const std::string& where,
                   int nesting) {
    if (nesting > kMaxNesting)
      throw Error(ErrorCode::limit_exceeded, "subgraphs and local functions lie more than " + std::to_string(kMaxNesting) +
                                                 " deep; inline them before loading the model");
    for (const Node& node : nodes) {
      const auto called = functions_.find(std::tie(node.domain, node.op_type, node.overload));
      if (called != functions_.end()) {
        const Function& function = *called->second;
        if (checked_.insert(&function).second)
          check_nodes(function.nodes, function.opset_imports, where + "in function " + quoted(function.name) + ": ", nesting + 1);
        continue;
      }
      check_operator(node, imports, where);
      for (const Attribute& attribute : node.attributes) {
        if (!attribute.g) continue;
        check_values(*attribute.g);
        check_nodes(attribute.g->nodes, imports, where, nesting + 1);
      }
    }
  }

  static void check_operator(const Node& node, const std::vector<OpsetImport>& imports, const std::string& where) {
    const auto refuse = [&](const std::string& finding) {
      throw Error(ErrorCode::unsupported, where + node.label() + ": " + finding).about(node.name);
    };
    const Op* op = find_op(node.domain, node.op_type);
    if (op == nullptr || op->domain == kInternalDomain)
      refuse("the operator" + (node.domain.empty() ? std::string{} : " of domain " + quoted(node.domain)) + " is not supported");
    std::int64_t opset = 0;
    for (const OpsetImport& import : imports)
      if (import.domain == node.domain) opset = import.version;
    if (opset == 0 && node.domain.empty()) refuse("the model imports no opset of ai.onnx");
    if (node.domain.empty() && opset > kNewestOpset)
      refuse("opset " + std::to_string(opset) + " is newer than the newest known, " + std::to_string(kNewestOpset) +
             "; export the model with an older one");
    if (opset != 0 && opset < op->since.front())
      refuse("opset " + std::to_string(opset) + " is older than the oldest supported for this operator, " +
             std::to_string(op->since.front()));
  }

  const Model& model_;
  std::map<std::tuple<std::string, std::string, std::string>, const Function*> functions_;
  std::set<const Function*> checked_;
};

}  // namespace

void check_runnable(const Model& model) { Checker(model).check(); }

}  // namespace bitwright
