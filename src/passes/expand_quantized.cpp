#include "passes/expand_quantized.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/function_ref.h"
#include "ops/qoperators.h"
#include "passes/graph_edit.h"
#include "passes/graph_rewriter.h"
#include "quant/encodings/levels.h"
#include "quant/reference.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

bool is_microsoft(const Node& node, std::string_view op_type) {
  return node.domain == "com.microsoft" && node.op_type == op_type;
}

class Expander {
 public:
  Expander(Graph& graph, NameAllocator& names, PassResult& result) : to_(graph, names), result_(result) {}

  void run() {
    for (const Node& node : to_.graph.nodes)
      if (node.domain.empty() && (node.op_type == "MatMulInteger" || node.op_type == "ConvInteger")) find_product(node);
    for (const Node& node : to_.graph.nodes) {
      if (const QOperator* row = find_qoperator(node.domain, node.op_type); row != nullptr)
        take(node, [&] { return expand(node, *row); });
      else if (is_microsoft(node, "MatMulNBits"))
        take(node, [&] { return expand_nbits(node); });
      else if (is_microsoft(node, "MatMulBnb4"))
        take(node, [&] { return expand_bnb4(node); });
      else if (is_microsoft(node, "GatherBlockQuantized"))
        take(node, [&] { return expand_gather(node); });
      else if (is_microsoft(node, "DynamicQuantizeMatMul"))
        take(node, [&] { return expand_product(node, node.inputs[0], 1, 2, 3, 4); });
      else if (is_microsoft(node, "MatMulIntegerToFloat"))
        take(node, [&] { return expand_to_float(node); });
      else if (is_microsoft(node, "DynamicQuantizeLSTM"))
        take(node, [&] { return expand_lstm(node); });
      else if (const auto product = products_.find(&node); product != products_.end())
        take(node, [&] { return expand_integer(*product->second, node); });
      else
        to_.keep(node);
    }
    to_.finish();
  }

 private:
  /// Adds what `expand` adds, or the node as it is where that gives a reason why not.
  void take(const Node& node, FunctionRef<std::string()> expand) {
    const std::size_t n = to_.nodes.size();
    const std::string refusal = expand();
    if (refusal.empty()) {
      ++result_.n_changes;
      return;
    }
    for (std::size_t i = n; i < to_.nodes.size(); ++i)
      std::erase_if(made_, [&](const auto& row) { return row.second == to_.nodes[i].outputs[0]; });
    to_.nodes.resize(n);
    to_.keep(node);
    result_.messages.push_back(concat({node.label(), " stays: ", refusal}));
  }

  /// The dequantized value; the same codes are dequantized once.
  std::string dequantized(const std::string& codes, const std::string& scale, const std::string& zero_point, std::int64_t axis,
                          std::int64_t block_size = 0) {
    const auto [found, is_new] = made_.try_emplace({codes, scale, zero_point}, "");
    if (!is_new) return found->second;
    found->second = to_.fresh(concat({codes, "_dequantized"}));
    const TensorRecord* record = to_.constant(scale);
    const bool has_many = record != nullptr && n_elements(record->shape) > 1;
    std::vector<std::string> inputs{codes, scale};
    if (!zero_point.empty()) inputs.push_back(has_many ? spread(zero_point, record->shape) : zero_point);
    Node& node = to_.add("DequantizeLinear", std::move(inputs), found->second);
    if (block_size > 0 || has_many) node.set(Attribute::of_int("axis", axis));
    if (block_size > 0) node.set(Attribute::of_int("block_size", block_size));
    return found->second;
  }

  /// One zero point for several scales: DequantizeLinear wants as many.
  std::string spread(const std::string& zero_point, const Shape& shape) {
    const TensorRecord* record = to_.constant(zero_point);
    if (record == nullptr || n_elements(record->shape) != 1) return zero_point;
    Tensor all(record->dtype, shape);
    fill_elements(all, record->load());
    return to_.add_constant(concat({zero_point, "_each"}), std::move(all));
  }

  /// Along which axis an operand may have several scales.
  static std::int64_t scale_axis(const Node& node, std::string_view op_type, std::size_t operand) {
    if (op_type == "Conv") return 0;
    if (op_type == "Gemm")
      return node.attr_i(operand == 0 ? "transA" : "transB", 0) != 0 ? static_cast<std::int64_t>(operand == 0)
                                                                     : static_cast<std::int64_t>(operand);
    return operand == 0 ? -2 : -1;
  }

