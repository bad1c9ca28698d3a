#include "engine/step_run.h"

#include "engine/node_run.h"

namespace bitwright {

namespace {

bool is_fixed(const GraphPlan& plan, int value) {
  const auto index = static_cast<std::size_t>(value);
  return plan.is_constant[index] != 0 || (index < plan.notes.size() && plan.notes[index].fixed.is_defined());
}

}  // namespace

void infer_step(const GraphPlan& plan, Step& step) {
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    if (step.inputs[i] == Step::kAbsent) continue;
    const Tensor& tensor = plan.values[static_cast<std::size_t>(step.inputs[i])];
    step.input_tensors[i] = &tensor;
    step.input_types[i].dtype = tensor.dtype();
    step.input_types[i].shape = tensor.shape();
  }
  for (TypeInfo& type : step.output_types) {
    type.dtype = DType::undefined;
    type.shape.reset();
  }
  NodeInference inference(*step.node, step.opset, step.input_type_pointers, step.input_tensors, step.output_types);
  step.op->infer(inference);
  step.is_steady = step.subgraphs.empty() && is_repeatable(*step.node);
  for (std::size_t i = 0; i < step.inputs.size(); ++i)
    if (inference.has_read_value(i) && step.inputs[i] != Step::kAbsent && !is_fixed(plan, step.inputs[i])) step.is_steady = false;
}

void compute_step(Step& step, Allocator& allocator, SubgraphRunner& subgraphs, bool is_deterministic, bool is_bound) {
  if (!is_bound)
    for (Tensor& tensor : step.output_tensors) tensor = Tensor();  // left by a run that failed
  if (step.op->run == nullptr) {
    bind_step(step, allocator, subgraphs, is_deterministic);
    step.call.function(step.call.args.get());
    return;
  }
  const NodeRunSetting setting{*step.node, step.opset, allocator, subgraphs, step.state, is_deterministic, is_bound};
  NodeRun run(setting, step.input_tensors, step.is_input_constant, step.output_types, step.is_output_wanted, step.output_tensors);
  compute(*step.op, run);
  run.check_outputs();
}

void bind_step(Step& step, Allocator& allocator, SubgraphRunner& subgraphs, bool is_deterministic) {
  const NodeRunSetting setting{*step.node, step.opset, allocator, subgraphs, step.state, is_deterministic, true};
  NodeRun run(setting, step.input_tensors, step.is_input_constant, step.output_types, step.is_output_wanted, step.output_tensors);
  step.call = prepare(*step.op, run);
  step.kernel = step.call.kernel;
  run.check_outputs();
}

void note_step(GraphPlan& plan, Step& step) {
  constexpr std::size_t kMaxFixedBytes = std::size_t{16} << 10;
  const bool asks_shape_only = step.node->op_type == "Shape" || step.node->op_type == "Size";
  bool is_fixed_too = true;
  step.output_views.assign(step.outputs.size(), Step::kAbsent);
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    if (step.inputs[i] == Step::kAbsent) continue;
    if (!plan.notes[static_cast<std::size_t>(step.inputs[i])].is_steady) step.is_steady = false;
    if (!asks_shape_only && !is_fixed(plan, step.inputs[i])) is_fixed_too = false;
    for (std::size_t o = 0; o < step.outputs.size(); ++o)
      if (const Tensor& output = step.output_tensors[o]; output.buffer() && output.buffer() == step.input_tensors[i]->buffer())
        step.output_views[o] = static_cast<int>(i);
  }
  for (std::size_t o = 0; o < step.outputs.size(); ++o) {
    const Tensor& output = step.output_tensors[o];
    const TypeInfo& type = step.output_types[o];
    if (step.outputs[o] != Step::kAbsent &&
        (!type.is_known() || dtype_bits(output.dtype()) < 8 || type.dtype != output.dtype() || *type.shape != output.shape()))
      step.is_steady = false;
  }
  for (std::size_t o = 0; o < step.outputs.size(); ++o) {
    if (step.outputs[o] == Step::kAbsent) continue;
    const Tensor& output = step.output_tensors[o];
    GraphPlan::Note& note = plan.notes[static_cast<std::size_t>(step.outputs[o])];
    note.is_steady = step.is_steady;
    note.fixed = step.is_steady && is_fixed_too && output.size_bytes() <= kMaxFixedBytes ? output.clone() : Tensor();
  }
}

void store_outputs(GraphPlan& plan, Step& step) {
  for (std::size_t i = 0; i < step.outputs.size(); ++i) {
    if (step.outputs[i] != Step::kAbsent)
      plan.values[static_cast<std::size_t>(step.outputs[i])] = std::move(step.output_tensors[i]);
    step.output_tensors[i] = Tensor();
  }
}

}  // namespace bitwright
