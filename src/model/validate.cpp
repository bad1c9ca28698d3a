#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <span>

#include "base/error.h"
#include "model/free_values.h"
#include "model/limits.h"
#include "model/model.h"

namespace bitwright {

namespace {

/// The names of one graph, and behind it those of the graphs around it.
struct Scope {
  std::set<std::string_view> names;
  const Scope* outer = nullptr;

  bool has(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer)
      if (scope->names.count(name) != 0) return true;
    return false;
  }
};

[[noreturn]] void refuse(const std::string& message, const std::string& subject) {
  throw_error(ErrorCode::bad_graph, {message, "; mend the model"}, subject);
}

/// Node i must follow the makers of what it and its subgraphs use. Puts the nodes in an order where it does: the order they
/// have, as far as that is possible.
void put_in_order(std::vector<Node>& nodes, const std::string& where) {
  std::map<std::string_view, std::size_t> producers;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const std::string& output : nodes[i].outputs)
      if (!output.empty()) producers.emplace(output, i);

  std::vector<std::vector<std::size_t>> users(nodes.size());
  std::vector<std::size_t> n_missing(nodes.size());
  bool is_ordered = true;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto depend = [&](std::string_view value) {
      const auto found = producers.find(value);
      if (found == producers.end()) return;
      users[found->second].push_back(i);
      ++n_missing[i];
      if (found->second >= i) is_ordered = false;
    };
    for (const std::string& input : nodes[i].inputs)
      if (!input.empty()) depend(input);
    for (const std::string_view value : free_values_of_subgraphs(nodes[i])) depend(value);
  }
  if (is_ordered) return;

  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (n_missing[i] == 0) ready.push(i);
  std::vector<std::size_t> order;
  order.reserve(nodes.size());
  while (!ready.empty()) {
    const std::size_t i = ready.top();
    ready.pop();
    order.push_back(i);
    for (const std::size_t user : users[i])
      if (--n_missing[user] == 0) ready.push(user);
  }
  if (order.size() != nodes.size()) {
    // Some nodes left over only follow a cycle. Walking from maker to maker among them ends on it.
    std::vector<std::size_t> maker(nodes.size(), nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i)
      for (const std::size_t user : users[i])
        if (n_missing[i] != 0 && n_missing[user] != 0) maker[user] = i;
    std::size_t on_cycle = 0;
    while (n_missing[on_cycle] == 0) ++on_cycle;
    for (std::size_t step = 0; step < nodes.size() && maker[on_cycle] != nodes.size(); ++step) on_cycle = maker[on_cycle];
    refuse(concat({nodes[on_cycle].label(), where, " needs its own output: the graph has a cycle"}), nodes[on_cycle].name);
  }
  std::vector<Node> sorted;
  sorted.reserve(nodes.size());
  for (const std::size_t i : order) sorted.push_back(std::move(nodes[i]));
  nodes = std::move(sorted);
}

void validate_graph(Graph& graph, const Scope* outer, int depth);

void define_outputs(const std::vector<Node>& nodes, Scope& scope, const std::string& where) {
  for (const Node& node : nodes)
    for (const std::string& output : node.outputs)
      if (!output.empty() && !scope.names.insert(output).second)
        refuse(concat({node.label(), where, ": its output ", in_quotes(output), " is also the name of another value"}),
               node.name);
}

/// The least number of inputs that a node lists, counted up to the last one that its operator needs in every opset. What rewrites
/// graphs relies on them. Operators that are not in the list have one.
std::size_t least_inputs(const Node& node) {
  struct Row {
    std::string_view op_type;
    std::size_t n;
  };
  static constexpr Row kOnnx[] = {{"Add", 2},
                                  {"BatchNormalization", 5},
                                  {"Constant", 0},
                                  {"Conv", 2},
                                  {"ConvInteger", 2},
                                  {"ConvTranspose", 2},
                                  {"DequantizeLinear", 2},
                                  {"Div", 2},
                                  {"GRU", 3},
                                  {"Gather", 2},
                                  {"Gemm", 2},
                                  {"If", 0},
                                  {"LSTM", 3},
                                  {"Loop", 0},
                                  {"MatMul", 2},
                                  {"MatMulInteger", 2},
                                  {"Mul", 2},
                                  {"Optional", 0},
                                  {"OptionalGetElement", 0},
                                  {"OptionalHasElement", 0},
                                  {"PRelu", 2},
                                  {"Pow", 2},
                                  {"QLinearConv", 8},
                                  {"QLinearMatMul", 8},
                                  {"QuantizeLinear", 2},
                                  {"RNN", 3},
                                  {"RandomNormal", 0},
                                  {"RandomUniform", 0},
                                  {"Scan", 0},
                                  {"SequenceEmpty", 0},
                                  {"Sub", 2},
                                  {"Where", 3}};
  static constexpr Row kMicrosoft[] = {{"DynamicQuantizeLSTM", 12},
                                       {"DynamicQuantizeMatMul", 3},
                                       {"GatherBlockQuantized", 3},
                                       {"MatMulBnb4", 3},
                                       {"MatMulIntegerToFloat", 4},
                                       {"MatMulNBits", 3},
                                       {"QGemm", 6},
                                       {"QLinearAdd", 7},
                                       {"QLinearMul", 7}};
  const auto least = [&](std::span<const Row> rows, std::size_t otherwise) {
    for (const Row& row : rows)
      if (row.op_type == node.op_type) return row.n;
    return otherwise;
  };
  if (node.domain.empty()) return least(kOnnx, 1);
  return node.domain == "com.microsoft" ? least(kMicrosoft, 0) : 0;
}

