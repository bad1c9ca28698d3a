#include "engine/plan.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/function_ref.h"
#include "engine/attribute_binding.h"
#include "engine/fold.h"
#include "model/limits.h"

namespace bitwright {

int GraphPlan::add_value(const std::string* name) {
  values.emplace_back();
  is_constant.push_back(0);
  names.push_back(name);
  return static_cast<int>(values.size()) - 1;
}

namespace {

constexpr int kNotFound = -2;
/// Folded values that nothing uses are kept for observers up to this size.
constexpr std::size_t kMaxIdleBytes = std::size_t{64} << 10;

/// Names visible in one graph or function body. `outer` is the scope around a subgraph; function bodies see nothing outside.
struct Scope {
  GraphPlan& plan;
  Scope* outer;
  std::map<std::string_view, int> names;
};

/// What holds for the nodes of the main graph or of one function body.
struct Setting {
  const std::vector<OpsetImport>& opset_imports;
  const AttributeBinding* binding;  // null outside functions
  std::string where;
  int nesting;
  std::vector<const Function*> callers;
};

std::int64_t opset_of(const std::vector<OpsetImport>& imports, std::string_view domain) {
  for (const OpsetImport& import : imports)
    if (import.domain == domain) return import.version;
  return 0;
}

class Planner {
 public:
  Planner(const Model& model, const std::vector<std::string>& overridden, const WorkLimits& limits)
      : model_(model), overridden_(overridden), folder_(limits) {
    for (const Function& function : model.functions)
      functions_.emplace(std::tie(function.domain, function.name, function.overload), &function);
  }

  std::unique_ptr<GraphPlan> plan() {
    return plan_graph(model_.graph, nullptr, {model_.opset_imports, nullptr, "", 0, {}}, true);
  }

 private:
  std::unique_ptr<GraphPlan> plan_graph(const Graph& graph, Scope* outer, const Setting& setting, bool is_main) {
    if (setting.nesting > kMaxNesting)
      throw_error(ErrorCode::limit_exceeded,
                  {"subgraphs and local functions lie more than ", kMaxNesting, " deep; inline them before loading the model"});
    auto plan = std::make_unique<GraphPlan>();
    Scope scope{*plan, outer, {}};
    for (const TensorRecord& record : graph.initializers) {
      const bool is_fed = is_main && std::find(overridden_.begin(), overridden_.end(), record.name) != overridden_.end();
      const int value = define(scope, record.name, &record.name);
      if (is_fed) continue;
      plan->is_constant[static_cast<std::size_t>(value)] = 1;
      initializers_.emplace(std::pair(plan.get(), value), &record);
    }
    for (const ValueInfo& input : graph.inputs) {
      const auto known = scope.names.find(input.name);
      plan->inputs.push_back(known != scope.names.end() ? known->second : define(scope, input.name, &input.name));
    }
    for (const Node& node : graph.nodes) add_node(scope, node, setting);
    for (const ValueInfo& output : graph.outputs) {
      const int value = lookup(scope, output.name);
      if (value < 0) throw_error(ErrorCode::bad_graph, {"graph output ", in_quotes(output.name), ": no node makes it"});
      load(*plan, value);
      plan->outputs.push_back(value);
    }
    plan_releases(*plan);
    return plan;
  }

  int define(Scope& scope, std::string_view name, const std::string* shown) {
    const int value = scope.plan.add_value(shown);
    if (!scope.names.emplace(name, value).second)
      throw_error(ErrorCode::bad_graph, {"value ", in_quotes(name), " is made twice"});
    return value;
  }

  int lookup(Scope& scope, std::string_view name) {
    if (const auto found = scope.names.find(name); found != scope.names.end()) return found->second;
    if (scope.outer == nullptr) return kNotFound;
    const int outer = lookup(*scope.outer, name);
    if (outer < 0) return outer;
    GraphPlan& plan = scope.plan;
    const int inner = plan.add_value(nullptr);
    scope.names.emplace(name, inner);
    const auto outer_index = static_cast<std::size_t>(outer);
    if (scope.outer->plan.is_constant[outer_index] != 0) {
      load(scope.outer->plan, outer);
      plan.values.back() = scope.outer->plan.values[outer_index];
      plan.is_constant.back() = 1;
    } else {
      plan.captures.push_back({outer, inner});
    }
    return inner;
  }

