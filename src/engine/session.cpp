#include "engine/session.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <set>

#include "base/error.h"
#include "base/parallel_for.h"
#include "base/sorted_order.h"
#include "engine/arena.h"
#include "engine/executor.h"
#include "engine/feed_check.h"
#include "engine/frozen_plan.h"
#include "engine/integer_model.h"
#include "engine/plan.h"
#include "ops/fused.h"
#include "passes/widen_halves.h"

namespace bitwright {

namespace {

bool has_halves(const Graph& graph) {
  for (const ValueInfo& input : graph.inputs)
    if (input.dtype == DType::f16) return true;
  for (const TensorRecord& record : graph.initializers)
    if (record.dtype == DType::f16) return true;
  for (const Node& node : graph.nodes) {
    const Attribute* value = node.op_type == "Constant" ? node.find("value") : nullptr;
    if (value != nullptr && value->t && value->t->dtype == DType::f16) return true;
    if (node.op_type == "Cast" && node.attr_i("to", 0) == static_cast<std::int64_t>(DType::f16)) return true;
  }
  return false;
}

/// The model, with the arithmetic of halves that processors have.
std::shared_ptr<const Model> with_wide_halves(std::shared_ptr<const Model> model) {
  if (!has_halves(model->graph)) return model;
  auto copy = std::make_shared<Model>(*model);
  if (widen_halves(*copy, infer_types(*copy)).n_changes == 0) return model;
  return copy;
}

}  // namespace

class Session::Impl {
 public:
  Impl(std::shared_ptr<const Model> model, SessionOptions options) : model_(std::move(model)), options_(options) {
    check_runnable(*model_);
    model_ = with_wide_halves(std::move(model_));
    for (const TensorRecord& record : model_->graph.initializers) initializers_.insert(record.name);
    integer_model_ = integer_model(*model_, options_);
    plan_ = plan_model(integer_model_ ? *integer_model_ : *model_, overridden_, options_.limits);
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
    if (on_value && integer_model_) {  // inner values are those of the model's own nodes
      SessionOptions options = options_;
      options.arithmetic = SessionArithmetic::simulated;
      options.is_deterministic = true;
      if (!simulated_) simulated_ = std::make_unique<Impl>(model_, options);
      simulated_->observed_ = observed_;
      return simulated_->run(feeds, on_value);
    }
    check_feeds(model_->graph, initializers_, feeds);
    replan_for(feeds);
    std::vector<Tensor> by_input;
    for (const ValueInfo& input : model_->graph.inputs) {
      const auto feed = feeds.find(input.name);
      by_input.push_back(feed == feeds.end() ? Tensor() : feed->second);
    }
    execute(by_input, on_value);
    std::map<std::string, Tensor> outputs;
    for (std::size_t i = 0; i < plan_->outputs.size(); ++i)
      outputs.insert_or_assign(model_->graph.outputs[i].name, results_.empty() ? output(i).clone() : std::move(results_[i]));
    return outputs;
  }

  void run_into(std::span<const Tensor> feeds, std::span<Tensor> results) {
    if (results.size() != model_->graph.outputs.size() || feeds.size() != model_->graph.inputs.size())
      throw_error(ErrorCode::invalid_argument, {"one feed is wanted for each graph input and one result for each output"});
    if (!fits_frozen(feeds)) {
      std::map<std::string, Tensor> named;
      for (std::size_t i = 0; i < feeds.size(); ++i)
        if (feeds[i].is_defined()) named.insert_or_assign(model_->graph.inputs[i].name, feeds[i]);
      check_feeds(model_->graph, initializers_, named);
      replan_for(named);
    }
    execute(feeds, {});
    for (std::size_t i = 0; i < results.size(); ++i) {
      const Tensor& made = output(i);
      if (made.dtype() != results[i].dtype() || made.shape() != results[i].shape() || made.dtype() == DType::string)
        results[i] = made.clone();
      else if (made.size_bytes() != 0)
        std::memcpy(results[i].bytes().data(), made.bytes().data(), made.size_bytes());
    }
  }

  void observe(std::vector<std::string> values) {
    sort_list(values);
    observed_ = std::move(values);
  }