  std::string expand(const Node& node, const QOperator& row) {
    if (node.attr_i("channels_last", 0) != 0) return "its channels come last";
    Node op = node;
    op.domain.clear();
    op.op_type = row.op_type;
    op.remove("channels_last");
    if (row.op_type == "Softmax") op.remove("opset");
    op.inputs.assign(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(row.result == 0 ? 0 : row.first));
    const std::size_t n = row.n_operands != 0 ? row.n_operands : (node.inputs.size() - row.first) / 3;
    for (std::size_t k = 0; k < n; ++k) {
      const std::size_t at = row.first + 3 * k;
      op.inputs.push_back(
          dequantized(input_of(node, at), input_of(node, at + 1), input_of(node, at + 2), scale_axis(node, row.op_type, k)));
    }
    if (row.bias != 0 && !input_of(node, row.bias).empty()) {
      const std::vector<float> a = to_.small_values(input_of(node, row.first + 1)),
                               b = to_.small_values(input_of(node, row.first + 4));
      if (a.size() != 1 || b.empty()) return "its scales are no constants";
      Tensor scales(DType::f32, b.size() == 1 ? Shape{} : Shape{static_cast<std::int64_t>(b.size())});
      const float factor = row.op_type == "Gemm" ? node.attr_f("alpha", 1.0f) : 1.0f;
      for (std::size_t i = 0; i < b.size(); ++i) scales.data<float>()[i] = a[0] * factor * b[i];
      // One scale for each column: of the last axis of what Gemm adds.
      op.inputs.push_back(
          dequantized(input_of(node, row.bias), to_.add_constant(concat({node.outputs[0], "_bias_scale"}), scales), "", -1));
    }
    const std::string& scale = input_of(node, row.result);
    if (scale.empty()) {
      to_.keep(op);
      return "";
    }
    op.outputs[0] = to_.fresh(concat({node.outputs[0], "_float"}));
    to_.keep(op);
    std::vector<std::string> inputs{op.outputs[0], scale};
    if (!input_of(node, row.result + 1).empty()) inputs.push_back(input_of(node, row.result + 1));
    to_.add("QuantizeLinear", std::move(inputs), node.outputs[0]);
    return "";
  }

  static DType codes_of(std::int64_t bits) { return bits == 2 ? DType::u2 : bits == 4 ? DType::u4 : DType::u8; }

  /// The bytes as codes of that type, low bits first as ONNX packs them; the last extent grows.
  std::string unpacked(const TensorRecord& record, DType dtype, const Shape& shape) {
    return to_.add_constant(
        concat({record.name, "_codes"}), dtype, shape, Generated{[record, dtype, shape] {
          const Tensor bytes = record.load();
          if (bytes.size_bytes() != packed_bytes(dtype, static_cast<std::uint64_t>(n_elements(shape))))
            throw_error(ErrorCode::shape_mismatch, {"tensor ", in_quotes(record.name), ": the codes have the wrong size"});
          return Tensor(dtype, shape, bytes.clone().buffer());
        }});
  }

