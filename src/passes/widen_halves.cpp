#include "passes/widen_halves.h"

#include <algorithm>
#include <set>

#include "passes/graph_edit.h"
#include "passes/graph_rewriter.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

/// What onnxruntime 1.32 has for float16 in its provider for processors; sorted.
constexpr std::string_view kOnHalves[] = {"Attention",
                                          "Cast",
                                          "CastLike",
                                          "Celu",
                                          "Clip",
                                          "Compress",
                                          "Concat",
                                          "ConcatFromSequence",
                                          "DequantizeLinear",
                                          "Dropout",
                                          "Expand",
                                          "Flatten",
                                          "Gather",
                                          "GatherBlockQuantized",
                                          "GatherElements",
                                          "GatherND",
                                          "Identity",
                                          "If",
                                          "IsInf",
                                          "IsNaN",
                                          "LayerNormalization",
                                          "Loop",
                                          "MatMulNBits",
                                          "Max",
                                          "Min",
                                          "Mod",
                                          "QuantizeLinear",
                                          "RMSNormalization",
                                          "Reshape",
                                          "ReverseSequence",
                                          "RotaryEmbedding",
                                          "Round",
                                          "Scan",
                                          "Scatter",
                                          "ScatterElements",
                                          "ScatterND",
                                          "SequenceInsert",
                                          "Shape",
                                          "Shrink",
                                          "Sign",
                                          "SimplifiedLayerNormalization",
                                          "Size",
                                          "SkipLayerNormalization",
                                          "SkipSimplifiedLayerNormalization",
                                          "Slice",
                                          "Split",
                                          "Squeeze",
                                          "Transpose",
                                          "Unsqueeze"};

class HalfWidener {
 public:
  HalfWidener(Model& model, const ValueTypes& types) : types_(types), names_(model), rewriter_(model.graph, names_) {}

  PassResult run() {
    decide();
    for (std::size_t i = 0; i < is_wide_.size(); ++i) add(rewriter_.graph.nodes[i], is_wide_[i]);
    if (result_.n_changes > 0) {
      rewriter_.finish();
      drop_unread();
    }
    std::erase_if(rewriter_.graph.value_infos, [&](const ValueInfo& info) { return wide_.contains(info.name); });
    return std::move(result_);
  }

 private:
  bool is_of(const std::string& value, DType dtype) const {
    const auto found = types_.find(value);
    return (found == types_.end() ? DType::undefined : found->second.dtype) == dtype;
  }
  bool is_half(const std::string& value) const { return is_of(value, DType::f16); }
  /// Of the halves among the values, constants aside. False too where there is none.
  bool all_halves(const std::vector<std::string>& values, FunctionRef<bool(const std::string&)> holds) const {
    bool any = false;
    for (const std::string& value : values) {
      if (!is_half(value) || is_constant(value)) continue;
      if (!holds(value)) return false;
      any = true;
    }
    return any;
  }
  /// All that it reads has a known type, and no type of a result stands in its attributes, in a graph of its own or in the body of
  /// a function.
  bool can_widen(const Node& node) const {
    return (node.domain.empty() || node.domain == "com.microsoft") && !node.has("dtype") &&
           std::none_of(node.attributes.begin(), node.attributes.end(), [](const Attribute& one) { return one.g != nullptr; }) &&
           std::none_of(node.inputs.begin(), node.inputs.end(),
                        [&](const std::string& value) { return !value.empty() && is_of(value, DType::undefined); });
  }
  /// The initializer of that name that no caller can replace; nullptr where there is none.
  const TensorRecord* constant(const std::string& value) const {
    const std::vector<ValueInfo>& inputs = rewriter_.graph.inputs;
    return std::any_of(inputs.begin(), inputs.end(), [&](const ValueInfo& input) { return input.name == value; })
               ? nullptr
               : rewriter_.index.initializer(value);
  }
  bool is_constant(const std::string& value) const {
    const std::int64_t producer = rewriter_.index.producer(value);
    return rewriter_.index.initializer(value) != nullptr ||
           (producer >= 0 && is_onnx(rewriter_.graph.nodes[static_cast<std::size_t>(producer)], "Constant"));
  }
  bool is_computed(const std::string& value) const {
    const std::int64_t producer = rewriter_.index.producer(value);
    return producer >= 0 && computes_[static_cast<std::size_t>(producer)];
  }
  bool is_read_by_computing(const std::string& value) const {
    const auto consumers = rewriter_.index.consumers(value);
    return !rewriter_.index.is_graph_output(value) && std::all_of(consumers.begin(), consumers.end(), [&](std::int64_t i) {
      return computes_[static_cast<std::size_t>(i)];
    });
  }