void check_arity(const Node& node, const std::string& where) {
  const std::size_t n = least_inputs(node);
  if (node.inputs.size() < n)
    refuse(concat({node.label(), where, " has ", node.inputs.size(), " inputs where its operator needs ", n}), node.name);
  if (n > 0 && node.outputs.empty()) refuse(concat({node.label(), where, " lists no outputs"}), node.name);
}

void validate_nodes(std::vector<Node>& nodes, const Scope& scope, int depth, const std::string& where) {
  for (Node& node : nodes) {
    check_arity(node, where);
    for (const std::string& input : node.inputs)
      if (!input.empty() && !scope.has(input))
        refuse(
            concat({node.label(), where, ": its input ", in_quotes(input), " is made by no node and is no input or initializer"}),
            node.name);
    std::set<std::string_view> names;
    for (Attribute& attribute : node.attributes) {
      if (!names.insert(attribute.name).second)
        refuse(concat({node.label(), where, ": attribute ", in_quotes(attribute.name), " stands twice"}), node.name);
      if (attribute.g) validate_graph(*attribute.g, &scope, depth + 1);
      for (const auto& graph : attribute.graphs) validate_graph(*graph, &scope, depth + 1);
    }
  }
}

void validate_graph(Graph& graph, const Scope* outer, int depth) {
  if (depth > kMaxNesting)
    throw_error(ErrorCode::limit_exceeded, {"graph ", in_quotes(graph.name), ": subgraphs are nested deeper than ", kMaxNesting});
  const std::string where = depth == 0 ? "" : concat({" in subgraph ", in_quotes(graph.name)});
  Scope scope;
  scope.outer = outer;
  for (const ValueInfo& input : graph.inputs)
    if (!scope.names.insert(input.name).second)
      refuse(concat({"graph input ", in_quotes(input.name), where, " stands twice"}), input.name);
  std::set<std::string_view> initializers;
  for (const TensorRecord& record : graph.initializers) {
    if (!initializers.insert(record.name).second)
      refuse(concat({"initializer ", in_quotes(record.name), where, " stands twice"}), record.name);
    scope.names.insert(record.name);
  }
  define_outputs(graph.nodes, scope, where);
  validate_nodes(graph.nodes, scope, depth, where);
  for (const ValueInfo& output : graph.outputs)
    if (!output.name.empty() && !scope.has(output.name))
      refuse(concat({"graph output ", in_quotes(output.name), where, " is made by no node and is no input or initializer"}),
             output.name);
  put_in_order(graph.nodes, where);
}

using FunctionKey = std::string;

FunctionKey key_of(const std::string& domain, const std::string& name, const std::string& overload) {
  return concat({domain.size(), ":", domain, name.size(), ":", name, overload});
}

void collect_calls(const std::vector<Node>& nodes, const std::map<FunctionKey, std::size_t>& functions,
                   std::vector<std::size_t>& calls) {
  for (const Node& node : nodes) {
    if (const auto found = functions.find(key_of(node.domain, node.op_type, node.overload)); found != functions.end())
      calls.push_back(found->second);
    for (const Attribute& attribute : node.attributes) {
      if (attribute.g) collect_calls(attribute.g->nodes, functions, calls);
      for (const auto& graph : attribute.graphs) collect_calls(graph->nodes, functions, calls);
    }
  }
}

/// No local function may call itself, not through others and not through a subgraph.
void refuse_recursion(const Model& model) {
  std::map<FunctionKey, std::size_t> functions;
  for (std::size_t i = 0; i < model.functions.size(); ++i) {
    const Function& function = model.functions[i];
    if (!functions.emplace(key_of(function.domain, function.name, function.overload), i).second)
      refuse(concat({"local function ", in_quotes(function.name), " is defined twice"}), function.name);
  }
  std::vector<std::vector<std::size_t>> calls(model.functions.size());
  std::vector<std::size_t> n_callers(model.functions.size());
  for (std::size_t i = 0; i < model.functions.size(); ++i) {
    collect_calls(model.functions[i].nodes, functions, calls[i]);
    for (const std::size_t callee : calls[i]) ++n_callers[callee];
  }
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < calls.size(); ++i)
    if (n_callers[i] == 0) ready.push_back(i);
  while (!ready.empty()) {
    const std::size_t caller = ready.back();
    ready.pop_back();
    for (const std::size_t callee : calls[caller])
      if (--n_callers[callee] == 0) ready.push_back(callee);
  }
  for (std::size_t i = 0; i < calls.size(); ++i)
    if (n_callers[i] != 0)
      refuse(concat({"local function ", in_quotes(model.functions[i].name), " is part of a recursion"}), model.functions[i].name);
}

void validate_function(Function& function) {
  const std::string where = concat({" in local function ", in_quotes(function.name)});
  Scope scope;
  for (const std::string& input : function.inputs)
    if (!scope.names.insert(input).second) refuse(concat({"input ", in_quotes(input), where, " stands twice"}), function.name);
  define_outputs(function.nodes, scope, where);
  validate_nodes(function.nodes, scope, 0, where);
  for (const std::string& output : function.outputs)
    if (!scope.has(output)) refuse(concat({"output ", in_quotes(output), where, " is made by no node"}), function.name);
  put_in_order(function.nodes, where);
}

}  // namespace

void validate(Model& model) {
  refuse_recursion(model);
  for (Function& function : model.functions) validate_function(function);
  validate_graph(model.graph, nullptr, 0);
}

}  // namespace bitwright
