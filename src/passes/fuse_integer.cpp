#include "passes/fuse_integer.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "ops/fused.h"
#include "ops/refusal.h"
#include "passes/clean_graph.h"
#include "passes/fuse_integer_patterns.h"
#include "passes/fuse_integer_tables.h"

namespace bitwright {

namespace {

/// Codes as the new graph has them: u8, by layout. Empty where that form does not exist yet.
struct InnerCodes {
  std::string first;  // the graph's own layout
  std::string last;   // channels last
};

Attribute integer(std::string name, std::int64_t value) { return Attribute::of_int(std::move(name), value); }

void say_codes(Node& node, char operand, const CodedOperand& codes) {
  const std::string letter(1, operand);
  node.set(Attribute::of_float(concat({letter, "_scale"}), codes.scale));
  node.set(integer(concat({letter, "_zero_point"}), codes.zero_point));
}

/// u8 codes of a constant, channels last if asked, with leading extents of 1 up to `rank`.
Tensor constant_codes(const TensorRecord& record, bool is_last, std::int64_t rank) {
  const Tensor codes = record.load();
  Shape shape = codes.shape();
  while (static_cast<std::int64_t>(shape.size()) < rank) shape.insert(shape.begin(), 1);
  Tensor made(DType::u8, is_last ? channels_last_shape(shape) : shape);
  const std::uint8_t flip = record.dtype == DType::i8 ? 0x80 : 0;
  const auto from = codes.bytes();
  const auto to = made.bytes();
  const std::int64_t images = is_last && shape.size() > 2 ? shape[0] : 1;
  const std::int64_t channels = is_last && shape.size() > 2 ? shape[1] : 1;
  const std::int64_t pixels = images * channels == 0 ? 0 : codes.n_elements() / (images * channels);
  for (std::int64_t image = 0; image < images; ++image)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t p = 0; p < pixels; ++p)
        to[static_cast<std::size_t>((image * pixels + p) * channels + c)] =
            static_cast<std::uint8_t>(from[static_cast<std::size_t>((image * channels + c) * pixels + p)] ^ flip);
  return made;
}

class Fuser {
 public:
  Fuser(Model& model, const ValueTypes& types, const IntegerFusion& how)
      : model_(model), how_(how), patterns_(model, types), names_(model) {}

  PassResult run() {
    std::vector<FusedGroup> groups = patterns_.find();
    // onnxruntime normalizes layers in float.
    if (how_.arithmetic == Arithmetic::fast)
      std::erase_if(groups, [](const FusedGroup& group) { return group.kind == Fused::layer_norm; });
    PassResult result;
    std::vector<const FusedGroup*> at(model_.graph.nodes.size(), nullptr);
    std::vector<std::uint8_t> is_absorbed(model_.graph.nodes.size(), 0);
    for (const FusedGroup& group : groups) {
      at[group.at] = &group;
      for (const std::size_t i : group.nodes) is_absorbed[i] = 1;
    }
    for (std::size_t i = 0; i < model_.graph.nodes.size(); ++i) {
      const Node& node = model_.graph.nodes[i];
      if (at[i] != nullptr) {
        emit_group(*at[i]);
        ++result.n_changes;
      } else if (is_absorbed[i] == 0 && ((!is_quantize(node) && !is_dequantize(node)) || node.outputs.size() != 1)) {
        emit_plain(node, patterns_.reason(i));
      } else if (is_absorbed[i] == 0) {
        lazy_.emplace(node.outputs[0], i);
      }
    }
    for (const ValueInfo& output : model_.graph.outputs) materialize(output.name);
    model_.graph.nodes = std::move(nodes_);
    for (TensorRecord& record : records_) model_.graph.initializers.push_back(std::move(record));
    model_.graph.value_infos.clear();
    model_.set_opset(kInternalDomain, 1);
    remove_unused(model_);
    return result;
  }

 private:
  // --- values -------------------------------------------------------------------------------------------------------------

  std::string record(const std::string& wish, Tensor values) {
    std::string name = names_.fresh(wish);
    records_.push_back(TensorRecord::of(name, std::move(values)));
    return name;
  }

