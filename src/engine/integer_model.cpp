#include "engine/integer_model.h"

#include <atomic>

#include "base/error.h"
#include "engine/node_run.h"
#include "kernels/probe.h"
#include "kernels/warm_up.h"
#include "passes/clean_graph.h"
#include "passes/fuse_float.h"
#include "passes/fuse_integer.h"

namespace bitwright {

namespace {

Tensor evaluate(const Model& model, const Node& node, std::span<const Tensor* const> inputs) {
  std::vector<TypeInfo> types(inputs.size());
  std::vector<const TypeInfo*> type_pointers(inputs.size(), nullptr);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) continue;
    types[i] = {inputs[i]->dtype(), inputs[i]->shape()};
    type_pointers[i] = &types[i];
  }
  std::vector<TypeInfo> made(1);
  const std::int64_t opset = model.opset(node.domain);
  const Op& op = *find_op(node.domain, node.op_type);
  NodeInference inference(node, opset, type_pointers, inputs, made);
  try {
    op.infer(inference);
  } catch (const NotKnownYet&) {
    throw_error(ErrorCode::bad_graph, {node.label(), ": the shape of its result depends on values that are not constant"});
  }
  std::vector<Tensor> outputs(1);
  const std::vector<std::uint8_t> is_constant(inputs.size(), 1), is_wanted(1, 1);
  NoSubgraphs no_subgraphs;
  std::unique_ptr<OpState> state;
  const NodeRunSetting setting{node, opset, heap_allocator(), no_subgraphs, state, true};
  NodeRun run(setting, inputs, is_constant, made, is_wanted, outputs);
  compute(op, run);
  run.check_outputs();
  return outputs[0];
}

bool has_codes(const Graph& graph) {
  for (const Node& node : graph.nodes)
    if (node.op_type == "DequantizeLinear" || node.op_type.rfind("QLinear", 0) == 0 || node.op_type == "QGemm") return true;
  return false;
}

/// Weights alone are no work for integer kernels.
bool quantizes_activations(const Graph& graph) {
  for (const Node& node : graph.nodes)
    if (node.op_type == "QuantizeLinear") return true;
  return false;
}

}  // namespace

std::shared_ptr<const Model> integer_model(const Model& model, const SessionOptions& options) {
  const bool has_integers = options.arithmetic != SessionArithmetic::simulated && has_codes(model.graph);
  if (options.is_deterministic && !has_integers) return nullptr;
  const Arithmetic arithmetic = options.arithmetic == SessionArithmetic::fast ? Arithmetic::fast : Arithmetic::integer_only;
  static std::atomic<bool> is_warm{false};
  if (has_integers && quantizes_activations(model.graph) && !is_warm.exchange(true))
    warm_up_integer_kernels(options.family.value_or(probe_kernel_family()), arithmetic);
  auto copy = std::make_shared<Model>(model);
  lift_constants(*copy);
  remove_identities(*copy);
  // First the products by weights in blocks: they would become products by reals.
  const bool has_blocks = !options.is_deterministic && fuse_block_products(*copy).n_changes > 0;
  if (has_integers)
    fuse_integer(
        *copy, infer_types(*copy),
        {.arithmetic = arithmetic,
         .family = options.family,
         .evaluate = [&](const Node& node, std::span<const Tensor* const> inputs) { return evaluate(*copy, node, inputs); }});
  const bool has_signs = !options.is_deterministic && fuse_ternary_products(*copy).n_changes > 0;
  const bool has_clamps = !options.is_deterministic && fuse_activations(*copy).n_changes > 0;
  if (!has_integers && !has_blocks && !has_signs && !has_clamps) return nullptr;
  copy->graph.inputs = model.graph.inputs;  // unused ones too: feeds are given by their order
  return copy;
}

}  // namespace bitwright
