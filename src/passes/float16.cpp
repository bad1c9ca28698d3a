#include "passes/float16.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "model/half_name.h"
#include "passes/graph_edit.h"
#include "passes/select_nodes.h"

namespace bitwright {

namespace {

constexpr float kMaxHalf = 65504.0f;

std::string whole_number(float value) {
  return value < 1e18f ? std::to_string(static_cast<std::int64_t>(value)) : std::string("more than 1e18");
}

constexpr std::int64_t kOnnxFloat = 1;
constexpr std::int64_t kOnnxFloat16 = 10;

/// Operators that runtimes lack in float16 or whose results make no sense in it, as onnxconverter-common lists them, and those
/// whose output type is no function of their inputs.
constexpr std::string_view kBlocked[] = {"BlackmanWindow",
                                         "CumSum",
                                         "DFT",
                                         "DequantizeLinear",
                                         "DynamicQuantizeLinear",
                                         "EyeLike",
                                         "HammingWindow",
                                         "HannWindow",
                                         "Max",
                                         "MelWeightMatrix",
                                         "Min",
                                         "Multinomial",
                                         "NonMaxSuppression",
                                         "QuantizeLinear",
                                         "RandomNormal",
                                         "RandomNormalLike",
                                         "RandomUniform",
                                         "RandomUniformLike",
                                         "Range",
                                         "RoiAlign",
                                         "STFT",
                                         "TopK",
                                         "Upsample"};

/// The two versions of one float value and who needs which.
struct Twin {
  std::string full;
  std::string half;
  bool wants_full = false;
  bool wants_half = false;
};

class Float16 {
 public:
  Float16(Model& model, const Recipe& recipe, const ValueTypes& types, const Peaks* peaks)
      : model_(model),
        graph_(model.graph),
        recipe_(recipe),
        types_(types),
        peaks_(peaks),
        selection_(model, recipe),
        names_(model) {}

  PlannedEdit run() {
    decide();
    if (peaks_ == nullptr)
      edit_.result.messages.push_back(
          "values between nodes were not checked against 65504, the largest of float16; samples check them");
    name_twins();
    count_wishes();
    rebuild();
    std::erase_if(graph_.value_infos, [&](const ValueInfo& info) { return twins_.contains(info.name); });
    return std::move(edit_);
  }

 private:
  DType type_of(const std::string& value) const {
    const auto found = types_.find(value);
    if (found != types_.end() && found->second.dtype != DType::undefined) return found->second.dtype;
    const auto given = given_types_.find(value);
    return given != given_types_.end() ? given->second : DType::undefined;
  }
  bool is_float_value(const std::string& value) const {
    return !value.empty() && (type_of(value) == DType::f32 || constants_.contains(value));
  }

  /// Inputs that the standard keeps in float: roi and scales of Resize.
  static bool keeps_full(const Node& node, std::size_t input) { return node.op_type == "Resize" && input >= 1; }

  std::string blocked_because(const Node& node) const {
    if (std::string refusal = selection_.refusal(node); !refusal.empty()) return refusal;
    if (!node.domain.empty()) return concat({"an operator of ", node.domain});
    if (std::find(std::begin(kBlocked), std::end(kBlocked), node.op_type) != std::end(kBlocked))
      return concat({node.op_type, " stays in float32: runtimes lack it in float16"});
    if (node.op_type == "Cast" && !node.inputs.empty() &&
        (node.attr_i("to", 0) == kOnnxFloat16 || type_of(node.inputs[0]) == DType::f16))
      return "already a cast from or to float16";
    const auto& list = recipe_.float16_block_list;
    if (std::find(list.begin(), list.end(), node.op_type) != list.end()) return "on the recipe's block list";
    for (const Attribute& attribute : node.attributes)
      if (attribute.g || !attribute.graphs.empty()) return "its subgraphs stay in float32";
    for (const auto* values : {&node.inputs, &node.outputs})
      for (const std::string& value : *values)
        if (!value.empty() && type_of(value) == DType::undefined && !constants_.contains(value))
          return concat({"the type of value ", in_quotes(value), " is not known"});
    if (softmax_parts_.contains(&node)) return "part of a softmax: float16 would round its sum and its quotients";
    return overflow(node);
  }