  Node inner_node(std::string op_type, std::string name, std::vector<std::string> inputs, std::string output) const {
    Node node;
    node.name = std::move(name);
    node.op_type = std::move(op_type);
    node.domain = kInternalDomain;
    node.inputs = std::move(inputs);
    node.outputs = {std::move(output)};
    return node;
  }

  std::int64_t rank(const std::string& codes) const {
    const auto said = ranks_.find(codes);
    return said != ranks_.end() ? said->second : patterns_.rank(codes);
  }

  /// The name of the codes in this layout, made where they are not there yet. `least_rank` widens constants.
  std::string inner(const CodedOperand& operand, bool is_last, std::int64_t least_rank = 0) {
    if (operand.constant != nullptr)
      return record(concat({operand.codes, "_u8"}), constant_codes(*operand.constant, is_last, least_rank));
    is_last = is_last && rank(operand.codes) >= 3;
    InnerCodes& codes = inner_[operand.codes];
    std::string& wanted = is_last ? codes.last : codes.first;
    if (!wanted.empty()) return wanted;
    const std::string& other = is_last ? codes.first : codes.last;
    if (!other.empty()) {
      wanted = layout(other, operand.codes, is_last ? "last" : "first", false, DType::u8);
      return wanted;
    }
    const auto lazy = lazy_.find(operand.codes);
    const std::optional<CodedOperand> border =
        lazy == lazy_.end() ? std::nullopt : patterns_.quantized(model_.graph.nodes[lazy->second]);
    if (border) {
      const Node& quantize = model_.graph.nodes[lazy->second];
      materialize(quantize.inputs[0]);
      Node node = inner_node("Quantize", quantize.name, {quantize.inputs[0]}, names_.fresh(concat({operand.codes, "_u8"})));
      node.doc = quantize.label();
      say_codes(node, 'x', *border);
      if (is_last) node.set(integer("channels_last", 1));
      return wanted = push(std::move(node));
    }
    materialize(operand.codes);
    if (!operand.is_signed && !is_last) return wanted = operand.codes;
    return wanted = layout(operand.codes, operand.codes, is_last ? "last" : "", operand.is_signed, DType::u8);
  }

  std::string layout(const std::string& from, const std::string& wish, const char* to, bool is_flipped, DType dtype) {
    Node node = inner_node("Layout", "", {from}, names_.fresh(concat({wish, "_u8"})));
    if (*to != 0) node.set(Attribute::of_string("to", to));
    if (is_flipped) node.set(integer("flip", 1));
    if (dtype == DType::i8) node.set(integer("is_signed", 1));
    return push(std::move(node));
  }

  std::string push(Node node) {
    std::string made = node.outputs[0];
    nodes_.push_back(std::move(node));
    return made;
  }

  /// Makes a value of the old graph under its own name, if it is not there: codes that live inside, or what was put off.
  void materialize(const std::string& value) {
    if (value.empty() || !made_.insert(value).second) return;
    if (const auto inner = inner_.find(value);
        inner != inner_.end() && !(inner->second.first.empty() && inner->second.last.empty())) {
      const InnerCodes& codes = inner->second;
      const bool is_last = codes.first.empty(), is_signed = signed_.count(value) != 0;
      if (codes.first == value) return;
      Node node = inner_node("Layout", "", {is_last ? codes.last : codes.first}, value);
      if (is_last) node.set(Attribute::of_string("to", "first"));
      if (is_signed) {
        node.set(integer("flip", 1));
        node.set(integer("is_signed", 1));
      }
      push(std::move(node));
      return;
    }
    const auto lazy = lazy_.find(value);
    if (lazy == lazy_.end()) return;
    const Node& node = model_.graph.nodes[lazy->second];
    const std::optional<CodedOperand> operand = is_dequantize(node) ? patterns_.operand(value) : std::nullopt;
    if (operand && inner_.count(operand->codes) != 0) {
      const InnerCodes& codes = inner_.at(operand->codes);
      const bool is_last = codes.first.empty();
      Node dequantize = inner_node("Dequantize", node.name, {is_last ? codes.last : codes.first}, value);
      dequantize.doc = node.label();
      say_codes(dequantize, 'x', *operand);
      if (is_last) dequantize.set(integer("channels_last", 1));
      push(std::move(dequantize));
      return;
    }
    emit_plain(node, is_quantize(node) ? "float nodes read its codes" : "what it reads stays float");
  }