  /// Zero points of packed codes: `given` holds rows of whole bytes, and may be left out for the middle of the range.
  std::string zero_points(const std::string& given, const std::string& wish, std::int64_t bits, const Shape& shape) {
    const DType dtype = codes_of(bits);
    Tensor zeros(dtype, shape);
    const std::int64_t n = n_elements(shape), row = shape.empty() ? 1 : shape.back(), row_codes = (row * bits + 7) / 8 * 8 / bits;
    const TensorRecord* record = to_.constant(given);
    Tensor bytes;
    if (record != nullptr) bytes = record->load();
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t from = i / row * row_codes + i % row;
      reference::write_code(zeros.bytes(), dtype, i,
                            record == nullptr ? std::int32_t{1} << (bits - 1) : reference::read_code(bytes.bytes(), dtype, from));
    }
    return to_.add_constant(concat({wish, "_zero_point"}), std::move(zeros));
  }

  /// Why these zero points cannot be told; empty where they can.
  std::string zero_point_refusal(const std::string& given, std::int64_t bits, const Shape& shape) {
    if (given.empty()) return "";
    const TensorRecord* record = to_.constant(given);
    if (record == nullptr) return "its zero points are no constant";
    if (record->dtype != DType::u8) return "its zero points are no codes";
    const std::int64_t rows = n_elements(shape) / std::max<std::int64_t>(1, shape.back());
    if (n_elements(record->shape) != rows * ((shape.back() * bits + 7) / 8)) return "its zero points have the wrong size";
    return "";
  }

  std::string expand_nbits(const Node& node) {
    const TensorRecord *codes = to_.constant(input_of(node, 1)), *scales = to_.constant(input_of(node, 2));
    const std::int64_t k = node.attr_i("K", 0), n = node.attr_i("N", 0), bits = node.attr_i("bits", 4),
                       block = node.attr_i("block_size", 32);
    if (codes == nullptr || scales == nullptr) return "its weight is no constant";
    if (!input_of(node, 4).empty()) return "its blocks are in another order (g_idx)";
    if (k < 1 || n < 1 || block < 16 || block > 65536 || (bits != 2 && bits != 4 && bits != 8))
      return "its attributes are out of range";
    const std::int64_t blocks = (k + block - 1) / block;
    const Shape shape{n, blocks};
    if (std::string refusal = zero_point_refusal(input_of(node, 3), bits, shape); !refusal.empty()) return refusal;
    if (n_elements(scales->shape) != n * blocks ||
        codes->size_bytes() != packed_bytes(codes_of(bits), static_cast<std::uint64_t>(n * blocks * block)))
      return "its weight has the wrong size";
    const TensorRecord held = *scales;
    const std::string scale = scales->shape == shape
                                  ? held.name
                                  : to_.add_constant(concat({held.name, "_rows"}), held.dtype, shape,
                                                     Generated{[held, shape] { return held.load().reshaped(shape); }});
    const std::string zeros = zero_points(input_of(node, 3), codes->name, bits, shape);
    std::string weight = dequantized(unpacked(*codes, codes_of(bits), {n, blocks * block}), scale, zeros, 1, block);
    if (blocks * block != k) {
      const auto one = [](std::int64_t value) { return Tensor::of<std::int64_t>({1}, {value}); };
      const std::string sliced = to_.fresh(concat({weight, "_sliced"}));
      to_.add("Slice",
              {weight, to_.add_constant("start", one(0)), to_.add_constant("end", one(k)), to_.add_constant("axis", one(1))},
              sliced);
      weight = sliced;
    }
    const std::string transposed = to_.fresh(concat({weight, "_transposed"}));
    to_.add("Transpose", {weight}, transposed).set(Attribute::of_ints("perm", {1, 0}));
    multiply(node, node.inputs[0], transposed, input_of(node, 5));
    return "";
  }

  /// x times weight, plus bias where there is one.
  void multiply(const Node& node, const std::string& x, const std::string& weight, const std::string& bias) {
    const std::string product = bias.empty() ? node.outputs[0] : to_.fresh(concat({node.outputs[0], "_product"}));
    to_.add("MatMul", {x, weight}, product).name = node.name;
    if (!bias.empty()) to_.add("Add", {product, bias}, node.outputs[0]);
  }

  std::string expand_bnb4(const Node& node) {
    const TensorRecord *codes = to_.constant(input_of(node, 1)), *scales = to_.constant(input_of(node, 2));
    const std::int64_t k = node.attr_i("K", 0), n = node.attr_i("N", 0), block = node.attr_i("block_size", 0);
    if (codes == nullptr || scales == nullptr || codes->dtype != DType::u8) return "its weight is no constant";
    if (k < 1 || n < 1 || k > kMaxElements / n || block < 1 || n_elements(codes->shape) != (k * n + 1) / 2 ||
        n_elements(scales->shape) < (k * n + block - 1) / block)
      return "its weight has the wrong size";
    const Encoding encoding = node.attr_i("quant_type", 1) == 0 ? Encoding::fp4 : Encoding::nf4;
    // Row after row of the transposed weight, the first code of a byte in its high half.
    const std::string weight = to_.add_constant(
        concat({codes->name, "_reals"}), DType::f32, {k, n}, Generated{[codes = *codes, scales = *scales, encoding, k, n, block] {
          const std::vector<float> levels = level_table(encoding, 4).levels, factors = to_f32_vector(scales.load());
          const Tensor bytes = codes.load();
          Tensor reals(DType::f32, {k, n});
          for (std::int64_t i = 0; i < k * n; ++i) {
            const int pair = bytes.bytes()[static_cast<std::size_t>(i / 2)];
            reals.data<float>()[static_cast<std::size_t>(i % k * n + i / k)] =
                levels[static_cast<std::size_t>(i % 2 == 0 ? pair >> 4 : pair & 15)] *
                factors[static_cast<std::size_t>(i / block)];
          }
          return reals;
        }});
    multiply(node, node.inputs[0], weight, "");
    return "";
  }

  std::string expand_gather(const Node& node) {
    const TensorRecord *codes = to_.constant(input_of(node, 0)), *scales = to_.constant(input_of(node, 2));
    if (codes == nullptr || scales == nullptr) return "its table is no constant";
    const bool is_byte = codes->dtype == DType::u8;
    const std::int64_t bits = is_byte ? node.attr_i("bits", 4) : 4;
    if ((bits != 2 && bits != 4 && bits != 8) || codes->shape.empty()) return "its attributes are out of range";
    std::string data = codes->name, zeros = input_of(node, 3);
    if (is_byte) {
      if (std::string refusal = zero_point_refusal(zeros, bits, scales->shape); !refusal.empty()) return refusal;
      Shape shape = codes->shape;
      shape.back() *= 8 / bits;
      zeros = zero_points(zeros, codes->name, bits, scales->shape);
      if (bits != 8) data = unpacked(*codes, codes_of(bits), shape);
    }
    const std::string table =
        dequantized(data, scales->name, zeros, node.attr_i("quantize_axis", 1), node.attr_i("block_size", 128));
    Node& gather = to_.add("Gather", {table, node.inputs[1]}, node.outputs[0]);
    gather.name = node.name;
    gather.set(Attribute::of_int("axis", node.attr_i("gather_axis", 0)));
    return "";
  }

  /// The float product of x and a weight with its scale, zero point and bias at these inputs.
  std::string expand_product(const Node& node, const std::string& x, std::size_t weight, std::size_t scale,
                             std::size_t zero_point, std::size_t bias) {
    if (to_.constant(input_of(node, weight)) == nullptr) return "its weight is no constant";
    multiply(node, x, dequantized(input_of(node, weight), input_of(node, scale), input_of(node, zero_point), -1),
             input_of(node, bias));
    return "";
  }

  const Node* producer(const std::string& value) const {
    const std::int64_t i = to_.index.producer(value);
    return i < 0 ? nullptr : &to_.graph.nodes[static_cast<std::size_t>(i)];
  }
  const Node* only_reader(const std::string& value, std::string_view op_type) const {
    const auto readers = to_.index.consumers(value);
    if (readers.size() != 1 || to_.index.is_graph_output(value)) return nullptr;
    const Node& node = to_.graph.nodes[static_cast<std::size_t>(readers[0])];
    return node.domain.empty() && node.op_type == op_type ? &node : nullptr;
  }
  struct DynamicSource {
    std::string value, scale;
  };
  /// What a DynamicQuantizeLinear made these codes of, or Div by the scales of rows and QuantizeLinear by 1; empty: nothing.
  DynamicSource dynamic_source(const std::string& codes) const {
    const Node* node = producer(codes);
    if (node == nullptr) return {};
    if (node->op_type == "DynamicQuantizeLinear") return {node->inputs[0], node->outputs.size() > 1 ? node->outputs[1] : ""};
    const Node* steps = node->op_type == "QuantizeLinear" ? producer(node->inputs[0]) : nullptr;
    if (steps == nullptr || steps->op_type != "Div" || to_.small_values(node->inputs[1]) != std::vector<float>{1.0f}) return {};
    return {steps->inputs[0], steps->inputs[1]};
  }

  std::string expand_to_float(const Node& node) {
    if (const DynamicSource source = dynamic_source(node.inputs[0]); !source.value.empty())
      return expand_product(node, source.value, 1, 3, 5, 6);
    if (to_.constant(input_of(node, 2)) == nullptr) return "the scale of its input is no constant";
    return expand_product(node, dequantized(node.inputs[0], input_of(node, 2), input_of(node, 4), -2), 1, 3, 5, 6);
  }

  /// DynamicQuantizeLinear, this node, Cast, and Mul by the product of both scales: the Mul will become the float product.
  void find_product(const Node& node) {
    const Node* cast = only_reader(node.outputs[0], "Cast");
    const Node* scaled = cast == nullptr ? nullptr : only_reader(cast->outputs[0], "Mul");
    if (!dynamic_source(input_of(node, 0)).value.empty() && scaled != nullptr && to_.constant(input_of(node, 1)) != nullptr)
      products_[scaled] = &node;
    else
      result_.messages.push_back(concat({node.label(), " stays: it is no part of a dynamically quantized product"}));
  }

  std::string expand_integer(const Node& node, const Node& scaled) {
    const DynamicSource source = dynamic_source(node.inputs[0]);
    const Node* scales =
        producer(scaled.inputs[producer(scaled.inputs[0]) != nullptr && producer(scaled.inputs[0])->op_type == "Cast" ? 1 : 0]);
    if (scales == nullptr || scales->op_type != "Mul" || source.scale.empty()) return "its scales are not multiplied as usual";
    const bool is_second = scales->inputs[1] == source.scale;
    if (!is_second && scales->inputs[0] != source.scale) return "its scales are not multiplied as usual";
    std::string scale = scales->inputs[is_second ? 0 : 1];
    const TensorRecord* record = to_.constant(scale);
    if (record == nullptr) return "the scale of its weight is no constant";
    const bool is_conv = node.op_type == "ConvInteger";
    if (record->shape.size() > 1)  // [1, channels, 1, 1], as it multiplies
      scale = to_.add_constant(concat({scale, "_flat"}), record->load().reshaped({n_elements(record->shape)}));
    Node op = node;
    op.op_type = is_conv ? "Conv" : "MatMul";
    op.inputs = {source.value, dequantized(node.inputs[1], scale, input_of(node, 3), is_conv ? 0 : -1)};
    op.outputs = scaled.outputs;
    to_.keep(op);
    return "";
  }

  std::string expand_lstm(const Node& node) {
    // X, W, R, B, sequence_lens, initial_h, initial_c, P, W_scale, W_zero_point, R_scale, R_zero_point
    Node op = node;
    op.domain.clear();
    op.op_type = "LSTM";
    op.inputs.resize(std::min<std::size_t>(8, op.inputs.size()));
    for (const std::size_t at : {std::size_t{1}, std::size_t{2}}) {
      const std::string scale = input_of(node, 6 + 2 * at), zero = input_of(node, 7 + 2 * at);
      const TensorRecord *codes = to_.constant(node.inputs[at]), *scales = to_.constant(scale), *zeros = to_.constant(zero);
      if (codes == nullptr || scales == nullptr || zeros == nullptr || codes->shape.size() != 3)
        return "its weights are no constants";
      if (scales->shape.size() > 2 || n_elements(scales->shape) != n_elements(zeros->shape))
        return "its scales have the wrong shape";
      // [directions, inputs, gates]: one scale for each direction, or for each column of each.
      Shape blocks{codes->shape[0], 1, codes->shape[2]};
      if (n_elements(scales->shape) == codes->shape[0]) blocks[2] = 1;
      if (n_elements(scales->shape) != n_elements(blocks)) return "its scales have the wrong shape";
      const auto spread = [&](const TensorRecord& record) {
        const Tensor given = record.load();
        Tensor all(given.dtype(), {codes->shape[0], 1, codes->shape[2]});
        const std::size_t element = given.size_bytes() / static_cast<std::size_t>(given.n_elements());
        for (std::int64_t i = 0; i < all.n_elements(); ++i)
          std::copy_n(given.bytes().data() + static_cast<std::size_t>(blocks[2] == 1 ? i / codes->shape[2] : i) * element,
                      element, all.bytes().data() + static_cast<std::size_t>(i) * element);
        return to_.add_constant(concat({record.name, "_blocks"}), std::move(all));
      };
      const std::string reals = dequantized(node.inputs[at], spread(*scales), spread(*zeros), 1, codes->shape[1]);
      op.inputs[at] = to_.fresh(concat({reals, "_transposed"}));
      to_.add("Transpose", {reals}, op.inputs[at]).set(Attribute::of_ints("perm", {0, 2, 1}));
    }
    to_.keep(op);
    return "";
  }

  GraphRewriter to_;
  PassResult& result_;
  std::map<std::tuple<std::string, std::string, std::string>, std::string> made_;
  std::map<const Node*, const Node*> products_;  // integer nodes by the Mul that scales them
};

}  // namespace

PassResult expand_quantized(Model& model) {
  PassResult result;
  NameAllocator names(model);
  visit_graphs(model, [&](Graph& graph) { Expander(graph, names, result).run(); });
  return result;
}

}  // namespace bitwright
