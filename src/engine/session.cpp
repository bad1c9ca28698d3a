#include "engine/session.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/parallel_for.h"
#include "engine/arena.h"
#include "engine/executor.h"
#include "engine/feed_check.h"
#include "engine/plan.h"

namespace bitwright {

class Session::Impl {
 public:
  Impl(std::shared_ptr<const Model> model, SessionOptions options) : model_(std::move(model)), options_(options) {
    check_runnable(*model_);
    for (const TensorRecord& record : model_->graph.initializers) initializers_.insert(record.name);
    plan_ = plan_model(*model_, overridden_);
    if (options_.n_threads > 1) pool_ = std::make_unique<ThreadPool>(options_.n_threads);
  }

  std::vector<ValueInfo> inputs() const {
    std::vector<ValueInfo> needed;
    std::vector<ValueInfo> optional;
    for (const ValueInfo& input : model_->graph.inputs)
      (initializers_.count(input.name) == 0 ? needed : optional).push_back(input);
    needed.insert(needed.end(), optional.begin(), optional.end());
    return needed;
  }

  const Graph& graph() const { return model_->graph; }

  std::map<std::string, Tensor> run(const std::map<std::string, Tensor>& feeds, const OnValue& on_value) {
    check_feeds(model_->graph, initializers_, feeds);
    replan_for(feeds);
    peak_bytes_ = 0;
    arena_.begin_run();
    const FrameGuard guard(*plan_);
    for (std::size_t i = 0; i < plan_->inputs.size(); ++i) {
      const auto feed = feeds.find(model_->graph.inputs[i].name);
      if (feed != feeds.end()) plan_->values[static_cast<std::size_t>(plan_->inputs[i])] = feed->second;
    }
    const ThreadPoolScope scope(pool_.get());
    std::vector<std::uint8_t> watched;
    RunSetting setting{arena_, options_.is_deterministic, is_profiling_};
    if (on_value) {
      setting.on_value = &on_value;
      if (!observed_.empty()) {
        for (const std::string* name : plan_->names)
          watched.push_back(name != nullptr && std::binary_search(observed_.begin(), observed_.end(), *name));
        setting.watched = &watched;
      }
    }
    run_steps(*plan_, setting);
    peak_bytes_ = arena_.peak_bytes();
    // Copies: the caller may write to what it gets, and must not keep the arena's slab.
    std::map<std::string, Tensor> outputs;
    for (std::size_t i = 0; i < plan_->outputs.size(); ++i)
      outputs.insert_or_assign(model_->graph.outputs[i].name, plan_->values[static_cast<std::size_t>(plan_->outputs[i])].clone());
    return outputs;
  }

  void observe(std::vector<std::string> values) {
    std::sort(values.begin(), values.end());
    observed_ = std::move(values);
  }

  std::vector<NodeProfile> profile() const {
    std::vector<NodeProfile> rows;
    for (const Step& step : plan_->steps)
      if (!step.is_folded) rows.push_back({step.where + step.node->label(), step.node->op_type, step.time_ms, step.n_runs});
    return rows;
  }

  std::uint64_t peak_bytes() const { return peak_bytes_; }
  std::uint64_t arena_bytes() const { return arena_.held_bytes(); }
  void set_profiling(bool is_on) { is_profiling_ = is_on; }

 private:
  /// Initializers that are fed are no constants: the plan is made anew when their set changes.
  void replan_for(const std::map<std::string, Tensor>& feeds) {
    std::vector<std::string> overridden;
    for (const auto& [name, tensor] : feeds)
      if (initializers_.count(name) != 0) overridden.push_back(name);
    if (overridden == overridden_) return;
    plan_ = plan_model(*model_, overridden);
    overridden_ = std::move(overridden);
  }

  std::shared_ptr<const Model> model_;
  SessionOptions options_;
  std::set<std::string> initializers_;
  Arena arena_;
  std::vector<std::string> overridden_;
  std::unique_ptr<GraphPlan> plan_;
  std::unique_ptr<ThreadPool> pool_;
  std::vector<std::string> observed_;
  std::uint64_t peak_bytes_ = 0;
  bool is_profiling_ = false;
};

Session::Session(std::shared_ptr<const Model> model, SessionOptions options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {}
Session::~Session() = default;

std::vector<ValueInfo> Session::inputs() const { return impl_->inputs(); }
std::vector<ValueInfo> Session::outputs() const { return impl_->graph().outputs; }
std::map<std::string, Tensor> Session::run(const std::map<std::string, Tensor>& feeds, const OnValue& on_value) {
  return impl_->run(feeds, on_value);
}
void Session::observe(std::vector<std::string> values) { impl_->observe(std::move(values)); }
std::uint64_t Session::peak_activation_bytes() const { return impl_->peak_bytes(); }
std::uint64_t Session::arena_bytes() const { return impl_->arena_bytes(); }
std::vector<NodeProfile> Session::profile() const { return impl_->profile(); }
void Session::set_profiling(bool is_on) { impl_->set_profiling(is_on); }

}  // namespace bitwright