  void materialize_captures(const Graph& graph) {
    for (const Node& node : graph.nodes) materialize_inputs(node);
    for (const ValueInfo& output : graph.outputs) materialize(output.name);
  }
  void materialize_inputs(const Node& node) {
    for (const std::string& input : node.inputs) materialize(input);
    for (const Attribute& attribute : node.attributes)
      if (attribute.g) materialize_captures(*attribute.g);
  }

  void emit_plain(const Node& node, std::string reason) {
    materialize_inputs(node);
    for (const std::string& output : node.outputs) made_.insert(output);
    nodes_.push_back(node);
    nodes_.back().doc = std::move(reason);
  }

  // --- groups -------------------------------------------------------------------------------------------------------------

  bool is_inner_last(const CodedOperand& operand) const {
    if (operand.constant != nullptr) return false;
    const auto codes = inner_.find(operand.codes);
    if (codes != inner_.end() && !codes->second.last.empty()) return true;
    // Codes still to be made at a border take either layout.
    return (codes == inner_.end() || codes->second.first.empty()) && rank(operand.codes) >= 3;
  }

  std::string stem(const FusedGroup& group) const {
    return group.gives_reals ? model_.graph.nodes[group.core].outputs[0] : group.output.codes;
  }

  /// The fused node without inputs, with what all have.
  Node fused_node(const FusedGroup& group, std::string op_type) {
    const Node& core = model_.graph.nodes[group.core];
    Node node = inner_node(std::move(op_type), core.name.empty() ? core.outputs[0] : core.name, {}, "");
    for (const std::size_t i : group.nodes) node.doc += concat({(node.doc.empty() ? "" : ", "), model_.graph.nodes[i].label()});
    if (how_.arithmetic == Arithmetic::integer_only) node.set(integer("integer_only", 1));
    if (how_.family) node.set(integer("family", static_cast<std::int64_t>(*how_.family)));
    if (group.gives_reals) {
      node.set(Attribute::of_string("result", "f32"));
      return node;
    }
    say_codes(node, 'y', group.output);
    if (group.qmin != 0) node.set(integer("qmin", group.qmin));
    if (group.qmax != 255) node.set(integer("qmax", group.qmax));
    return node;
  }

  static void copy_attributes(const Node& from, Node& to, std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (const Attribute* attribute = from.find(name)) to.set(*attribute);
  }

  /// Adds the node as the maker of the group's result, in the given layout.
  void finish(const FusedGroup& group, Node node, bool is_last, std::int64_t result_rank) {
    if (group.gives_reals) {
      const std::string& value = model_.graph.nodes[group.core].outputs[0];
      made_.insert(value);
      const bool is_turned = is_last && result_rank >= 3;
      node.outputs[0] = is_turned ? names_.fresh(concat({value, "_last"})) : value;
      const std::string made = push(std::move(node));
      if (!is_turned) return;
      Node turn;
      turn.op_type = "Transpose";
      turn.inputs = {made};
      turn.outputs = {value};
      std::vector<std::int64_t> order{0, result_rank - 1};
      for (std::int64_t axis = 1; axis + 1 < result_rank; ++axis) order.push_back(axis);
      turn.set(Attribute::of_ints("perm", std::move(order)));
      nodes_.push_back(std::move(turn));
      return;
    }
    node.outputs[0] = names_.fresh(concat({group.output.codes, "_u8"}));
    if (is_last && result_rank >= 3) node.set(integer("is_channels_last", 1));
    ranks_[group.output.codes] = result_rank;
    if (group.output.is_signed) signed_.insert(group.output.codes);
    InnerCodes& codes = inner_[group.output.codes];
    (is_last && result_rank >= 3 ? codes.last : codes.first) = push(std::move(node));
  }