  /// The node that makes an input, where it is of one of these operators.
  const Node* maker(const GraphIndex& index, const Node& node, std::size_t input, std::span<const std::string_view> types) const {
    const std::int64_t producer = index.producer(input_of(node, input));
    if (producer < 0) return nullptr;
    const Node& made_by = graph_.nodes[static_cast<std::size_t>(producer)];
    return made_by.domain.empty() && std::find(types.begin(), types.end(), made_by.op_type) != types.end() ? &made_by : nullptr;
  }

  /// A softmax written out: Div of Exp (of a Sub, mostly) by its ReduceSum, spread or not. The operator Softmax sums in float32
  /// and rounds once; its parts in float16 round the sum too, which shifts a whole row.
  void find_softmax_parts() {
    static constexpr std::string_view kSum[] = {"ReduceSum", "Reshape", "Expand", "Unsqueeze"};
    static constexpr std::string_view kExp[] = {"Exp"};
    static constexpr std::string_view kSub[] = {"Sub"};
    const GraphIndex index(graph_);
    for (const Node& node : graph_.nodes) {
      const Node* exp = is_onnx(node, "Div") ? maker(index, node, 0, kExp) : nullptr;
      if (exp == nullptr) continue;
      std::vector<const Node*> parts = {&node, exp, maker(index, *exp, 0, kSub)};
      const Node* sum = maker(index, node, 1, kSum);
      for (; sum != nullptr && sum->op_type != "ReduceSum"; sum = maker(index, *sum, 0, kSum)) parts.push_back(sum);
      if (sum == nullptr || input_of(*sum, 0) != exp->outputs[0]) continue;
      parts.push_back(sum);
      softmax_parts_.insert(parts.begin(), parts.end());
    }
  }

  /// Whoever makes or reads a value that float16 does not hold needs the float32 one.
  std::string overflow(const Node& node) const {
    if (peaks_ == nullptr) return "";
    for (const auto* values : {&node.inputs, &node.outputs})
      for (const std::string& value : *values)
        if (const auto peak = peaks_->find(value); peak != peaks_->end() && peak->second > kMaxHalf)
          return concat({"value ", in_quotes(value), " reached ", whole_number(peak->second), ", float16 ends at 65504"});
    return "";
  }

  void add_constant(const std::string& name, TensorRecord record) {
    if (record.dtype == DType::f32) constants_.emplace(name, std::move(record));
  }

  void decide() {
    for (const ValueInfo& input : graph_.inputs) given_types_[input.name] = input.dtype;
    for (const TensorRecord& record : graph_.initializers) {
      given_types_[record.name] = record.dtype;
      add_constant(record.name, record);
    }
    for (const Node& node : graph_.nodes) {
      if (node.op_type != "Constant" || !node.domain.empty() || node.outputs.empty()) continue;
      if (const Attribute* value = node.find("value"); value != nullptr && value->t) add_constant(node.outputs[0], *value->t);
      if (node.has("value_float"))
        add_constant(node.outputs[0], TensorRecord::of("", Tensor::scalar(node.attr_f("value_float", 0.0f))));
      if (node.has("value_floats")) {
        const std::vector<float> values = node.attr_floats("value_floats");
        add_constant(node.outputs[0], TensorRecord::of("", Tensor::of<float>({static_cast<std::int64_t>(values.size())},
                                                                             std::span<const float>(values))));
      }
    }
    find_softmax_parts();
    for (const Node& node : graph_.nodes) {
      const std::string reason = blocked_because(node);
      bool has_float =
          std::any_of(node.outputs.begin(), node.outputs.end(), [&](const std::string& v) { return is_float_value(v); });
      for (std::size_t i = 0; i < node.inputs.size(); ++i) has_float |= is_float_value(node.inputs[i]) && !keeps_full(node, i);
      const bool is_constant = node.op_type == "Constant" && node.domain.empty();
      is_half_.push_back(reason.empty() && has_float && !is_constant);
      NodeDecision row{node_key(node), node.op_type, node.domain, "", is_half_.back(), is_half_.back() ? "float16" : "float",
                       reason};
      if (row.reason.empty() && !row.is_quantized) row.reason = is_constant ? "a constant" : "computes no float values";
      edit_.plan.nodes.push_back(std::move(row));
    }
  }