  /// Reads an initializer when a node first uses it.
  void load(GraphPlan& plan, int value) {
    const auto found = initializers_.find({&plan, value});
    if (found == initializers_.end()) return;
    plan.values[static_cast<std::size_t>(value)] = found->second->load();
    initializers_.erase(found);
  }

  void add_node(Scope& scope, const Node& written, const Setting& setting) {
    if (setting.binding != nullptr && ++n_inlined_ > kMaxInlined)
      throw_error(ErrorCode::limit_exceeded, {"the calls of local functions stand for more than ", kMaxInlined, " nodes"});
    const Node* node = &written;
    if (setting.binding != nullptr && has_attribute_references(written)) {
      scope.plan.resolved_nodes.push_back(std::make_unique<Node>(resolve_attributes(written, *setting.binding)));
      node = scope.plan.resolved_nodes.back().get();
    }
    const auto function = functions_.find(std::tie(node->domain, node->op_type, node->overload));
    if (function != functions_.end()) return inline_function(scope, *node, *function->second, setting);
    Step step;
    step.node = node;
    step.op = find_op(node->domain, node->op_type);
    if (step.op == nullptr)
      throw_error(ErrorCode::unsupported, {setting.where, node->label(), ": the operator is not supported"}, node->name);
    step.opset = opset_of(setting.opset_imports, node->domain);
    step.where = setting.where;
    const bool is_shown = scope.outer == nullptr && setting.binding == nullptr;
    for (const std::string& input : node->inputs) step.inputs.push_back(use(scope, *node, input, setting));
    for (const std::string& output : node->outputs)
      step.outputs.push_back(output.empty() ? Step::kAbsent : define(scope, output, is_shown ? &output : nullptr));
    add_subgraphs(scope, step, setting);
    prepare(scope.plan, step);
    folder_.fold(scope.plan, step);
    scope.plan.steps.push_back(std::move(step));
  }

  int use(Scope& scope, const Node& node, const std::string& name, const Setting& setting) {
    if (name.empty()) return Step::kAbsent;
    const int value = lookup(scope, name);
    if (value == kNotFound)
      throw_error(ErrorCode::bad_graph,
                  {setting.where, node.label(), ": its input ", in_quotes(name), " is made by no node before it"}, node.name);
    if (value >= 0) load(scope.plan, value);
    return value;
  }

  void add_subgraphs(Scope& scope, Step& step, const Setting& setting) {
    for (const Attribute& attribute : step.node->attributes) {
      if (!attribute.g) continue;
      Setting inner = setting;
      ++inner.nesting;
      step.subgraphs.emplace_back(attribute.name, plan_graph(*attribute.g, &scope, inner, false));
    }
  }

  static void prepare(const GraphPlan& plan, Step& step) {
    for (const int input : step.inputs)
      step.is_input_constant.push_back(input == Step::kAbsent ? 0 : plan.is_constant[static_cast<std::size_t>(input)]);
    for (const int output : step.outputs) step.is_output_wanted.push_back(output != Step::kAbsent);
    step.input_types.resize(step.inputs.size());
    step.input_tensors.assign(step.inputs.size(), nullptr);
    for (std::size_t i = 0; i < step.inputs.size(); ++i)
      step.input_type_pointers.push_back(step.inputs[i] == Step::kAbsent ? nullptr : &step.input_types[i]);
    step.output_types.resize(step.outputs.size());
    step.output_tensors.resize(step.outputs.size());
  }

