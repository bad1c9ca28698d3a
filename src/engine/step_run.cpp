#include "engine/step_run.h"

#include "engine/node_run.h"

namespace bitwright {

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
}

void compute_step(Step& step, Allocator& allocator, SubgraphRunner& subgraphs, bool is_deterministic) {
  for (Tensor& tensor : step.output_tensors) tensor = Tensor();  // left by a run that failed
  const NodeRunSetting setting{*step.node, step.opset, allocator, subgraphs, step.state, is_deterministic};
  NodeRun run(setting, step.input_tensors, step.is_input_constant, step.output_types, step.is_output_wanted, step.output_tensors);
  step.op->run(run);
  run.check_outputs();
}

void store_outputs(GraphPlan& plan, Step& step) {
  for (std::size_t i = 0; i < step.outputs.size(); ++i) {
    if (step.outputs[i] != Step::kAbsent)
      plan.values[static_cast<std::size_t>(step.outputs[i])] = std::move(step.output_tensors[i]);
    step.output_tensors[i] = Tensor();
  }
}

}  // namespace bitwright
