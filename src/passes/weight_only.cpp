#include "passes/weight_only.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "passes/coded_constant.h"
#include "passes/dequantize_node.h"
#include "passes/graph_edit.h"
#include "passes/select_nodes.h"
#include "passes/weights.h"
#include "quant/quantize.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

/// What a node and three tensors take in a file besides their values: names, types, tags.
constexpr std::uint64_t kOverheadBytes = 300;

struct Verdict {
  std::string refusal;  // why the weight stays in float; empty: it does not
  WeightAxes axes;
};

Verdict judge(const ConstantWeight& weight, const Selection& selection) {
  if (weight.is_graph_output) return {"its weight is an output of the graph", {}};
  if (weight.uses.empty()) return {"nothing reads it", {}};
  Verdict verdict;
  bool is_first = true;
  for (const WeightUse& use : weight.uses) {
    const std::optional<WeightAxes> axes = weight_axes(use);
    const std::string shared = weight.uses.size() > 1 ? concat({" (", node_key(*use.node), ", which shares the weight)"}) : "";
    if (!axes) return {concat({"no weight of ", use.node->op_type, " is stored as codes", shared}), {}};
    if (std::string refusal = selection.refusal(*use.node); !refusal.empty()) return {refusal + shared, {}};
    if (is_first) verdict.axes = *axes;
    is_first = false;
  }
  return verdict;
}

/// The first opset whose DequantizeLinear gives half floats.
constexpr std::int64_t kHalfScaleOpset = 19;

bool saves_bytes(const Shape& shape, const TensorScheme& scheme, std::int64_t axis) {
  const auto n = static_cast<std::uint64_t>(n_elements(shape));
  const auto n_scales = static_cast<std::uint64_t>(n_elements(scale_shape(granularity_of(scheme, axis, shape.size()), shape)));
  const std::uint64_t after =
      packed_bytes(scheme.dtype, n) + 4 * n_scales + packed_bytes(scheme.dtype, n_scales) + kOverheadBytes;
  return after < 4 * n;
}

/// What nodes and tensors take in a file beside their values.
std::uint64_t naming_bytes(const CodedConstant& made) {
  std::uint64_t n = 0;
  for (const TensorRecord& record : made.records) n += record.name.size() + 16;
  for (const Node& node : made.nodes) {
    n += node.name.size() + node.op_type.size() + 32;
    for (const std::vector<std::string>* values : {&node.inputs, &node.outputs})
      for (const std::string& value : *values) n += value.size() + 2;
  }
  return n;
}

/// One weight on its way into codes, with everything that is needed after the graph was touched.
struct Edit {
  ConstantWeight weight;
  CodedConstant made;
  std::optional<Node> product;  // stands for the one node that reads the weight
};

/// Integers as DequantizeLinear has had them all along, with min-max ranges and float scales.
bool is_plain(const TensorScheme& scheme) {
  TensorScheme plain;
  plain.dtype = scheme.dtype;
  plain.is_symmetric = scheme.is_symmetric;
  plain.narrow_range = scheme.narrow_range;
  plain.grain = scheme.grain;
  plain.block_size = scheme.block_size;
  plain.bits = scheme.bits == dtype_bits(scheme.dtype) ? scheme.bits : 0;
  plain.seed = scheme.seed;
  return plain == scheme && dtype_bits(scheme.dtype) <= 16 && scheme.grain != TensorScheme::Grain::per_token;
}

Tensor as_f32(const Tensor& values) {
  if (values.dtype() == DType::f32) return values;
  Tensor result(DType::f32, values.shape());
  read_elements(values, 0, result.data<float>());
  return result;
}

/// What the codes stand for in the group that reaches farthest.
std::vector<float> widest_grid(const EncodedTensor& e) {
  if (e.scheme.encoding == Encoding::product) return {};
  std::vector<float> grid = e.levels;
  if (e.scales.empty()) {  // each group has levels of its own
    const auto n = static_cast<std::ptrdiff_t>(e.scheme.n_entries);
    const auto reach = [](float a, float b) { return std::abs(a) < std::abs(b); };
    const auto at = std::max_element(grid.begin(), grid.end(), reach) - grid.begin();
    if (n > 0 && at < std::ssize(grid)) grid.assign(e.levels.begin() + at / n * n, e.levels.begin() + (at / n + 1) * n);
    return grid;
  }
  const float scale = *std::max_element(e.scales.begin(), e.scales.end());
  for (float& level : grid) level *= scale;
  std::erase_if(grid, [](float real) { return !std::isfinite(real); });  // codes of 8-bit floats that stand for NaN or infinity
  return grid;
}

double sqnr_db(std::span<const float> values, std::span<const float> back) {
  double signal = 0.0, noise = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = values[i], error = x - static_cast<double>(back[i]);
    signal += x * x;
    noise += error * error;
  }
  return 10.0 * std::log10(signal / noise);
}

