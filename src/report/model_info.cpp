#include "report/model_info.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "base/sorted_order.h"
#include "ops/op.h"

namespace bitwright {

namespace {

class Inspector {
 public:
  explicit Inspector(ModelInfo& info) : info_(info) {}

  void visit(const Graph& graph) {
    for (const TensorRecord& record : graph.initializers) add(record, record.name);
    for (const Node& node : graph.nodes) visit(node);
  }

  void visit(const Node& node) {
    ++info_.n_nodes;
    ++counts_[{node.op_type, node.domain}];
    if (node.op_type.find("QuantizeLinear") != std::string::npos || node.op_type.rfind("QLinear", 0) == 0 ||
        node.op_type.find("Integer") != std::string::npos || node.op_type == "MatMulNBits")
      info_.is_quantized = true;
    for (const Attribute& attribute : node.attributes) {
      if (attribute.t) add(*attribute.t, node.outputs.empty() ? node.name : node.outputs.front());
      for (const auto& tensor : attribute.tensors) add(*tensor, node.name);
      if (attribute.g) visit(*attribute.g);
      for (const auto& graph : attribute.graphs) visit(*graph);
    }
  }

  void finish() {
    for (const auto& [key, count] : counts_)
      info_.operators.push_back(
          {key.first, key.second, count, find_op(key.second, key.first) != nullptr || functions_.count(key) != 0});
    sort_list(info_.operators, [](const OperatorCount& a, const OperatorCount& b) { return a.count > b.count; });
  }

  void know(const Function& function) { functions_.insert({function.name, function.domain}); }

 private:
  void add(const TensorRecord& record, const std::string& name) {
    info_.n_parameters += static_cast<std::uint64_t>(n_elements(record.shape));
    info_.tensors.push_back({name, record.dtype, record.shape, record.dtype == DType::string ? 0 : record.size_bytes()});
  }

  ModelInfo& info_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> counts_;
  std::set<std::pair<std::string, std::string>> functions_;
};

}  // namespace

ModelInfo inspect(const Model& model) {
  ModelInfo info;
  Inspector inspector(info);
  for (const Function& function : model.functions) inspector.know(function);
  inspector.visit(model.graph);
  for (const Function& function : model.functions)
    for (const Node& node : function.nodes) inspector.visit(node);
  inspector.finish();
  std::unordered_set<std::string_view> constants;
  for (const TensorRecord& record : model.graph.initializers) constants.insert(record.name);
  for (const ValueInfo& input : model.graph.inputs)
    if (constants.count(input.name) == 0) info.inputs.push_back(input);
  info.outputs = model.graph.outputs;
  try {
    check_runnable(model);
  } catch (const Error& error) {
    info.not_runnable = error.what();
  }
  return info;
}

}  // namespace bitwright
