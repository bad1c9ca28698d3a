#include "passes/fuse_qoperators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "base/text.h"
#include "ops/qoperators.h"
#include "passes/clean_graph.h"
#include "passes/fuse_weights.h"
#include "passes/graph_edit.h"
#include "passes/graph_rewriter.h"
#include "quant/quant_params.h"

namespace bitwright {

namespace {

constexpr std::int64_t kMaxPoolOfCodes = 12;  // the opset that brought it

bool is_linear(const Node& node, std::string_view op_type) {
  return node.op_type == op_type && (node.domain.empty() || node.domain == "com.microsoft") && node.attr_i("block_size", 0) == 0;
}

/// Codes with their scale and zero point, as inputs of an operator.
struct Codes {
  std::string codes, scale, zero_point;
  DType dtype = DType::undefined;
  std::int64_t axis = 0;  // of several scales
  std::vector<float> scales;
  std::vector<float> zero_points;
  std::vector<std::string> inputs() const { return {codes, scale, zero_point}; }
};

bool has_same_params(const Codes& a, const Codes& b) {
  return a.dtype == b.dtype && a.scales == b.scales && a.zero_points == b.zero_points;
}

class Fuser {
 public:
  Fuser(Graph& graph, NameAllocator& names, std::int64_t opset, Target target)
      : to_(graph, names), opset_(opset), target_(target), weights_(to_) {}

  std::map<std::string, std::size_t> run() {
    for (const Node& node : to_.graph.nodes) {
      if (absorbed_.contains(&node)) continue;
      std::optional<Node> fused = fused_qoperator(node);
      // Of a linear Resize onnxruntime cuts off the fractions of codes.
      if (!fused && moves_codes(node) && (node.op_type != "Resize" || node.attr_s("mode", "nearest") == "nearest"))
        fused = on_codes(node);
      if (!fused && target_ != Target::portable) fused = weights_.fused(node, absorbed_);
      if (fused) ++counts_[fused->op_type];
      to_.keep(fused ? *fused : node);
    }
    to_.finish();
    return counts_;
  }

 private:
  const Node* producer(const std::string& value) const {
    const std::int64_t i = value.empty() ? -1 : to_.index.producer(value);
    return i < 0 ? nullptr : &to_.graph.nodes[static_cast<std::size_t>(i)];
  }

  /// The operand that a DequantizeLinear makes; its zero point must be known, and 8 bits wide.
  std::optional<Codes> operand(const std::string& value) {
    const Node* node = producer(value);
    return node != nullptr && is_linear(*node, "DequantizeLinear") ? codes_of(*node, node->inputs[0]) : std::nullopt;
  }

  std::optional<Codes> codes_of(const Node& node, const std::string& value) {
    Codes codes{value, node.inputs[1], node.inputs.size() > 2 ? node.inputs[2] : "", DType::undefined, node.attr_i("axis", 1), {},
                {}};
    codes.scales = to_.small_values(codes.scale);
    const TensorRecord *zeros = to_.constant(codes.zero_point), *stored = to_.constant(value), *scale = to_.constant(codes.scale);
    if (codes.scales.empty() || scale->dtype != DType::f32) return std::nullopt;
    if (zeros != nullptr) {
      codes.dtype = zeros->dtype;
      codes.zero_points = to_.small_values(codes.zero_point);
    } else if (codes.zero_point.empty()) {
      codes.dtype = stored != nullptr ? stored->dtype : node.op_type == "QuantizeLinear" ? DType::u8 : DType::undefined;
      codes.zero_points.assign(codes.scales.size(), 0.0f);
      if (codes.dtype == DType::u8 || codes.dtype == DType::i8)
        codes.zero_point = to_.add_constant(concat({value, "_zero_point"}), Tensor(codes.dtype, scale->shape));
    }
    if (codes.dtype != DType::u8 && codes.dtype != DType::i8) return std::nullopt;
    return codes.zero_points.size() == codes.scales.size() ? std::optional(codes) : std::nullopt;
  }

