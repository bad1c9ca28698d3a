#include "report/model_info.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/sorted_order.h"
#include "ops/op.h"
#include "ops/qoperators.h"
#include "quant/quant_params.h"

namespace bitwright {

namespace {

class Inspector {
 public:
  explicit Inspector(ModelInfo& info) : info_(info) {}

  void visit(const Graph& graph) {
    for (const TensorRecord& record : graph.initializers) add(record, record.name);
    for (const TensorRecord& record : graph.initializers) records_[record.name] = &record;
    for (const Node& node : graph.nodes) visit(node);
  }

  void visit(const Node& node) {
    ++info_.n_nodes;
    ++counts_[{node.op_type, node.domain}];
    info_.is_quantized |= node.op_type.ends_with("QuantizeLinear");
    note_scheme(node);
    for (const Attribute& attribute : node.attributes) {
      if (attribute.t) add(*attribute.t, node.outputs.empty() ? node.name : node.outputs.front());
      for (const auto& tensor : attribute.tensors) add(*tensor, node.name);
      if (attribute.g) visit(*attribute.g);
      for (const auto& graph : attribute.graphs) visit(*graph);
    }
  }

  void finish() {
    for (TensorInfo& tensor : info_.tensors)
      if (const auto found = schemes_.find(tensor.name); found != schemes_.end()) tensor.scheme = found->second;
    for (const auto& [key, count] : counts_)
      info_.operators.push_back(
          {key.first, key.second, count, find_op(key.second, key.first) != nullptr || functions_.count(key) != 0});
    sort_list(info_.operators, [](const OperatorCount& a, const OperatorCount& b) { return a.count > b.count; });
  }

  void know(const Function& function) { functions_.insert({function.name, function.domain}); }

 private:
  void add(const TensorRecord& record, const std::string& name) {
    info_.n_parameters += static_cast<std::uint64_t>(n_elements(record.shape));
    info_.tensors.push_back({name, record.dtype, record.shape, record.dtype == DType::string ? 0 : record.size_bytes(), {}});
  }

  /// What the node says of the codes that it reads.
  void note_scheme(const Node& node) {
    const std::string& op = node.op_type;
    const auto note = [&](std::size_t codes, std::string_view type, std::size_t scale, std::int64_t axis,
                          std::int64_t block_size) {
      const auto record = codes < node.inputs.size() ? records_.find(node.inputs[codes]) : records_.end();
      if (record == records_.end()) return;
      const auto scales = scale < node.inputs.size() ? records_.find(node.inputs[scale]) : records_.end();
      Granularity granularity = PerTensor{};
      if (block_size > 0)
        granularity = PerBlock{axis, block_size};
      else if (scales != records_.end() && n_elements(scales->second->shape) > 1)
        granularity = PerChannel{axis};
      schemes_[record->first] = concat({type.empty() ? dtype_name(record->second->dtype) : type, " ", to_string(granularity)});
    };
    const std::int64_t block_size = node.attr_i("block_size", 0);
    const std::string bits = concat({"u", node.attr_i("bits", 4)});
    if (op == "DequantizeLinear") note(0, "", 1, node.attr_i("axis", 1), block_size);
    if (op == "MatMulNBits") note(1, bits, 2, 1, block_size);
    if (op == "MatMulBnb4") note(1, node.attr_i("quant_type", 1) == 0 ? "fp4" : "nf4", 2, 1, block_size);
    if (op == "GatherBlockQuantized") note(0, node.has("bits") ? bits : "", 2, node.attr_i("quantize_axis", 1), block_size);
    if (op == "QLinearConv" || op == "QGemm" || op == "QLinearMatMul") note(3, "", 4, op == "QLinearConv" ? 0 : 1, 0);
    if (op == "DynamicQuantizeMatMul") note(1, "", 2, 1, 0);
    if (op == "MatMulIntegerToFloat") note(1, "", 3, 1, 0);
  }

  ModelInfo& info_;
  std::map<std::string, const TensorRecord*> records_;
  std::map<std::string, std::string> schemes_;
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
  info.is_quantized |= !quantized_operators_of(model).empty();
  std::set<std::string_view> constants;
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
