#include <algorithm>
#include <map>
#include <new>
#include <set>
#include <tuple>

#include "base/error.h"
#include "engine/node_run.h"
#include "engine/session.h"

namespace bitwright {

namespace {

/// Values up to this size are folded: shape arithmetic, never weights.
constexpr std::int64_t kMaxKnownElements = 1024;

/// The value of Shape and Size, which need the extents of their input only.
std::optional<Tensor> value_from_type(const Node& node, const TypeInfo& input) {
  if (!node.domain.empty() || !input.is_known()) return std::nullopt;
  const Shape& shape = *input.shape;
  if (node.op_type == "Size") return Tensor::scalar<std::int64_t>(n_elements(shape));
  if (node.op_type != "Shape") return std::nullopt;
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto place = [&](std::string_view attribute, std::int64_t otherwise) {
    const std::int64_t axis = node.attr_i(attribute, otherwise);
    return std::clamp<std::int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
  };
  const std::int64_t start = place("start", 0);
  const std::int64_t end = std::max(start, place("end", rank));
  return Tensor::of<std::int64_t>(
      {end - start}, std::span(shape).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start)));
}

class TypeInference {
 public:
  explicit TypeInference(const Model& model) : model_(model) {
    for (const Function& function : model.functions) functions_.emplace(function.domain, function.name, function.overload);
  }

  std::map<std::string, TypeInfo, std::less<>> run() {
    const Graph& graph = model_.graph;
    for (const ValueInfo& info : graph.value_infos) declared_.emplace(info.name, &info);
    for (const ValueInfo& info : graph.outputs) declared_.emplace(info.name, &info);
    for (const ValueInfo& input : graph.inputs) types_.insert_or_assign(input.name, type_of(input));
    for (const TensorRecord& record : graph.initializers) add_initializer(record);
    for (const Node& node : graph.nodes) add_node(node);
    return std::move(types_);
  }

 private:
  static TypeInfo type_of(const ValueInfo& info) {
    TypeInfo type;
    type.dtype = info.dtype;
    if (info.has_shape) type.shape = info.shape;
    return type;
  }

  void add_initializer(const TensorRecord& record) {
    TypeInfo type;
    type.dtype = record.dtype;
    type.shape = record.shape;
    types_.insert_or_assign(record.name, std::move(type));
    if (n_elements(record.shape) > kMaxKnownElements) return;
    try {
      known_.insert_or_assign(record.name, record.load());
    } catch (const Error&) {  // external data that is not there: the type is known all the same
    }
  }

  void add_node(const Node& node) {
    std::vector<TypeInfo> outputs(node.outputs.size());
    const bool is_call = functions_.count(std::tie(node.domain, node.op_type, node.overload)) != 0;
    const Op* op = is_call ? nullptr : find_op(node.domain, node.op_type);
    if (op != nullptr) {
      inputs_.assign(node.inputs.size(), nullptr);
      values_.assign(node.inputs.size(), nullptr);
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i].empty()) continue;
        inputs_[i] = &types_[node.inputs[i]];
        if (const auto known = known_.find(node.inputs[i]); known != known_.end()) values_[i] = &known->second;
      }
      if (infer(node, *op, outputs)) fold(node, *op, outputs);
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (!node.outputs[i].empty()) store(node.outputs[i], std::move(outputs[i]));
  }

  /// False where too little is known.
  bool infer(const Node& node, const Op& op, std::vector<TypeInfo>& outputs) {
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      if (inputs_[i] != nullptr && inputs_[i]->dtype == DType::undefined) return false;
    try {
      NodeInference inference(node, model_.opset(node.domain), inputs_, values_, outputs);
      op.infer(inference);
      return true;
    } catch (const NotKnownYet&) {
      outputs.assign(outputs.size(), TypeInfo{});
    } catch (const Error& error) {
      if (error.code() == ErrorCode::bad_graph || error.code() == ErrorCode::shape_mismatch) throw;
      outputs.assign(outputs.size(), TypeInfo{});
    }
    return false;
  }

  void fold(const Node& node, const Op& op, const std::vector<TypeInfo>& outputs) {
    if (!inputs_.empty() && inputs_[0] != nullptr && !node.outputs.empty())
      if (std::optional<Tensor> value = value_from_type(node, *inputs_[0])) {
        known_.insert_or_assign(node.outputs[0], std::move(*value));
        return;
      }
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      if (inputs_[i] != nullptr && values_[i] == nullptr) return;
    for (const TypeInfo& type : outputs)
      if (!type.is_known() || n_elements(*type.shape) > kMaxKnownElements) return;
    for (const Attribute& attribute : node.attributes)
      if (attribute.g) return;
    if (!is_repeatable(node) || op.run == nullptr) return;
    std::vector<Tensor> results(outputs.size());
    const std::vector<std::uint8_t> is_constant(inputs_.size(), 1);
    const std::vector<std::uint8_t> is_wanted(outputs.size(), 1);
    try {
      NoSubgraphs no_subgraphs;
      std::unique_ptr<OpState> state;
      const NodeRunSetting setting{node, model_.opset(node.domain), heap_allocator(), no_subgraphs, state, true};
      NodeRun context(setting, values_, is_constant, outputs, is_wanted, results);
      compute(op, context);
      context.check_outputs();
    } catch (const NotKnownYet&) {
      return;
    } catch (const Error&) {  // not known, then; a run will tell
      return;
    } catch (const std::bad_alloc&) {
      return;
    }
    for (std::size_t i = 0; i < results.size(); ++i)
      if (!node.outputs[i].empty()) known_.insert_or_assign(node.outputs[i], std::move(results[i]));
  }

  /// What was not inferred is taken from the file's own word.
  void store(const std::string& name, TypeInfo type) {
    if (const auto said = declared_.find(name); said != declared_.end() && said->second->is_tensor) {
      const TypeInfo declared = type_of(*said->second);
      if (type.dtype == DType::undefined) type.dtype = declared.dtype;
      if (!type.shape) type.shape = declared.shape;
    }
    types_.insert_or_assign(name, std::move(type));
  }

  const Model& model_;
  std::set<std::tuple<std::string, std::string, std::string>> functions_;
  std::map<std::string, const ValueInfo*> declared_;
  std::map<std::string, TypeInfo, std::less<>> types_;
  std::map<std::string, Tensor> known_;
  std::vector<const TypeInfo*> inputs_;
  std::vector<const Tensor*> values_;
};

}  // namespace

std::map<std::string, TypeInfo, std::less<>> infer_types(const Model& model) { return TypeInference(model).run(); }

}  // namespace bitwright
