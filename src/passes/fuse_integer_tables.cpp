#include "passes/fuse_integer_tables.h"

#include <map>

#include "ops/refusal.h"
#include "quant/requantize_f32.h"

namespace bitwright {

namespace {

Tensor reals_of_codes(const CodedOperand& operand) {
  Tensor reals(DType::f32, {256});
  for (std::int32_t code = 0; code < 256; ++code)
    reals.data<float>()[static_cast<std::size_t>(code)] = static_cast<float>(code - operand.zero_point) * operand.scale;
  return reals;
}

Tensor codes_of_reals(const Tensor& reals, const CodedOperand& operand, std::int32_t qmin, std::int32_t qmax) {
  Tensor table(DType::u8, {256});
  for (std::size_t i = 0; i < 256; ++i) {
    const float steps = reals.data<float>()[i] / operand.scale;
    table.data<std::uint8_t>()[i] =
        static_cast<std::uint8_t>(requantize_f32(1, steps == steps ? steps : 0.0f, operand.zero_point, qmin, qmax));
  }
  return table;
}

}  // namespace

Tensor recode_table(const CodedOperand& from, const CodedOperand& to, std::int32_t qmin, std::int32_t qmax) {
  if (from.scale == to.scale && from.zero_point == to.zero_point && qmin == 0 && qmax == 255) return {};
  return codes_of_reals(reals_of_codes(from), to, qmin, qmax);
}

Tensor function_table(const Graph& graph, const GraphIndex& index, const FusedGroup& group, const IntegerFusion& how) {
  std::map<std::string, Tensor, std::less<>> values;
  const Tensor reals = reals_of_codes(group.inputs[0]);
  for (const std::size_t i : group.nodes) {
    const Node& node = graph.nodes[i];
    if (i == group.at) break;
    std::vector<Tensor> held;
    std::vector<const Tensor*> inputs;
    held.reserve(node.inputs.size());
    for (const std::string& input : node.inputs) {
      if (input.empty()) {
        inputs.push_back(nullptr);
        continue;
      }
      if (const auto made = values.find(input); made != values.end()) {
        inputs.push_back(&made->second);
      } else if (const TensorRecord* constant = index.initializer(input)) {
        held.push_back(constant->load().reshaped({}));
        inputs.push_back(&held.back());
      } else {
        inputs.push_back(&reals);
      }
    }
    values.insert_or_assign(node.outputs[0], how.evaluate(node, inputs));
  }
  const Tensor& results = values.at(graph.nodes[group.at].inputs[0]);
  require_shape(results.dtype() == DType::f32 && results.shape() == reals.shape(), graph.nodes[group.core],
                "its results for a table are not one float32 for each code");
  return codes_of_reals(results, group.output, group.qmin, group.qmax);
}

}  // namespace bitwright
