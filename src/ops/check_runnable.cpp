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
          throw_error(ErrorCode::unsupported,
                      {"value ", in_quotes(info.name), ": sequences, maps and optional values cannot be run, only tensors"},
                      info.name);
  }

  void check_nodes(const std::vector<Node>& nodes, const std::vector<OpsetImport>& imports, const std::string& where,
                   int nesting) {
    if (nesting > kMaxNesting)
      throw_error(ErrorCode::limit_exceeded,
                  {"subgraphs and local functions lie more than ", kMaxNesting, " deep; inline them before loading the model"});
    for (const Node& node : nodes) {
      const auto called = functions_.find(std::tie(node.domain, node.op_type, node.overload));
      if (called != functions_.end()) {
        const Function& function = *called->second;
        if (checked_.insert(&function).second)
          check_nodes(function.nodes, function.opset_imports, concat({where, "in function ", in_quotes(function.name), ": "}),
                      nesting + 1);
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
      throw_error(ErrorCode::unsupported, {where, node.label(), ": ", finding}, node.name);
    };
    const Op* op = find_op(node.domain, node.op_type);
    if (op == nullptr || op->domain == kInternalDomain)
      refuse(concat({"the operator", (node.domain.empty() ? std::string{} : concat({" of domain ", in_quotes(node.domain)})),
                     " is not supported"}));
    std::int64_t opset = 0;
    for (const OpsetImport& import : imports)
      if (import.domain == node.domain) opset = import.version;
    if (opset == 0 && node.domain.empty()) refuse("the model imports no opset of ai.onnx");
    if (node.domain.empty() && opset > kNewestOpset)
      refuse(
          concat({"opset ", opset, " is newer than the newest known, ", kNewestOpset, "; export the model with an older one"}));
    if (opset != 0 && opset < op->since.front())
      refuse(concat({"opset ", opset, " is older than the oldest supported for this operator, ", op->since.front()}));
  }

  const Model& model_;
  std::map<std::tuple<std::string, std::string, std::string>, const Function*> functions_;
  std::set<const Function*> checked_;
};

}  // namespace

void check_runnable(const Model& model) { Checker(model).check(); }

}  // namespace bitwright