  void emit_group(const FusedGroup& group) {
    switch (group.kind) {
      case Fused::conv:
      case Fused::gemm:
      case Fused::matmul:
        return emit_product(group);
      case Fused::add:
      case Fused::mul:
        return emit_binary(group);
      case Fused::concat:
        return emit_concat(group);
      case Fused::max_pool:
      case Fused::average_pool:
        return emit_pool(group);
      case Fused::softmax:
      case Fused::layer_norm:
        return emit_rows(group);
      case Fused::lookup:
        return emit_lookup(group);
      case Fused::pixels:
        return emit_pixels(group);
      case Fused::move:
        return emit_move(group);
    }
  }

  void emit_product(const FusedGroup& group) {
    const Node& core = model_.graph.nodes[group.core];
    const bool is_conv = group.kind == Fused::conv;
    const bool is_matmul = group.kind == Fused::matmul;
    const std::int64_t own_rank = is_conv ? static_cast<std::int64_t>(group.weights->record->shape.size()) : group_rank(group);
    Node node = fused_node(group, is_conv ? "Conv" : is_matmul ? "MatMul" : "Gemm");
    if (is_conv) ranks_.emplace(group.inputs[0].codes, own_rank);
    node.inputs = {inner(group.inputs[0], is_conv, is_conv ? own_rank : 0),
                   is_matmul ? inner(group.inputs[1], false) : group.weights->codes};
    if (group.bias.is_defined()) node.inputs.push_back(record(concat({stem(group), "_bias"}), group.bias));
    say_codes(node, 'x', group.inputs[0]);
    node.set(Attribute::of_floats("w_scales", group.weights->scales));
    if (!group.weights->zero_points.empty()) node.set(Attribute::of_ints("w_zero_points", group.weights->zero_points));
    if (is_conv)
      copy_attributes(core, node, {"kernel_shape", "strides", "pads", "dilations", "group", "auto_pad"});
    else if (group.is_transposed)
      node.set(integer("transpose_w", 1));
    finish(group, std::move(node), is_conv, own_rank);
  }

  void emit_binary(const FusedGroup& group) {
    const CodedOperand &a = group.inputs[0], &b = group.inputs[1];
    const std::int64_t a_rank = a.constant != nullptr ? patterns_.rank(a.codes) : rank(a.codes);
    const std::int64_t b_rank = b.constant != nullptr ? patterns_.rank(b.codes) : rank(b.codes);
    const std::int64_t own_rank = std::max(a_rank, b_rank);
    const auto fits = [&](const CodedOperand& operand, std::int64_t its_rank) {
      return operand.constant != nullptr || its_rank == own_rank;
    };
    const bool is_last = own_rank >= 3 && fits(a, a_rank) && fits(b, b_rank) && (is_inner_last(a) || is_inner_last(b));
    Node node = fused_node(group, group.kind == Fused::add ? "Add" : "Mul");
    node.inputs = {inner(a, is_last, own_rank), inner(b, is_last, own_rank)};
    say_codes(node, 'a', a);
    say_codes(node, 'b', b);
    finish(group, std::move(node), is_last, own_rank);
  }

  std::int64_t group_rank(const FusedGroup& group) const {
    std::int64_t own_rank = -1;
    for (const CodedOperand& input : group.inputs) own_rank = std::max(own_rank, rank(input.codes));
    return own_rank;
  }

  /// Where an axis of the graph's layout stands in channels last.
  static std::int64_t axis_in(std::int64_t axis, std::int64_t own_rank, bool is_last) {
    if (axis < 0 && own_rank > 0) axis += own_rank;
    return !is_last || axis == 0 ? axis : axis == 1 ? own_rank - 1 : axis - 1;
  }