  std::vector<NodeProfile> profile() const {
    std::vector<NodeProfile> rows;
    for (const Step& step : plan_->steps) {
      if (step.is_folded) continue;
      const Node& node = *step.node;
      NodeProfile row{step.where + node.label(), node.op_type, step.time_ms, step.n_runs};
      if (integer_model_ && overridden_.empty()) {
        const bool is_inner = node.domain == kInternalDomain;
        row.is_integer = is_inner || node.has("on_codes");
        row.is_channels_last = node.attr_i("is_channels_last", 0) != 0;
        (row.is_integer ? row.nodes : row.reason) = node.doc;
        row.kernel = step.kernel;
      }
      rows.push_back(std::move(row));
    }
    return rows;
  }

  std::uint64_t peak_bytes() const { return peak_bytes_; }
  std::uint64_t arena_bytes() const { return arena_->held_bytes() + (frozen_ ? frozen_->slab_bytes() : 0); }
  void set_profiling(bool is_on) { is_profiling_ = is_on; }
  std::string_view kernel_family() const {
    static constexpr std::string_view kNames[] = {"reference", "simd128", "usdot", "sdot"};
    return kNames[static_cast<std::size_t>(options_.family.value_or(probed_family()))];
  }
  bool is_integer() const {
    return std::any_of(plan_->steps.begin(), plan_->steps.end(),
                       [](const Step& step) { return step.node->domain == kInternalDomain; });
  }

