#include "ops/qoperators.h"

#include <algorithm>

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

}  // namespace bitwright