  void emit_concat(const FusedGroup& group) {
    const std::int64_t own_rank = group_rank(group);
    const bool is_last = own_rank >= 3 && std::any_of(group.inputs.begin(), group.inputs.end(),
                                                      [&](const CodedOperand& input) { return is_inner_last(input); });
    const Node& core = model_.graph.nodes[group.core];
    Node node = fused_node(group, "Concat");
    node.set(integer("axis", axis_in(core.attr_i("axis", 0), own_rank, is_last)));
    for (const CodedOperand& input : group.inputs) node.inputs.push_back(inner(input, is_last, own_rank));
    for (const CodedOperand& input : group.inputs) node.inputs.push_back(recode_record(input, group.output));
    finish(group, std::move(node), is_last, own_rank);
  }

  void emit_pool(const FusedGroup& group) {
    const Node& core = model_.graph.nodes[group.core];
    const bool is_max = group.kind == Fused::max_pool;
    const bool is_reduction = core.op_type == "ReduceMean";
    const std::int64_t own_rank = group_rank(group);
    Node node = fused_node(group, is_max ? "MaxPool" : "AveragePool");
    node.inputs = {inner(group.inputs[0], true)};
    say_codes(node, 'x', group.inputs[0]);
    if (is_reduction || core.op_type.find("Global") != std::string::npos)
      node.set(integer("is_global", 1));
    else
      copy_attributes(core, node, {"kernel_shape", "strides", "pads", "dilations", "auto_pad", "ceil_mode", "count_include_pad"});
    if (is_reduction && core.attr_i("keepdims", 1) == 0) {
      node.outputs[0] = names_.fresh(concat({group.output.codes, "_pooled"}));
      const std::string pooled = push(std::move(node));
      Node drop;
      drop.name = core.name;
      drop.op_type = "Reshape";
      drop.doc = fused_node(group, "").doc;
      drop.set(integer("on_codes", 1));
      drop.inputs = {pooled, record(concat({group.output.codes, "_shape"}), Tensor::of<std::int64_t>({2}, {0, -1}))};
      drop.outputs = {""};
      return finish(group, std::move(drop), false, 2);
    }
    if (!is_max) return finish(group, std::move(node), true, own_rank);
    finish_recoded(group, std::move(node), true, own_rank);
  }

  /// For operators that move codes: where the result has other parameters than the input, a table follows.
  /// Codes of one scale to codes of another; empty where they are the same.
  std::string recode_record(const CodedOperand& from, const CodedOperand& to, std::int32_t qmin = 0, std::int32_t qmax = 255) {
    Tensor table = recode_table(from, to, qmin, qmax);
    return table.is_defined() ? record(concat({to.codes, "_table"}), std::move(table)) : std::string();
  }

  void finish_recoded(const FusedGroup& group, Node node, bool is_last, std::int64_t result_rank) {
    const std::string table = recode_record(group.inputs[0], group.output, group.qmin, group.qmax);
    if (table.empty()) return finish(group, std::move(node), is_last, result_rank);
    node.outputs[0] = names_.fresh(concat({group.output.codes, "_moved"}));
    node.remove("qmin");
    node.remove("qmax");
    Node recode = fused_node(group, "Lookup");
    recode.inputs = {push(std::move(node)), table};
    finish(group, std::move(recode), is_last, result_rank);
  }

  void emit_lookup(const FusedGroup& group) {
    const std::int64_t own_rank = group_rank(group);
    const bool is_last = is_inner_last(group.inputs[0]);
    Node node = fused_node(group, "Lookup");
    node.inputs = {inner(group.inputs[0], is_last),
                   record(concat({group.output.codes, "_table"}), function_table(model_.graph, patterns_.index(), group, how_))};
    finish(group, std::move(node), is_last, own_rank);
  }

  void emit_rows(const FusedGroup& group) {
    const Node& core = model_.graph.nodes[group.core];
    const bool is_softmax = group.kind == Fused::softmax;
    const std::int64_t own_rank = group_rank(group);
    std::int64_t axis = core.attr_i("axis", model_.opset() < 13 ? 1 : -1);
    if (axis < 0) axis += own_rank;
    const bool is_last = is_softmax && axis != own_rank - 1;
    Node node = fused_node(group, is_softmax ? "Softmax" : "LayerNormalization");
    node.inputs = core.inputs;
    node.inputs[0] = inner(group.inputs[0], is_last);
    say_codes(node, 'x', group.inputs[0]);
    copy_attributes(core, node, {"epsilon"});
    finish(group, std::move(node), is_last, own_rank);
  }