  Tensor* bound_input(std::string_view name) {
    if (!frozen_) return nullptr;
    const std::vector<ValueInfo>& inputs = model_->graph.inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].name == name)
        return frozen_->is_bound(i) ? &plan_->values[static_cast<std::size_t>(plan_->inputs[i])] : nullptr;
    return nullptr;
  }

  std::map<std::string_view, const Tensor*> run_bound() {
    const ThreadPoolScope scope(pool_.get());
    results_.clear();
    budget_ = WorkBudget(options_.limits);
    arena_->begin_run();
    frozen_->run(setting());
    std::map<std::string_view, const Tensor*> outputs;
    for (std::size_t i = 0; i < plan_->outputs.size(); ++i)
      outputs.insert_or_assign(std::string_view(model_->graph.outputs[i].name), &output(i));
    return outputs;
  }

 private:
  const Tensor& output(std::size_t i) const {
    return results_.empty() ? plan_->values[static_cast<std::size_t>(plan_->outputs[i])] : results_[i];
  }

  /// Initializers that are fed are no constants: the plan is made anew when their set changes.
  void replan_for(const std::map<std::string, Tensor>& feeds) {
    std::vector<std::string> overridden;
    for (const auto& [name, tensor] : feeds)
      if (initializers_.count(name) != 0) overridden.push_back(name);
    if (overridden == overridden_) return;
    frozen_.reset();
    feed_types_.clear();
    plan_ = plan_model(overridden.empty() && integer_model_ ? *integer_model_ : *model_, overridden, options_.limits);
    overridden_ = std::move(overridden);
  }

  bool has_last_types(std::span<const Tensor> feeds) const {
    return std::equal(feeds.begin(), feeds.end(), feed_types_.begin(), feed_types_.end(),
                      [](const Tensor& feed, const TypeInfo& type) {
                        return feed.dtype() == type.dtype && (!feed.is_defined() || feed.shape() == *type.shape);
                      });
  }
  bool fits_frozen(std::span<const Tensor> feeds) const { return frozen_ && has_last_types(feeds); }

  /// One run of the plan, by input of the graph; `output` has the results.
  void execute(std::span<const Tensor> feeds, const OnValue& on_value) {
    const ThreadPoolScope scope(pool_.get());
    results_.clear();
    budget_ = WorkBudget(options_.limits);
    if (fits_frozen(feeds) && !on_value) return execute_frozen(feeds);
    frozen_.reset();
    // Shapes that change with every run are not worth freezing: only the first ones, and those seen twice in a row.
    const bool is_to_freeze = !on_value && (feed_types_.empty() || has_last_types(feeds));
    execute_unfrozen(feeds, on_value, is_to_freeze);
    if (!on_value) {
      feed_types_.clear();
      for (const Tensor& feed : feeds) feed_types_.push_back({feed.dtype(), feed.shape()});
    }
    if (!is_to_freeze) return;
    arena_ = std::make_unique<Arena>();  // the slab of the frozen plan takes its place
    try {
      frozen_ = std::make_unique<FrozenPlan>(*plan_, feed_types_, setting());
    } catch (const Error& error) {  // without memory for it the next run is like this one
      if (error.code() != ErrorCode::out_of_memory) throw;
    } catch (const std::bad_alloc&) {
    }
  }

  RunSetting setting() {
    // Beside integer parts float ones keep their order too, so that such models give the same bits everywhere.
    return {*arena_, options_.is_deterministic || is_integer(), options_.limits == WorkLimits{} ? nullptr : &budget_,
            is_profiling_};
  }

  void execute_frozen(std::span<const Tensor> feeds) {
    arena_->begin_run();
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      if (!feeds[i].is_defined()) continue;
      Tensor& value = plan_->values[static_cast<std::size_t>(plan_->inputs[i])];
      if (!frozen_->is_bound(i))
        value = feeds[i];
      else if (value.size_bytes() != 0)
        std::memcpy(value.bytes().data(), feeds[i].bytes().data(), value.size_bytes());
    }
    frozen_->run(setting());
  }

  /// Ends with copies of the results: the caller may write to what it gets, and must not keep the arena's slab.
  void execute_unfrozen(std::span<const Tensor> feeds, const OnValue& on_value, bool is_noting) {
    peak_bytes_ = 0;
    arena_->begin_run();
    const FrameGuard guard(*plan_);
    for (std::size_t i = 0; i < plan_->inputs.size(); ++i)
      if (feeds[i].is_defined()) plan_->values[static_cast<std::size_t>(plan_->inputs[i])] = feeds[i];
    RunSetting unfrozen = setting();
    unfrozen.is_noting = is_noting;
    std::vector<std::uint8_t> watched;
    if (on_value) {
      unfrozen.on_value = &on_value;
      if (!observed_.empty()) {
        for (const std::string* name : plan_->names)
          watched.push_back(name != nullptr && std::binary_search(observed_.begin(), observed_.end(), *name));
        unfrozen.watched = &watched;
      }
    }
    run_steps(*plan_, unfrozen);
    peak_bytes_ = arena_->peak_bytes();
    for (std::size_t i = 0; i < plan_->outputs.size(); ++i)
      results_.push_back(plan_->values[static_cast<std::size_t>(plan_->outputs[i])].clone());
  }

  std::shared_ptr<const Model> model_;
  SessionOptions options_;
  WorkBudget budget_{options_.limits};          // of the run
  std::shared_ptr<const Model> integer_model_;  // what is planned where no initializer is fed; null: the model itself
  std::unique_ptr<Impl> simulated_;             // for runs that are watched
  std::set<std::string> initializers_;
  std::unique_ptr<Arena> arena_ = std::make_unique<Arena>();
  std::vector<std::string> overridden_;
  std::unique_ptr<GraphPlan> plan_;
  std::unique_ptr<FrozenPlan> frozen_;  // of the last run's types
  std::vector<TypeInfo> feed_types_;    // of the last run that nobody watched
  std::vector<Tensor> results_;         // of a run that was not frozen
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
void Session::run_into(std::span<const Tensor> feeds, std::span<Tensor> results) { impl_->run_into(feeds, results); }
void Session::observe(std::vector<std::string> values) { impl_->observe(std::move(values)); }
std::uint64_t Session::peak_activation_bytes() const { return impl_->peak_bytes(); }
std::uint64_t Session::arena_bytes() const { return impl_->arena_bytes(); }
std::vector<NodeProfile> Session::profile() const { return impl_->profile(); }
std::string_view Session::kernel_family() const { return impl_->kernel_family(); }
bool Session::is_integer() const { return impl_->is_integer(); }
Tensor* Session::bound_input(std::string_view name) { return impl_->bound_input(name); }
std::map<std::string_view, const Tensor*> Session::run_bound() { return impl_->run_bound(); }
void Session::set_profiling(bool is_on) { impl_->set_profiling(is_on); }

}  // namespace bitwright