  /// What keeps values within bounds that the codes keep anyway.
  bool is_kept_by_codes(const Node& node, const Codes& codes) const {
    const CodeRange range = code_range(codes.dtype);
    const float rmin = codes.scales[0] * (static_cast<float>(range.qmin) - codes.zero_points[0]);
    const float rmax = codes.scales[0] * (static_cast<float>(range.qmax) - codes.zero_points[0]);
    if (!node.domain.empty()) return false;
    if (node.op_type == "Relu") return rmin >= 0.0f;
    if (node.op_type != "Clip") return false;
    constexpr float kAny = std::numeric_limits<float>::max();
    float low = node.attr_f("min", -kAny), high = node.attr_f("max", kAny);
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i].empty()) continue;
      const std::vector<float> bound = to_.small_values(node.inputs[i]);
      if (bound.size() != 1) return false;
      (i == 1 ? low : high) = bound[0];
    }
    return rmin >= low && rmax <= high;
  }

  const Node* only_reader(const std::string& value) const {
    const auto readers = to_.index.consumers(value);
    return readers.size() == 1 && !to_.index.is_graph_output(value) ? &to_.graph.nodes[static_cast<std::size_t>(readers[0])]
                                                                    : nullptr;
  }

  /// The codes that alone are made of the value, and the nodes on the way.
  std::optional<Codes> result(const std::string& value, std::vector<const Node*>& way) {
    const Node* reader = only_reader(value);
    const Node* bound = nullptr;
    if (reader != nullptr && (reader->op_type == "Relu" || reader->op_type == "Clip") && reader->inputs[0] == value) {
      bound = reader;
      reader = only_reader(bound->outputs[0]);
      way.push_back(bound);
    }
    if (reader == nullptr || !is_linear(*reader, "QuantizeLinear") || reader->inputs[0] != way_end(way, value))
      return std::nullopt;
    std::optional<Codes> codes = codes_of(*reader, reader->outputs[0]);
    if (!codes || codes->scales.size() != 1 || (bound != nullptr && !is_kept_by_codes(*bound, *codes))) return std::nullopt;
    way.push_back(reader);
    return codes;
  }
  static const std::string& way_end(const std::vector<const Node*>& way, const std::string& value) {
    return way.empty() ? value : way.back()->outputs[0];
  }

  /// True where the operand has one scale, or one for each of the operator's outputs.
  bool has_fitting_scales(const Node& node, std::size_t k, const Codes& codes) const {
    if (codes.scales.size() == 1) return true;
    const TensorRecord* weight = to_.constant(codes.codes);
    if (k != 1 || weight == nullptr) return false;
    const auto rank = static_cast<std::int64_t>(weight->shape.size());
    const std::int64_t axis = codes.axis < 0 ? codes.axis + rank : codes.axis;
    if (node.op_type == "Conv") return axis == 0;
    if (node.op_type == "Gemm") return axis == (node.attr_i("transB", 0) != 0 ? 0 : 1);
    return node.op_type == "MatMul" && rank == 2 && axis == 1;
  }

  std::optional<std::string> bias_codes(const Node& node, const Codes& a, const Codes& b) {
    const Node* made = producer(node.inputs[2]);
    if (made == nullptr || !is_linear(*made, "DequantizeLinear")) return std::nullopt;
    const TensorRecord* codes = to_.constant(made->inputs[0]);
    const std::vector<float> scales = to_.small_values(made->inputs[1]);
    if (codes == nullptr || codes->dtype != DType::i32 || scales.empty()) return std::nullopt;
    if (made->inputs.size() > 2)
      for (const float zero : to_.small_values(made->inputs[2]))
        if (zero != 0.0f) return std::nullopt;
    const float factor = a.scales[0] * (node.op_type == "Gemm" ? node.attr_f("alpha", 1.0f) : 1.0f);
    const std::size_t n = std::max(scales.size(), b.scales.size());
    // The operator knows the scale as the product: a last-bit difference is that of the product's rounding.
    constexpr float kRounding = 1e-6f;
    for (std::size_t i = 0; i < n; ++i) {
      const float wanted = factor * b.scales[b.scales.size() == 1 ? 0 : i], given = scales[scales.size() == 1 ? 0 : i];
      if (std::abs(wanted - given) > kRounding * wanted) return std::nullopt;
    }
    return codes->name;
  }

  std::optional<Node> fused_qoperator(const Node& node) {
    const QOperator* row = node.domain.empty() && node.outputs.size() == 1 ? qoperator_of(node.op_type) : nullptr;
    if (row == nullptr || (target_ == Target::portable && !row->domain.empty())) return std::nullopt;
    const std::size_t first = row->result == 0 ? 0 : row->first;  // inputs that are no operands come before
    const std::size_t n = row->n_operands != 0 ? row->n_operands : node.inputs.size();
    if (node.inputs.size() < first + n) return std::nullopt;
    std::vector<Codes> operands;
    for (std::size_t k = 0; k < n; ++k) {
      std::optional<Codes> codes = operand(node.inputs[first + k]);
      if (!codes || !has_fitting_scales(node, k, *codes)) return std::nullopt;
      operands.push_back(std::move(*codes));
    }
    std::vector<const Node*> way;
    const std::optional<Codes> codes = result(node.outputs[0], way);
    const bool is_product = node.op_type == "Conv" || node.op_type == "MatMul" || node.op_type == "Gemm";
    if (!codes || codes->dtype != operands[0].dtype) return std::nullopt;
    for (const Codes& other : operands) {
      const bool fits = other.dtype == codes->dtype || (is_product && codes->dtype == DType::u8);  // no runtime has int8 by uint8
      if (!fits) return std::nullopt;
    }
    Node op = node;
    op.op_type = row->name;
    op.domain = row->domain;
    op.inputs.assign(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(first));
    const auto add = [&](const std::vector<std::string>& names) {
      op.inputs.insert(op.inputs.end(), names.begin(), names.end());
    };
    if (row->result == 0) add({codes->scale, codes->zero_point});
    for (const Codes& each : operands) add(each.inputs());
    std::string bias;
    if (row->bias != 0 && node.inputs.size() > 2 && !node.inputs[2].empty()) {
      const std::optional<std::string> found = bias_codes(node, operands[0], operands[1]);
      if (!found || node.attr_f("beta", 1.0f) != 1.0f) return std::nullopt;
      bias = *found;
    }
    op.remove("beta");
    if (row->bias != 0 && row->bias < row->result) add({bias});
    if (row->result != 0) add({codes->scale, codes->zero_point});
    if (row->bias > row->result && !bias.empty()) add({bias});
    if (!adapt(op)) return std::nullopt;
    return take(std::move(op), codes->codes, way);
  }

  /// Attributes as the operator has them; false where it lacks one.
  bool adapt(Node& op) const {
    if (op.op_type == "QLinearSoftmax") {
      op.set(Attribute::of_int("axis", op.attr_i("axis", opset_ < 13 ? 1 : -1)));
      op.set(Attribute::of_int("opset", opset_));
    }
    if (op.op_type != "QLinearAveragePool") return true;
    const std::vector<std::int64_t> dilations = op.attr_ints("dilations");
    op.remove("dilations");
    return std::all_of(dilations.begin(), dilations.end(), [](std::int64_t step) { return step == 1; });
  }

  std::optional<Node> on_codes(const Node& node) {
    if (node.outputs.empty() || (node.op_type == "MaxPool" && opset_ < kMaxPoolOfCodes)) return std::nullopt;
    if (std::count_if(node.outputs.begin(), node.outputs.end(), [](const std::string& name) { return !name.empty(); }) != 1)
      return std::nullopt;
    const std::optional<Codes> from = operand(node.inputs[0]);
    std::vector<const Node*> way;
    const std::optional<Codes> codes = from ? result(node.outputs[0], way) : std::nullopt;
    if (!codes || from->scales.size() != 1 || way.size() != 1 || !has_same_params(*from, *codes)) return std::nullopt;
    Node op = node;
    op.inputs[0] = from->codes;
    return take(std::move(op), codes->codes, way);
  }

  Node take(Node op, const std::string& output, const std::vector<const Node*>& way) {
    op.outputs = {output};
    absorbed_.insert(way.begin(), way.end());
    return op;
  }

  GraphRewriter to_;
  std::int64_t opset_;
  Target target_;
  WeightFuser weights_;
  std::set<const Node*> absorbed_;
  std::map<std::string, std::size_t> counts_;
};

}  // namespace

PassResult fuse_qoperators(Model& model, Target target) {
  PassResult result;
  NameAllocator names(model);
  std::map<std::string, std::size_t> counts;
  bool is_microsoft = false;
  visit_graphs(model, [&](Graph& graph) {
    for (const auto& [op_type, n] : Fuser(graph, names, model.opset(), target).run()) {
      counts[op_type] += n;
      result.n_changes += static_cast<std::int64_t>(n);
    }
    for (const Node& node : graph.nodes) is_microsoft |= node.domain == "com.microsoft";
  });
  if (result.n_changes == 0) return result;
  if (is_microsoft && model.opset("com.microsoft") == 0) model.set_opset("com.microsoft", 1);
  remove_unused(model);
  std::string text;
  for (const auto& [op_type, n] : counts) text += concat({(text.empty() ? "" : ", "), n, " ", op_type});
  result.messages.push_back(concat({"operators on codes: ", text}));
  return result;
}

}  // namespace bitwright