  void decide() {
    const std::vector<Node>& nodes = rewriter_.graph.nodes;
    for (const Node& node : nodes)
      computes_.push_back(can_widen(node) && !std::binary_search(std::begin(kOnHalves), std::end(kOnHalves), node.op_type) &&
                          std::any_of(node.inputs.begin(), node.inputs.end(), [&](const std::string& v) { return is_half(v); }));
    is_wide_ = computes_;
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (can_widen(nodes[i]) && all_halves(nodes[i].inputs, [&](const std::string& value) { return is_computed(value); }) &&
          all_halves(nodes[i].outputs, [&](const std::string& value) { return is_read_by_computing(value); }))
        is_wide_[i] = true;
  }

  bool has_half_reader(const std::string& value) const {
    const auto consumers = rewriter_.index.consumers(value);
    return rewriter_.index.is_graph_output(value) || std::any_of(consumers.begin(), consumers.end(), [&](std::int64_t i) {
             return !is_wide_[static_cast<std::size_t>(i)] && !is_cast(rewriter_.graph.nodes[static_cast<std::size_t>(i)]);
           });
  }
  static bool is_cast(const Node& node) { return is_onnx(node, "Cast"); }

  std::string cast(const std::string& value, DType to, const std::string& name) {
    rewriter_.add("Cast", {value}, name).set(Attribute::of_int("to", static_cast<std::int64_t>(to)));
    return name;
  }
  /// The name of the value in float32, made where nobody needed it yet.
  std::string wide(const std::string& value) {
    const auto found = wide_.find(value);
    if (found != wide_.end()) return found->second;
    const std::int64_t producer = rewriter_.index.producer(value);
    if (producer >= 0) {
      const Node& node = rewriter_.graph.nodes[static_cast<std::size_t>(producer)];
      if (is_cast(node) && is_of(input_of(node, 0), DType::f32)) return wide_[value] = node.inputs[0];
    }
    if (const TensorRecord* record = constant(value)) {
      // Made when asked for: weights may be larger than what the planner computes ahead.
      return wide_[value] = rewriter_.add_constant(value + "_float32", DType::f32, record->shape, Generated{[half = *record] {
                                                     Tensor values(DType::f32, half.shape);
                                                     read_elements(half.load(), 0, values.data<float>());
                                                     return values;
                                                   }});
    }
    return wide_[value] = cast(value, DType::f32, rewriter_.fresh(value + "_float32"));
  }

  void add(const Node& node, bool is_wide) {
    Node made = node;
    // What no node has rounded is not rounded for a conversion either.
    if (is_cast(node) && is_made_wide(input_of(node, 0))) made.inputs[0] = wide(node.inputs[0]);
    if (!is_wide) return rewriter_.keep(made);
    ++result_.n_changes;
    if (is_cast(node)) made.set(Attribute::of_int("to", static_cast<std::int64_t>(DType::f32)));  // from halves to halves
    for (std::string& input : made.inputs)
      if (is_half(input)) input = wide(input);
    std::vector<std::string> rounded;
    for (std::string& output : made.outputs) {
      if (!is_half(output)) continue;
      std::string name = output;
      if (has_half_reader(output)) {
        rounded.push_back(output);
        name = rewriter_.fresh(output + "_float32");
      }
      wide_[output] = name;
      output = std::move(name);
    }
    rewriter_.keep(made);
    for (const std::string& value : rounded) cast(wide_[value], DType::f16, value);
  }
  bool is_made_wide(const std::string& value) const {
    const std::int64_t producer = rewriter_.index.producer(value);
    return producer >= 0 && is_wide_[static_cast<std::size_t>(producer)];
  }

  /// Of constants that everybody reads in float32 the halves are not loaded.
  void drop_unread() {
    const GraphIndex index(rewriter_.graph);
    std::set<std::string> unread;
    for (const auto& [value, name] : wide_)
      if (constant(value) != nullptr && index.consumers(value).empty() && !index.is_graph_output(value)) unread.insert(value);
    erase_initializers(rewriter_.graph, unread);
  }

  const ValueTypes& types_;
  NameAllocator names_;
  GraphRewriter rewriter_;
  std::vector<bool> computes_;               // by node: reads halves, and has no kernel for them
  std::vector<bool> is_wide_;                // by node: computes in float32 now
  std::map<std::string, std::string> wide_;  // half values by the names of their float32 versions
  PassResult result_;
};

}  // namespace

PassResult widen_halves(Model& model, const ValueTypes& types) { return HalfWidener(model, types).run(); }

}  // namespace bitwright
