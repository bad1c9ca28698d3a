#include "engine/executor.h"

#include <chrono>
#include <new>

#include "base/error.h"
#include "engine/step_run.h"

namespace bitwright {

namespace {

/// The subgraphs of one step, run over frames of their own.
class StepSubgraphs final : public SubgraphRunner {
 public:
  StepSubgraphs(const GraphPlan& outer, Step& step, const RunSetting& setting)
      : outer_(outer), step_(step), setting_{setting.allocator, setting.is_deterministic} {}

  std::vector<Tensor> run(std::string_view attribute, std::span<const Tensor> inputs) override {
    GraphPlan& plan = find(attribute);
    if (plan.inputs.size() != inputs.size())
      throw Error(ErrorCode::bad_graph, step_.node->label() + ": the graph in " + quoted(attribute) + " has " +
                                            std::to_string(plan.inputs.size()) + " inputs, " + std::to_string(inputs.size()) +
                                            " are given");
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
    throw Error(ErrorCode::bad_graph, step_.node->label() + ": the graph in attribute " + quoted(attribute) + " is missing");
  }

  const GraphPlan& outer_;
  Step& step_;
  RunSetting setting_;
};

[[noreturn]] void fail(const Step& step, ErrorCode code, std::string message) {
  const std::string label = step.node->label();
  if (message.rfind(label, 0) != 0) message = label + ": " + message;
  throw Error(code, step.where + message).about(step.node->name.empty() ? label : step.node->name);
}

void run_step(GraphPlan& plan, Step& step, const RunSetting& setting) {
  try {
    infer_step(plan, step);
    StepSubgraphs subgraphs(plan, step, setting);
    compute_step(step, setting.allocator, subgraphs, setting.is_deterministic);
  } catch (const Error& error) {
    // Errors from inside a subgraph name the inner node already.
    if (!step.subgraphs.empty() && !error.subject().empty()) throw;
    fail(step, error.code(), error.what());
  } catch (const NotKnownYet&) {
    fail(step, ErrorCode::internal, "a shape is not known in a run");
  } catch (const std::bad_alloc&) {
    fail(step, ErrorCode::out_of_memory, "memory could not be had; use smaller inputs");
  }
  store_outputs(plan, step);
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
  using Clock = std::chrono::steady_clock;
  for (Step& step : plan.steps) {
    if (!step.is_folded) {
      const Clock::time_point start = setting.is_profiling ? Clock::now() : Clock::time_point{};
      run_step(plan, step, setting);
      if (setting.is_profiling) {
        step.time_ms += std::chrono::duration<double, std::milli>(Clock::now() - start).count();
        ++step.n_runs;
      }
    }
    if (setting.on_value != nullptr) show_outputs(plan, step, setting);
    for (const int value : step.releases) plan.values[static_cast<std::size_t>(value)] = Tensor();
  }
}

}  // namespace bitwright
