#include "passes/upgrade_opset_facts.h"

#include <algorithm>
#include <array>

#include "model/free_values.h"

namespace bitwright {

namespace {

constexpr std::int64_t kMaxSmallElements = 64;

template <std::size_t N>
bool is_one_of(std::string_view op, const std::array<std::string_view, N>& ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

constexpr std::array<std::string_view, 14> kMakesBool{"Equal",
                                                      "Less",
                                                      "Greater",
                                                      "LessOrEqual",
                                                      "GreaterOrEqual",
                                                      "And",
                                                      "Or",
                                                      "Xor",
                                                      "Not",
                                                      "IsNaN",
                                                      "IsInf",
                                                      "OptionalHasElement",
                                                      "StringEndsWith",
                                                      "StringStartsWith"};
constexpr std::array<std::string_view, 8> kMakesI64{
    "Shape", "Size", "ArgMax", "ArgMin", "NonZero", "NonMaxSuppression", "SequenceLength", "TfIdfVectorizer"};
/// Operators whose output type is not told by their first input, in ways that are not followed here.
constexpr std::array<std::string_view, 17> kOther{"If",
                                                  "Loop",
                                                  "Scan",
                                                  "SequenceAt",
                                                  "SequenceConstruct",
                                                  "SplitToSequence",
                                                  "OptionalGetElement",
                                                  "Optional",
                                                  "EyeLike",
                                                  "Multinomial",
                                                  "RandomNormal",
                                                  "RandomUniform",
                                                  "BlackmanWindow",
                                                  "HannWindow",
                                                  "HammingWindow",
                                                  "MelWeightMatrix",
                                                  "ImageDecoder"};
constexpr std::array<std::string_view, 10> kBinary{"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean"};
constexpr std::array<std::string_view, 40> kKeepsRank{"Abs",
                                                      "Neg",
                                                      "Relu",
                                                      "LeakyRelu",
                                                      "PRelu",
                                                      "Elu",
                                                      "Selu",
                                                      "Sigmoid",
                                                      "HardSigmoid",
                                                      "HardSwish",
                                                      "Tanh",
                                                      "Exp",
                                                      "Log",
                                                      "Sqrt",
                                                      "Reciprocal",
                                                      "Erf",
                                                      "Clip",
                                                      "Softmax",
                                                      "LogSoftmax",
                                                      "Hardmax",
                                                      "Softplus",
                                                      "Softsign",
                                                      "Floor",
                                                      "Ceil",
                                                      "Round",
                                                      "Identity",
                                                      "Dropout",
                                                      "Cast",
                                                      "BatchNormalization",
                                                      "InstanceNormalization",
                                                      "LRN",
                                                      "Conv",
                                                      "ConvTranspose",
                                                      "MaxPool",
                                                      "AveragePool",
                                                      "GlobalAveragePool",
                                                      "GlobalMaxPool",
                                                      "Concat",
                                                      "Pad",
                                                      "Slice"};

}  // namespace

ValueFacts::ValueFacts(const Graph& graph, const ValueFacts* outer) : outer_(outer) {
  declare(graph.inputs);
  declare(graph.value_infos);
  declare(graph.outputs);
  for (const TensorRecord& record : graph.initializers) {
    Fact& fact = facts_[record.name];
    fact.dtype = record.dtype;
    fact.rank = static_cast<std::int64_t>(record.shape.size());
    fact.constant = &record;
  }
  visit(graph.nodes);
  for (const ValueInfo& output : graph.outputs) facts_[output.name].is_used = true;
}

ValueFacts::ValueFacts(const Function& function) {
  declare(function.value_infos);
  visit(function.nodes);
  for (const std::string& output : function.outputs) facts_[output].is_used = true;
}

void ValueFacts::declare(const std::vector<ValueInfo>& infos) {
  for (const ValueInfo& info : infos) {
    if (!info.is_tensor) continue;
    Fact& fact = facts_[info.name];
    if (info.dtype != DType::undefined) fact.dtype = info.dtype;
    if (info.has_shape) fact.rank = static_cast<std::int64_t>(info.shape.size());
  }
}

void ValueFacts::visit(const std::vector<Node>& nodes) {
  for (const Node& node : nodes) {
    infer(node);
    for (const std::string& input : node.inputs) facts_[input].is_used = true;
    for (const std::string_view value : free_values_of_subgraphs(node)) facts_[std::string(value)].is_used = true;
  }
}

void ValueFacts::infer(const Node& node) {
  if (!node.domain.empty() || node.outputs.empty()) return;
  const std::string_view op = node.op_type;
  const auto input_dtype = [&](std::size_t i) { return i < node.inputs.size() ? dtype(node.inputs[i]) : std::nullopt; };
  const auto input_rank = [&](std::size_t i) { return i < node.inputs.size() ? rank(node.inputs[i]) : std::nullopt; };
  std::optional<DType> type;
  std::optional<std::int64_t> n_axes;
  const TensorRecord* constant = nullptr;
  if (op == "Constant") {
    if (const Attribute* value = node.find("value"); value != nullptr && value->t) {
      constant = value->t.get();
      type = constant->dtype;
      n_axes = static_cast<std::int64_t>(constant->shape.size());
    } else if (node.has("value_float") || node.has("value_floats")) {
      type = DType::f32;
    } else if (node.has("value_int") || node.has("value_ints")) {
      type = DType::i64;
    }
  } else if (op == "Cast") {
    if (const Attribute* to = node.find("to"); to != nullptr && to->type == AttributeType::i) type = dtype_from_onnx(to->i);
  } else if (op == "ConstantOfShape") {
    const Attribute* value = node.find("value");
    type = value != nullptr && value->t ? value->t->dtype : DType::f32;
  } else if (op == "DequantizeLinear") {
    type = input_dtype(1);
  } else if (op == "QuantizeLinear") {
    type = node.inputs.size() > 2 ? input_dtype(2) : DType::u8;
  } else if (op == "Where") {
    type = input_dtype(1);
  } else if (op == "OneHot") {
    type = input_dtype(2);
  } else if (op == "MatMulInteger" || op == "ConvInteger") {
    type = DType::i32;
  } else if (is_one_of(op, kMakesBool)) {
    type = DType::boolean;
  } else if (is_one_of(op, kMakesI64)) {
    type = DType::i64;
  } else if (!is_one_of(op, kOther)) {
    type = input_dtype(0);
  }

  if (op == "Gemm" || op == "Flatten") {
    n_axes = 2;
  } else if (is_one_of(op, kBinary)) {
    n_axes = input_rank(0);
    for (std::size_t i = 1; i < node.inputs.size() && n_axes; ++i) {
      const auto other = input_rank(i);
      n_axes = other ? std::optional(std::max(*n_axes, *other)) : std::nullopt;
    }
  } else if (op == "Reshape" && node.inputs.size() > 1) {
    if (const auto shape = small_constant(node.inputs[1])) n_axes = shape->n_elements();
  } else if (op == "MatMul") {
    if (input_rank(0) && input_rank(1) && *input_rank(0) >= 2 && *input_rank(1) >= 2)
      n_axes = std::max(*input_rank(0), *input_rank(1));
  } else if (op == "Transpose" || is_one_of(op, kKeepsRank)) {
    n_axes = input_rank(0);
  }

  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    Fact& fact = facts_[node.outputs[i]];
    // Other outputs than the first (indices, masks) follow other rules, save for Split.
    if (!fact.dtype && (i == 0 || op == "Split")) fact.dtype = type;
    if (!fact.rank && i == 0) fact.rank = n_axes;
    fact.constant = constant;
  }
}

const ValueFacts::Fact* ValueFacts::find(const std::string& value) const {
  const auto found = facts_.find(value);
  return found != facts_.end() ? &found->second : nullptr;
}

std::optional<DType> ValueFacts::dtype(const std::string& value) const {
  for (const ValueFacts* scope = this; scope != nullptr; scope = scope->outer_)
    if (const Fact* fact = scope->find(value); fact != nullptr && fact->dtype && *fact->dtype != DType::undefined)
      return fact->dtype;
  return std::nullopt;
}

std::optional<std::int64_t> ValueFacts::rank(const std::string& value) const {
  for (const ValueFacts* scope = this; scope != nullptr; scope = scope->outer_)
    if (const Fact* fact = scope->find(value); fact != nullptr && fact->rank) return fact->rank;
  return std::nullopt;
}

std::optional<Tensor> ValueFacts::small_constant(const std::string& value) const {
  for (const ValueFacts* scope = this; scope != nullptr; scope = scope->outer_) {
    const Fact* fact = scope->find(value);
    if (fact == nullptr || fact->constant == nullptr) continue;
    if (n_elements(fact->constant->shape) > kMaxSmallElements) return std::nullopt;
    return fact->constant->load();
  }
  return std::nullopt;
}

bool ValueFacts::is_used(const std::string& value) const {
  const Fact* fact = find(value);
  return fact != nullptr && fact->is_used;
}

}  // namespace bitwright