  void name_twins() {
    std::set<std::string> fixed;  // whose plain name is the half one
    if (!recipe_.float16_keep_io) {
      for (ValueInfo& input : graph_.inputs)
        if (input.dtype == DType::f32 && input.is_tensor && !constants_.contains(input.name)) fixed.insert(input.name);
      for (ValueInfo& output : graph_.outputs)
        if (output.dtype == DType::f32 && output.is_tensor && !constants_.contains(output.name)) fixed.insert(output.name);
    }
    const auto add = [&](const std::string& value) {
      if (!is_float_value(value) || twins_.contains(value)) return;
      if (fixed.contains(value))
        twins_[value] = {names_.fresh(concat({value, "_float32"})), value};
      else
        twins_[value] = {value, names_.fresh(half_name(value))};
    };
    for (const ValueInfo& input : graph_.inputs) add(input.name);
    for (const auto& [name, record] : constants_) add(name);
    for (const Node& node : graph_.nodes)
      for (const std::string& output : node.outputs) add(output);
    for (auto* infos : {&graph_.inputs, &graph_.outputs})
      for (ValueInfo& info : *infos)
        if (fixed.contains(info.name) && twins_.contains(info.name)) retype(info);
  }

  static void retype(ValueInfo& info) {
    if (info.has_shape) return info.set_type(DType::f16, info.shape);
    info.dtype = DType::f16;
    info.type_bytes.clear();
    info.has_type_changed = true;
  }

  /// Values that a node's subgraphs take from outside, by their plain names.
  void wish_full_in_subgraphs(const Node& node) {
    for (const Attribute& attribute : node.attributes) {
      if (attribute.g) wish_full_in_graph(*attribute.g);
      for (const auto& graph : attribute.graphs)
        if (graph) wish_full_in_graph(*graph);
    }
  }
  void wish_full_in_graph(const Graph& graph) {
    const auto wish = [&](const std::string& value) {
      if (const auto twin = twins_.find(value); twin != twins_.end()) twin->second.wants_full = true;
    };
    for (const ValueInfo& output : graph.outputs) wish(output.name);
    for (const Node& node : graph.nodes) {
      for (const std::string& input : node.inputs) wish(input);
      wish_full_in_subgraphs(node);
    }
  }

  void count_wishes() {
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const auto twin = twins_.find(node.inputs[i]);
        if (twin == twins_.end()) continue;
        (is_half_[n] && !keeps_full(node, i) ? twin->second.wants_half : twin->second.wants_full) = true;
      }
      wish_full_in_subgraphs(node);
    }
    for (const ValueInfo& output : graph_.outputs)
      if (const auto twin = twins_.find(output.name); twin != twins_.end())
        (twin->second.half == output.name ? twin->second.wants_half : twin->second.wants_full) = true;
  }

  void cast(const std::string& from, const std::string& to, std::int64_t type) {
    Node node;
    node.name = names_.fresh(concat({to, "_Cast"}));
    node.op_type = "Cast";
    node.inputs = {from};
    node.outputs = {to};
    node.set(Attribute::of_int("to", type));
    nodes_.push_back(std::move(node));
    ++edit_.result.n_changes;
  }
  void cast_where_wanted(const std::string& value, bool is_half) {
    const auto found = twins_.find(value);
    if (found == twins_.end() || constants_.contains(value)) return;
    const Twin& twin = found->second;
    if (is_half && twin.wants_full) cast(twin.half, twin.full, kOnnxFloat);
    if (!is_half && twin.wants_half) cast(twin.full, twin.half, kOnnxFloat16);
  }

