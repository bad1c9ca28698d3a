#include "ops/qoperators.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "model/visit_nodes.h"

namespace bitwright {

namespace {

constexpr QOperator kQOperators[] = {
#define QOPERATOR(name, domain, op_type, first, n_operands, result, bias) \
  {name, domain, op_type, first, n_operands, result, bias},
#include "ops/qoperators.inc"
#undef QOPERATOR
};

constexpr std::string_view kMovers[] = {"Reshape", "Transpose", "Flatten",      "Squeeze",      "Unsqueeze", "Slice",
                                        "Gather",  "MaxPool",   "DepthToSpace", "SpaceToDepth", "Identity",  "Expand",
                                        "Tile",    "Split",     "Resize",       "Dropout"};

constexpr std::string_view kOthers[] = {
    "DequantizeLinear",     "MatMulInteger",        "ConvInteger",           "MatMulNBits",        "MatMulBnb4",
    "GatherBlockQuantized", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"};

template <typename List>
bool holds(const List& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

}  // namespace

const QOperator* find_qoperator(std::string_view domain, std::string_view name) {
  const auto found = std::find_if(std::begin(kQOperators), std::end(kQOperators),
                                  [&](const QOperator& row) { return row.name == name && row.domain == domain; });
  return found == std::end(kQOperators) ? nullptr : found;
}

const QOperator* qoperator_of(std::string_view op_type) {
  const auto found =
      std::find_if(std::begin(kQOperators), std::end(kQOperators), [&](const QOperator& row) { return row.op_type == op_type; });
  return found == std::end(kQOperators) ? nullptr : found;
}

bool moves_codes(const Node& node) {
  if (!node.domain.empty() || !holds(kMovers, node.op_type)) return false;
  const bool has_one_output =
      std::all_of(node.outputs.begin() + static_cast<std::ptrdiff_t>(node.op_type == "Split" ? node.outputs.size() : 1),
                  node.outputs.end(), [](const std::string& output) { return output.empty(); });
  // Cubic interpolation goes beyond the codes it reads.
  return has_one_output && (node.op_type != "Resize" || node.attr_s("mode", "nearest") != "cubic");
}

bool is_quantized_operator(const Node& node) {
  return holds(kOthers, node.op_type) || find_qoperator(node.domain, node.op_type) != nullptr;
}

bool widens_codes(const Node& node, const TensorRecord* from) {
  if (node.op_type != "Cast" || !node.domain.empty() || from == nullptr) return false;
  const auto to = static_cast<DType>(node.attr_i("to", 0));
  if (from->dtype == DType::u8) return to == DType::i32 || to == DType::i64;
  return (from->dtype == DType::f16 || from->dtype == DType::bf16) && to == DType::f32;
}

std::string quantized_operators_of(const Model& model) {
  std::map<std::string, std::size_t> counts;
  std::map<std::string_view, const TensorRecord*> stored;
  const auto know = [&](const Graph& graph) {
    for (const TensorRecord& record : graph.initializers) stored.insert_or_assign(record.name, &record);
  };
  know(model.graph);
  visit_nodes(model, [&](const Node& node, const std::string&) {
    if (is_quantized_operator(node)) ++counts[node.op_type];
    const auto found = node.inputs.empty() ? stored.end() : stored.find(node.inputs[0]);
    if (found != stored.end() && widens_codes(node, found->second)) ++counts["Cast of codes"];
    for (const Attribute& attribute : node.attributes) {
      if (attribute.g) know(*attribute.g);
      for (const auto& graph : attribute.graphs) know(*graph);
    }
  });
  std::string text;
  for (const auto& [op_type, n] : counts) text += concat({(text.empty() ? "" : ", "), n, " ", op_type});
  return text;
}

}  // namespace bitwright