  void inline_function(Scope& scope, const Node& call, const Function& function, const Setting& setting) {
    const std::string where = concat({setting.where, "in function ", in_quotes(function.name), ": "});
    if (std::find(setting.callers.begin(), setting.callers.end(), &function) != setting.callers.end())
      throw_error(ErrorCode::bad_graph, {where, "it calls itself"}, call.name);
    if (setting.nesting >= kMaxNesting)
      throw_error(ErrorCode::limit_exceeded, {where, "local functions lie more than ", kMaxNesting, " deep"});
    if (call.inputs.size() > function.inputs.size() || call.outputs.size() > function.outputs.size())
      throw_error(ErrorCode::bad_graph, {call.label(), ": it has more inputs or outputs than the function it calls"}, call.name);
    Scope body{scope.plan, nullptr, {}};
    for (std::size_t i = 0; i < function.inputs.size(); ++i) {
      const int value = i < call.inputs.size() ? use(scope, call, call.inputs[i], setting) : Step::kAbsent;
      body.names.emplace(function.inputs[i], value);
    }
    const AttributeBinding binding = bind_attributes(function, call);
    Setting inner{function.opset_imports, &binding, where, setting.nesting + 1, setting.callers};
    inner.callers.push_back(&function);
    for (const Node& node : function.nodes) add_node(body, node, inner);
    for (std::size_t i = 0; i < call.outputs.size(); ++i) {
      if (call.outputs[i].empty()) continue;
      const int value = lookup(body, function.outputs[i]);
      if (value == kNotFound)
        throw_error(ErrorCode::bad_graph, {where, "no node makes its output ", in_quotes(function.outputs[i])}, call.name);
      const bool is_shown = scope.outer == nullptr && setting.binding == nullptr;
      if (is_shown && value >= 0 && scope.plan.names[static_cast<std::size_t>(value)] == nullptr)
        scope.plan.names[static_cast<std::size_t>(value)] = &call.outputs[i];
      if (!scope.names.emplace(call.outputs[i], value).second)
        throw_error(ErrorCode::bad_graph, {"value ", in_quotes(call.outputs[i]), " is made twice"});
    }
  }

  static void for_each_use(const Step& step, FunctionRef<void(int)> visit) {
    for (const int input : step.inputs)
      if (input != Step::kAbsent) visit(input);
    for (const auto& [attribute, subgraph] : step.subgraphs)
      for (const GraphPlan::Capture& capture : subgraph->captures) visit(capture.outer);
  }

  static void plan_releases(GraphPlan& plan) {
    constexpr std::size_t kNever = ~std::size_t{0};
    std::vector<std::size_t> last_use(plan.values.size(), kNever);
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
      const Step& step = plan.steps[s];
      if (step.is_folded) continue;
      for (const int output : step.outputs)
        if (output != Step::kAbsent) last_use[static_cast<std::size_t>(output)] = s;
      for_each_use(step, [&](int value) { last_use[static_cast<std::size_t>(value)] = s; });
    }
    std::vector<std::uint8_t> is_output(plan.values.size(), 0);
    for (const int output : plan.outputs) is_output[static_cast<std::size_t>(output)] = 1;
    for (std::size_t value = 0; value < plan.values.size(); ++value) {
      if (is_output[value] != 0) continue;
      if (plan.is_constant[value] != 0) {
        if (last_use[value] == kNever && plan.values[value].size_bytes() > kMaxIdleBytes) plan.values[value] = Tensor();
      } else if (last_use[value] != kNever) {
        plan.steps[last_use[value]].releases.push_back(static_cast<int>(value));
      }
    }
  }

  const Model& model_;
  const std::vector<std::string>& overridden_;
  std::map<std::tuple<std::string, std::string, std::string>, const Function*> functions_;
  std::map<std::pair<const GraphPlan*, int>, const TensorRecord*> initializers_;  // not loaded yet
  ConstantFolder folder_;
  std::size_t n_inlined_ = 0;
};

}  // namespace

std::unique_ptr<GraphPlan> plan_model(const Model& model, const std::vector<std::string>& overridden, const WorkLimits& limits) {
  return Planner(model, overridden, limits).plan();
}

}  // namespace bitwright