  void make_half(Node& node) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      if (const auto twin = twins_.find(node.inputs[i]); twin != twins_.end())
        node.inputs[i] = keeps_full(node, i) ? twin->second.full : twin->second.half;
    for (std::string& output : node.outputs)
      if (const auto twin = twins_.find(output); twin != twins_.end()) output = twin->second.half;
    if (node.op_type == "Cast" && node.attr_i("to", 0) == kOnnxFloat) node.set(Attribute::of_int("to", kOnnxFloat16));
    if (node.op_type == "ConstantOfShape") {
      const Attribute* value = node.find("value");
      const Tensor plain = value != nullptr && value->t ? value->t->load() : Tensor::of<float>({1}, {0.0f});
      node.set(Attribute::of_tensor("value", to_half(plain).values));
    }
  }

  void keep_full(Node& node) {
    for (std::string& output : node.outputs)
      if (const auto twin = twins_.find(output); twin != twins_.end()) output = twin->second.full;
    rename_uses(node, [&](const std::string& value) {
      const auto twin = twins_.find(value);
      return twin == twins_.end() ? nullptr : &twin->second.full;
    });
  }

  void store_constants() {
    std::vector<TensorRecord> halves;
    for (const auto& [name, record] : constants_) {
      const auto found = twins_.find(name);
      if (found == twins_.end() || !found->second.wants_half) continue;
      const Twin& twin = found->second;
      const HalfTensor made = to_half(record.load());
      if (made.n_too_large != 0)
        edit_.result.messages.push_back(
            concat({made.n_too_large, " values of constant ", in_quotes(name), " beyond 65504 were clipped"}));
      if (made.n_too_small != 0)
        edit_.result.messages.push_back(
            concat({made.n_too_small, " values of constant ", in_quotes(name), " below 2^-25 were raised to 2^-24"}));
      TensorRecord half = TensorRecord::of(twin.half, made.values);
      constexpr std::uint64_t kMaxHeldBytes = 1u << 20;
      if (record.size_bytes() > kMaxHeldBytes)
        half.values = Generated{[record = record] { return to_half(record.load()).values; }};
      if (!twin.wants_full) dropped_.insert(name);
      halves.push_back(std::move(half));
      ++edit_.result.n_changes;
    }
    erase_initializers(graph_, dropped_);
    for (TensorRecord& half : halves) {
      if (model_.ir_version < 4) graph_.inputs.push_back(ValueInfo::of(half.name, half.dtype, half.shape));
      graph_.initializers.push_back(std::move(half));
    }
  }

  void rebuild() {
    store_constants();
    for (const ValueInfo& input : std::vector<ValueInfo>(graph_.inputs)) cast_where_wanted(input.name, input.dtype == DType::f16);
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      Node node = std::move(graph_.nodes[n]);
      if (node.op_type == "Constant" && !node.outputs.empty() && dropped_.contains(node.outputs[0])) continue;
      const std::vector<std::string> outputs = node.outputs;
      is_half_[n] ? make_half(node) : keep_full(node);
      edit_.result.n_changes += is_half_[n] ? 1 : 0;
      nodes_.push_back(std::move(node));
      for (const std::string& output : outputs) cast_where_wanted(output, is_half_[n]);
    }
    graph_.nodes = std::move(nodes_);
  }

  Model& model_;
  Graph& graph_;
  const Recipe& recipe_;
  const ValueTypes& types_;
  const Peaks* peaks_;
  Selection selection_;
  NameAllocator names_;
  std::map<std::string, TensorRecord, std::less<>> constants_;  // f32, of the main graph
  std::map<std::string, DType, std::less<>> given_types_;       // of graph inputs and initializers
  std::set<const Node*> softmax_parts_;
  std::vector<bool> is_half_;  // one a node
  std::map<std::string, Twin, std::less<>> twins_;
  std::set<std::string> dropped_;  // initializers and Constant nodes that nobody needs any more
  std::vector<Node> nodes_;
  PlannedEdit edit_;
};

/// Scales must stay in float32, and what lies between codes is smaller than float16 already.
void refuse_codes(const Model& model) {
  visit_nodes(model, [](const Node& node, const std::string&) {
    const std::string& type = node.op_type;
    if (type.find("uantizeLinear") != std::string::npos || type.starts_with("QLinear") || type.ends_with("Integer") ||
        type == "MatMulNBits")
      throw_error(ErrorCode::nothing_quantized,
                  {node.label(), ": the model is already quantized; make float16 of the float model"}, node.name);
  });
}

}  // namespace

PlannedEdit float16(Model& model, const Recipe& recipe, const ValueTypes& types, const Peaks* peaks) {
  refuse_codes(model);
  if (recipe.float16_weights_only) return float16_weights(model, recipe);
  own_subgraphs(model);
  PlannedEdit edit = Float16(model, recipe, types, peaks).run();
  // What subgraphs and blocked nodes still hold in float32 is stored as float16 at least.
  const PlannedEdit stored = float16_weights(model, recipe);
  edit.result += stored.result;
  for (const NodeDecision& row : stored.plan.nodes) {
    if (!row.graph.empty()) {
      edit.plan.nodes.push_back(row);
      continue;
    }
    if (!row.is_quantized) continue;
    for (NodeDecision& made : edit.plan.nodes)
      if (made.node == row.node && !made.is_quantized) {
        made.is_quantized = true;
        made.mode = row.mode;
      }
  }
  return edit;
}

}  // namespace bitwright