/// Two codes a byte, the first in the high half, row after row of the transposed matrix: as MatMulBnb4 has them.
Tensor bnb4_codes(const EncodedTensor& encoded) {
  const std::vector<std::int32_t> codes = unpack_codes(encoded);
  const auto k = static_cast<std::size_t>(encoded.shape[0]), n = static_cast<std::size_t>(encoded.shape[1]);
  Tensor packed(DType::u8, {static_cast<std::int64_t>((n * k + 1) / 2)});
  for (std::size_t i = 0; i < n * k; ++i)
    packed.bytes()[i / 2] |= static_cast<std::uint8_t>(codes[i % k * n + i / k] << (i % 2 == 0 ? 4 : 0));
  return packed;
}

class WeightOnly {
 public:
  WeightOnly(Model& model, const Recipe& recipe, const WeightOnlyOptions& options)
      : model_(model),
        recipe_(recipe),
        options_(options),
        selection_(options.selection != nullptr ? *options.selection : Selection(model, recipe)),
        names_(model) {}

  PlannedEdit run() {
    own_subgraphs(model_);
    visit_nodes(model_, [&](const Node& node, const std::string& graph) {
      rows_.emplace(&node, undecided(node, graph, selection_));
      order_.push_back(&node);
    });
    std::vector<Edit> edits;
    std::vector<ConstantWeight> weights = find_weights(model_, recipe_.min_weight_elements(), true);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      tell_progress(options_.on_progress, "quantize weights", i, weights.size());
      decide(weights[i], edits);
    }
    for (const Node* node : order_) edit_.plan.nodes.push_back(std::move(rows_.at(node)));
    apply(edits);
    return std::move(edit_);
  }

 private:
  void refuse(const ConstantWeight& weight, const std::string& reason) {
    for (const WeightUse& use : weight.uses) {
      NodeDecision& row = rows_.at(use.node);
      if (!row.is_quantized && selection_.refusal(*use.node).empty()) row.reason = reason;
    }
  }

  void decide(ConstantWeight& weight, std::vector<Edit>& edits) {
    const Verdict verdict = judge(weight, selection_);
    if (!verdict.refusal.empty()) return refuse(weight, verdict.refusal);
    const TensorRecord record = *weight.record;
    const TensorScheme scheme = fitted_scheme(recipe_.weight, record.shape, verdict.axes, *weight.uses[0].node);
    const std::int64_t axis = scheme_axis(scheme, record.shape, verdict.axes);
    if (record.dtype == DType::f16 && has_dequantize_form(scheme, recipe_.target) && model_.opset() < kHalfScaleOpset)
      return refuse(weight, "DequantizeLinear gives half floats from opset 19 on; upgrade the model");
    if (is_plain(scheme) && record.dtype == DType::f32)
      store_plain(weight, record, scheme, axis, edits);
    else
      store_encoded(weight, record, scheme, verdict.axes, axis, edits);
  }

  void refuse_not_finite(const ConstantWeight& weight, std::uint64_t n) {
    refuse(weight, concat({"its weight ", in_quotes(weight.name), " holds ", n, " NaN or infinities"}));
  }

  bool holds_codes(std::uint64_t n_bytes) {
    if (n_bytes > options_.max_held_bytes - held_bytes_) return false;
    held_bytes_ += n_bytes;
    return true;
  }

  void store_plain(ConstantWeight& weight, const TensorRecord& record, const TensorScheme& scheme, std::int64_t axis,
                   std::vector<Edit>& edits) {
    if (!recipe_.takes_small_weights && !saves_bytes(record.shape, scheme, axis))
      return refuse(weight, "codes and scales of its weight would be no smaller");
    std::uint64_t n_not_finite = 0;
    QuantParams params;
    Values codes;
    {
      const Tensor values = record.load();
      if (holds_codes(packed_bytes(scheme.dtype, static_cast<std::uint64_t>(values.n_elements())))) {
        QuantizedTensor quantized = quantize_weight_tensor(values, scheme, axis);
        n_not_finite = quantized.n_not_finite;
        params = std::move(quantized.params);
        codes = std::move(quantized.codes);
      } else {
        params = choose_params(values, scheme, axis, &n_not_finite);
        codes = Generated{[record, params] { return quantize(record.load(), params); }};
      }
      if (n_not_finite != 0) return refuse_not_finite(weight, n_not_finite);
    }
    const std::string domain = dequantize_domain(model_, scheme, recipe_.target);
    if (!domain.empty())
      tell(concat({"opset ", model_.opset(), " kept: weights use com.microsoft DequantizeLinear, which onnxruntime runs"}));
    DequantizedConstant made = dequantized_constant(weight.name, record.shape, params, std::move(codes), domain, names_);
    accept(weight, {weight.name, TensorRole::weight, params, {}, {}}, code_name(scheme.dtype));
    edits.push_back({weight, {{std::move(made.node)}, std::move(made.records)}, {}});
  }

  /// Codes of any other encoding, and those of half floats.
  void store_encoded(ConstantWeight& weight, const TensorRecord& record, const TensorScheme& scheme, const WeightAxes& axes,
                     std::int64_t axis, std::vector<Edit>& edits) {
    std::vector<float> importance;
    std::vector<float> rows;
    std::int64_t window = 1;
    if (scheme.clipping == CalibrationMethod::output_error) {
      const WeightInputs* inputs = find_inputs(options_.inputs, weight.path, weight.name);
      importance = importance_of(inputs, record.shape);
      if (importance.empty()) {
        ++n_unweighed_;
        importance.assign(static_cast<std::size_t>(record.shape[static_cast<std::size_t>(axes.reduction)]), 1.0f);
      }
      if (inputs != nullptr && axis == axes.reduction) {
        rows = inputs->rows;
        window = static_cast<std::int64_t>(inputs->requests[0].row_length()) / inputs->requests[0].extent;
      }
    }
    const auto known = recipe_.rounding_masks.find(weight.name);
    const Tensor mask = known == recipe_.rounding_masks.end() ? Tensor() : known->second;
    const auto encode = [name = weight.name, shape = record.shape, scheme, axis, importance, reduction = axes.reduction, mask,
                         rows, window](const Tensor& values) {
      return encode_tensor(values.data<float>(), shape, scheme, axis,
                           {.importance = importance,
                            .importance_axis = reduction,
                            .rounding_mask = mask.bytes(),
                            .tensor = name,
                            .samples = rows,
                            .sample_window = window});
    };
    EncodedTensor encoded;
    EncodedWeight summary;
    QuantParams params;
    {
      const Tensor values = as_f32(record.load());
      encoded = encode(values);
      if (encoded.n_not_finite != 0) return refuse_not_finite(weight, encoded.n_not_finite);
      Tensor back(DType::f32, record.shape);
      decode_tensor(encoded, back.data<float>());
      const auto [least, most] = std::minmax_element(back.data<float>().begin(), back.data<float>().end());
      params = {encoded.scheme.dtype, encoded.range, encoded.granularity, encoded.scales, encoded.zero_points};
      summary = {std::string(scheme_name(encoded.scheme)),
                 0,
                 sqnr_db(values.data<float>(), back.data<float>()),
                 *least,
                 *most,
                 widest_grid(encoded),
                 clipped_share(values.data<float>(), record.shape, params, encoded.levels)};
    }
    const std::uint64_t held = encoded.codes.size();
    const bool is_held = holds_codes(held);
    if (!is_held) encoded.codes = {};
    std::function<EncodedTensor()> again;
    if (!is_held) again = [encode, record] { return encode(as_f32(record.load())); };
    const bool is_product = is_bnb4(weight, record, encoded);
    Edit edit =
        is_product
            ? bnb4(weight, encoded, again)
            : Edit{weight, coded_constant(weight.name, encoded, again, record.dtype, model_.opset(), names_, recipe_.target), {}};
    for (const TensorRecord& made : edit.made.records) summary.stored_bytes += made.size_bytes();
    if (!recipe_.takes_small_weights && summary.stored_bytes + naming_bytes(edit.made) >= record.size_bytes()) {
      if (is_held) held_bytes_ -= held;
      return refuse(weight, "codes and scales of its weight would be no smaller");
    }
    check_opset(encoded.scheme);
    if (is_product && model_.opset("com.microsoft") == 0) model_.set_opset("com.microsoft", 1);
    accept(weight, {weight.name, TensorRole::weight, std::move(params), {}, summary}, summary.scheme);
    if (!is_product && !has_dequantize_form(encoded.scheme, recipe_.target)) ++n_tables_;
    edits.push_back(std::move(edit));
  }

  void check_opset(const TensorScheme& scheme) const {
    const std::int64_t needed = dequantize_opset(scheme, recipe_.target);
    if (model_.opset() < needed)
      throw_error(ErrorCode::unsupported, {"codes of scheme ", scheme_name(scheme), " need opset ", needed, ", the model has ",
                                           model_.opset(), "; upgrade it, or choose another scheme"});
  }

  /// A product that com.microsoft has an operator for: the weight as it stands, read by it alone, in whole blocks along k.
  bool is_bnb4(const ConstantWeight& weight, const TensorRecord& record, const EncodedTensor& encoded) const {
    const auto* block = std::get_if<PerBlock>(&encoded.granularity);
    if (recipe_.format != QuantFormat::qoperator || recipe_.target == Target::portable || block == nullptr ||
        weight.uses.size() != 1)
      return false;
    const WeightUse& use = weight.uses[0];
    return (encoded.scheme.encoding == Encoding::nf4 || encoded.scheme.encoding == Encoding::fp4) &&
           encoded.scheme.scale_form == ScaleForm::f32 && use.node->op_type == "MatMul" && use.input == 1 &&
           use.axes == std::vector<std::int64_t>{0, 1} && use.graph == weight.path && record.dtype == DType::f32 &&
           record.shape[0] % block->block_size == 0;
  }

  Edit bnb4(const ConstantWeight& weight, const EncodedTensor& encoded, const std::function<EncodedTensor()>& again) {
    const std::int64_t k = encoded.shape[0], n = encoded.shape[1], block = std::get<PerBlock>(encoded.granularity).block_size;
    Edit edit{weight, {}, *weight.uses[0].node};
    TensorRecord codes;
    codes.name = names_.fresh(concat({weight.name, "_quantized"}));
    codes.dtype = DType::u8;
    codes.shape = {(n * k + 1) / 2};
    if (again)
      codes.values = Generated{[again] { return bnb4_codes(again()); }};
    else
      codes.values = bnb4_codes(encoded);
    Tensor absmax(DType::f32, {n * (k / block)});
    for (std::int64_t i = 0; i < absmax.n_elements(); ++i)
      absmax.data<float>()[static_cast<std::size_t>(i)] =
          encoded.scales[static_cast<std::size_t>(i % (k / block) * n + i / (k / block))];
    TensorRecord scales = TensorRecord::of(names_.fresh(concat({weight.name, "_absmax"})), std::move(absmax));
    edit.product->op_type = "MatMulBnb4";
    edit.product->domain = "com.microsoft";
    edit.product->inputs = {weight.uses[0].node->inputs[0], codes.name, scales.name};
    const std::int64_t type = encoded.scheme.encoding == Encoding::nf4 ? 1 : 0;
    for (const auto& [name, value] :
         {std::pair("K", k), std::pair("N", n), std::pair("block_size", block), std::pair("quant_type", type)})
      edit.product->set(Attribute::of_int(name, value));
    edit.made.records = {std::move(codes), std::move(scales)};
    return edit;
  }

  void accept(const ConstantWeight& weight, TensorPlan plan, const std::string& scheme) {
    for (const WeightUse& use : weight.uses) {
      NodeDecision& row = rows_.at(use.node);
      row.is_quantized = true;
      row.mode = concat({"weights only ", scheme});
      row.reason = "size only: computed in float";
      plan.consumers.push_back({node_key(*use.node), static_cast<std::int64_t>(use.input)});
    }
    edit_.plan.tensors.push_back(std::move(plan));
  }

  void tell(const std::string& message) {
    std::vector<std::string>& messages = edit_.result.messages;
    if (std::find(messages.begin(), messages.end(), message) == messages.end()) messages.push_back(message);
  }

  void apply(std::vector<Edit>& edits) {
    std::map<Graph*, std::vector<Node>> added;
    for (Edit& edit : edits)
      if (edit.product) *edit.weight.uses[0].node = std::move(*edit.product);
    std::vector<Replacement> replacements;
    for (Edit& edit : edits) {
      replacements.push_back({edit.weight.graph, edit.weight.name, std::move(edit.made.records)});
      std::move(edit.made.nodes.begin(), edit.made.nodes.end(), std::back_inserter(added[edit.weight.graph]));
    }
    replace_constants(model_, std::move(replacements));
    for (auto& [graph, nodes] : added) {
      nodes.insert(nodes.end(), std::make_move_iterator(graph->nodes.begin()), std::make_move_iterator(graph->nodes.end()));
      graph->nodes = std::move(nodes);
    }
    edit_.result.n_changes = static_cast<std::int64_t>(edits.size());
    if (n_unweighed_ > 0)
      tell(concat({"weights whose inputs were not seen: ", n_unweighed_, "; all their errors weigh the same"}));
    if (n_tables_ > 0)
      tell(concat({n_tables_, (n_tables_ == 1 ? " weight is" : " weights are"),
                   " looked up in tables of levels: the file is smaller, and loading expands it to float"}));
  }

  Model& model_;
  const Recipe& recipe_;
  const WeightOnlyOptions& options_;
  Selection selection_;
  NameAllocator names_;
  std::map<const Node*, NodeDecision> rows_;
  std::vector<const Node*> order_;
  PlannedEdit edit_;
  std::uint64_t held_bytes_ = 0;
  std::int64_t n_tables_ = 0;
  std::int64_t n_unweighed_ = 0;
};

}  // namespace

PlannedEdit weight_only(Model& model, const Recipe& recipe, const WeightOnlyOptions& options) {
  return WeightOnly(model, recipe, options).run();
}

}  // namespace bitwright