  /// Where each pixel of the result comes from is found by the operator itself, run on the pixels' numbers.
  void emit_pixels(const FusedGroup& group) {
    const Node& core = model_.graph.nodes[group.core];
    Shape numbers_shape = *patterns_.shape(core.inputs[0]);
    const auto own_rank = static_cast<std::int64_t>(numbers_shape.size());
    const std::int64_t images = numbers_shape[0], channels = numbers_shape[1];
    Tensor numbers(DType::f32, numbers_shape);
    const std::span<float> number = numbers.data<float>();
    const std::int64_t plane = images * channels == 0 ? 1 : numbers.n_elements() / (images * channels);
    for (std::size_t i = 0; i < number.size(); ++i) number[i] = static_cast<float>(static_cast<std::int64_t>(i) % plane + 1);
    std::vector<Tensor> held(core.inputs.size());
    std::vector<const Tensor*> inputs{&numbers};
    for (std::size_t i = 1; i < core.inputs.size(); ++i) {
      if (const TensorRecord* constant = patterns_.index().initializer(core.inputs[i])) held[i] = constant->load();
      inputs.push_back(held[i].is_defined() ? &held[i] : nullptr);
    }
    const Tensor moved = how_.evaluate(core, inputs);
    require_shape(moved.shape() == *patterns_.shape(core.outputs[0]), core, "the index does not fit the input");
    Shape index_shape(moved.shape().begin() + 2, moved.shape().end());
    Tensor index(DType::i32, index_shape);
    for (std::size_t i = 0; i < index.data<std::int32_t>().size(); ++i)
      index.data<std::int32_t>()[i] = static_cast<std::int32_t>(moved.data<float>()[i]) - 1;  // what Pad fills is 0 here
    Node node = fused_node(group, "Pixels");
    node.inputs = {inner(group.inputs[0], true), record(concat({group.output.codes, "_index"}), std::move(index))};
    node.set(integer("fill", group.inputs[0].zero_point));
    finish_recoded(group, std::move(node), true, own_rank);
  }

  /// Operators that only move codes run as they are, on codes in the graph's layout.
  void emit_move(const FusedGroup& group) {
    Node node = model_.graph.nodes[group.core];
    node.doc = fused_node(group, "").doc;
    node.set(integer("on_codes", 1));
    const std::string codes = inner(group.inputs[0], false);
    node.inputs[0] = codes;
    for (std::size_t i = 1; i < node.inputs.size(); ++i) materialize(node.inputs[i]);
    const std::int64_t result_rank = patterns_.rank(group.output.codes) >= 0
                                         ? patterns_.rank(group.output.codes)
                                         : patterns_.rank(model_.graph.nodes[group.core].outputs[0]);
    finish_recoded(group, std::move(node), false, result_rank);
  }

  Model& model_;
  const IntegerFusion& how_;
  IntegerPatterns patterns_;
  NameAllocator names_;
  std::vector<Node> nodes_;
  std::vector<TensorRecord> records_;
  std::map<std::string, InnerCodes, std::less<>> inner_;    // by codes of the old graph
  std::map<std::string, std::int64_t, std::less<>> ranks_;  // of codes, where the pass knows more than the types
  std::map<std::string, std::size_t, std::less<>> lazy_;    // nodes put off until somebody reads their output
  std::set<std::string, std::less<>> made_;                 // values of the old graph that stand in the new one
  std::set<std::string, std::less<>> signed_;               // codes that are s8 in the old graph
};

}  // namespace

PassResult fuse_integer(Model& model, const ValueTypes& types, const IntegerFusion& how) {
  return Fuser(model, types, how).run();
}

}  // namespace bitwright
