#include "engine/executor.h"

#include <new>

#include "base/clock.h"
#include "base/error.h"
#include "engine/step_run.h"

namespace bitwright {

namespace {

/// The subgraphs of one step, run over frames of their own.
class StepSubgraphs final : public SubgraphRunner {
 public:
  StepSubgraphs(const GraphPlan& outer, Step& step, const RunSetting& setting)
      : outer_(outer), step_(step), setting_{setting.allocator, setting.is_deterministic, setting.budget} {}

  std::vector<Tensor> run(std::string_view attribute, std::span<const Tensor> inputs) override {
    GraphPlan& plan = find(attribute);
    if (plan.inputs.size() != inputs.size())
      throw_error(ErrorCode::bad_graph, {step_.node->label(), ": the graph in ", in_quotes(attribute), " has ",
                                         plan.inputs.size(), " inputs, ", inputs.size(), " are given"});
    const FrameGuard guard(plan);
    for (const GraphPlan::Capture& capture : plan.captures)
      plan.values[static_cast<std::size_t>(capture.inner)] = outer_.values[static_cast<std::size_t>(capture.outer)];
    for (std::size_t i = 0; i < inputs.size(); ++i) plan.values[static_cast<std::size_t>(plan.inputs[i])] = inputs[i];
    run_steps(plan, setting_);
    std::vector<Tensor> outputs;
    for (const int output : plan.outputs) outputs.push_back(plan.values[static_cast<std::size_t>(output)]);
    return outputs;
  }

 private:
  GraphPlan& find(std::string_view attribute) {
    for (auto& [name, plan] : step_.subgraphs)
      if (name == attribute) return *plan;
    throw_error(ErrorCode::bad_graph, {step_.node->label(), ": the graph in attribute ", in_quotes(attribute), " is missing"});
  }

  const GraphPlan& outer_;
  Step& step_;
  RunSetting setting_;
};

[[noreturn]] void fail(const Step& step, ErrorCode code, std::string message) {
  const std::string label = step.node->label();
  if (message.rfind(label, 0) != 0) message = concat({label, ": ", message});
  throw_error(code, {step.where + message}, step.node->name.empty() ? label : step.node->name);
}

/// Runs `action`, which concerns the step, and says of its errors where they came from.
template <typename Action>
void at_step(const Step& step, Action action) {
  try {
    action();
  } catch (const Error& error) {
    // Errors from inside a subgraph name the inner node already.
    if (!step.subgraphs.empty() && !error.subject().empty()) throw;
    fail(step, error.code(), error.what());
  } catch (const NotKnownYet&) {
    fail(step, ErrorCode::internal, "a shape is not known in a run");
  } catch (const std::bad_alloc&) {
    fail(step, ErrorCode::out_of_memory, "memory could not be had; use smaller inputs");
  }
}

void run_step(GraphPlan& plan, Step& step, const RunSetting& setting) {
  at_step(step, [&] {
    infer_step(plan, step);
    if (setting.budget != nullptr && !setting.budget->spend(step))
      throw_error(ErrorCode::limit_exceeded, {"the run passes the limits of work that the caller set"});
    StepSubgraphs subgraphs(plan, step, setting);
    compute_step(step, setting.allocator, subgraphs, setting.is_deterministic);
    if (setting.is_noting) note_step(plan, step);
  });
  store_outputs(plan, step);
}

/// Runs `action` and adds its time to the step's profile, if one is kept.
template <typename Action>
void timed(Step& step, bool is_profiling, Action action) {
  if (!is_profiling) return action();
  const double start_ms = now_ms();
  action();
  step.time_ms += now_ms() - start_ms;
  ++step.n_runs;
}

void show_outputs(const GraphPlan& plan, const Step& step, const RunSetting& setting) {
  for (const int output : step.outputs) {
    if (output == Step::kAbsent) continue;
    const auto index = static_cast<std::size_t>(output);
    if (plan.names[index] == nullptr || !plan.values[index].is_defined()) continue;
    if (setting.watched != nullptr && (*setting.watched)[index] == 0) continue;
    (*setting.on_value)(*plan.names[index], plan.values[index]);
  }
}

}  // namespace

FrameGuard::~FrameGuard() {
  for (std::size_t value = 0; value < plan_.values.size(); ++value)
    if (plan_.is_constant[value] == 0) plan_.values[value] = Tensor();
}

void run_steps(GraphPlan& plan, const RunSetting& setting) {
  if (setting.is_noting) {
    plan.notes.assign(plan.values.size(), {});
    for (const int input : plan.inputs) plan.notes[static_cast<std::size_t>(input)].is_steady = true;
    for (std::size_t value = 0; value < plan.values.size(); ++value)
      if (plan.is_constant[value] != 0) plan.notes[value].is_steady = true;
  }
  for (Step& step : plan.steps) {
    if (!step.is_folded) timed(step, setting.is_profiling, [&] { run_step(plan, step, setting); });
    if (setting.on_value != nullptr) show_outputs(plan, step, setting);
    for (const int value : step.releases) plan.values[static_cast<std::size_t>(value)] = Tensor();
  }
}

void prepare_step(GraphPlan& plan, Step& step, const RunSetting& setting) {
  at_step(step, [&] {
    StepSubgraphs subgraphs(plan, step, setting);
    bind_step(step, setting.allocator, subgraphs, setting.is_deterministic);
  });
}

void run_frozen_step(GraphPlan& plan, Step& step, bool is_bound, const RunSetting& setting) {
  timed(step, setting.is_profiling, [&] {
    if (!is_bound) return run_step(plan, step, setting);
    if (step.call.function != nullptr) return step.call.function(step.call.args.get());
    at_step(step, [&] {
      StepSubgraphs subgraphs(plan, step, setting);
      compute_step(step, setting.allocator, subgraphs, setting.is_deterministic, true);
    });
  });
}

}  // namespace bitwright
