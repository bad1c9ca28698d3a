#include "passes/fuse_weights.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "quant/reference.h"

namespace bitwright {

namespace {

bool is_block_size(std::int64_t block) { return block >= 16 && block <= 65536 && (block & (block - 1)) == 0; }

/// Constant codes in blocks behind a DequantizeLinear.
struct Blocks {
  TensorRecord codes, scales;
  std::optional<TensorRecord> zeros;
  std::int64_t axis = 0, block_size = 0, bits = 0;
  std::int32_t offset = 0;  // added to a signed code

  /// The middle of the range, in codes without sign.
  std::int32_t middle() const { return std::int32_t{1} << (bits - 1); }
};

std::optional<Blocks> blocks_of(const GraphRewriter& to, const Node* node) {
  if (node == nullptr || node->op_type != "DequantizeLinear") return std::nullopt;
  Blocks blocks;
  blocks.block_size = node->attr_i("block_size", 0);
  const TensorRecord *codes = to.constant(node->inputs[0]), *scales = to.constant(node->inputs[1]);
  const std::string zeros = node->inputs.size() > 2 ? node->inputs[2] : "";
  if (codes == nullptr || scales == nullptr || !is_block_size(blocks.block_size) || !is_integer(codes->dtype) ||
      scales->dtype == DType::e8m0)
    return std::nullopt;
  if (!zeros.empty()) {
    if (to.constant(zeros) == nullptr) return std::nullopt;
    blocks.zeros = *to.constant(zeros);
  }
  blocks.codes = *codes;
  blocks.scales = *scales;
  blocks.bits = dtype_bits(codes->dtype);
  blocks.axis = node->attr_i("axis", 1);
  if (blocks.axis < 0) blocks.axis += static_cast<std::int64_t>(codes->shape.size());
  if (blocks.bits != 2 && blocks.bits != 4 && blocks.bits != 8) return std::nullopt;
  if (is_signed(codes->dtype)) blocks.offset = blocks.middle();
  return blocks;
}

DType unsigned_codes(std::int64_t bits) { return bits == 2 ? DType::u2 : bits == 4 ? DType::u4 : DType::u8; }

/// Codes of a matrix as rows of whole bytes: element (row, column) of the result is element row * strides[0] + column * strides[1].
Tensor packed_rows(const Tensor& codes, std::int64_t rows, std::int64_t columns, std::int64_t row_codes,
                   std::array<std::int64_t, 2> strides, std::int64_t bits, std::int32_t offset, std::int32_t filler) {
  const DType dtype = unsigned_codes(bits);
  Tensor packed(dtype, {rows, row_codes});
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < row_codes; ++c)
      reference::write_code(
          packed.bytes(), dtype, r * row_codes + c,
          c < columns ? reference::read_code(codes.bytes(), codes.dtype(), r * strides[0] + c * strides[1]) + offset : filler);
  return packed;
}

Tensor as_bytes(const Tensor& packed, Shape shape) { return Tensor(DType::u8, std::move(shape), packed.buffer()); }

/// Zero points as rows of whole bytes; nothing where all are the middle of the range, which the operators take then.
std::optional<Tensor> packed_zeros(const Blocks& blocks, std::int64_t rows, std::int64_t columns,
                                   std::array<std::int64_t, 2> strides) {
  if (!blocks.zeros && blocks.offset != 0) return std::nullopt;
  const std::int64_t per_byte = 8 / blocks.bits, row_codes = (columns + per_byte - 1) / per_byte * per_byte;
  const Tensor given = blocks.zeros ? blocks.zeros->load() : Tensor(blocks.codes.dtype, {rows, columns});
  const Tensor packed = packed_rows(given, rows, columns, row_codes, strides, blocks.bits, blocks.offset, 0);
  bool is_middle = true;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      is_middle &= reference::read_code(packed.bytes(), packed.dtype(), r * row_codes + c) == blocks.middle();
  if (is_middle) return std::nullopt;
  return as_bytes(packed, {rows, row_codes / per_byte});
}

Tensor transposed_rows(const Tensor& values, std::int64_t rows, std::int64_t columns) {
  Tensor result(values.dtype(), {rows, columns});
  const std::size_t element = values.n_elements() == 0 ? 0 : values.size_bytes() / static_cast<std::size_t>(values.n_elements());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      std::copy_n(values.bytes().data() + static_cast<std::size_t>(c * rows + r) * element, element,
                  result.bytes().data() + static_cast<std::size_t>(r * columns + c) * element);
  return result;
}

}  // namespace

const Node* WeightFuser::producer(const std::string& value) const {
  const std::int64_t i = value.empty() ? -1 : to_.index.producer(value);
  return i < 0 ? nullptr : &to_.graph.nodes[static_cast<std::size_t>(i)];
}

const Node* WeightFuser::only_reader(const std::string& value, std::string_view op_type) const {
  const auto readers = to_.index.consumers(value);
  if (readers.size() != 1 || to_.index.is_graph_output(value)) return nullptr;
  const Node& node = to_.graph.nodes[static_cast<std::size_t>(readers[0])];
  return node.domain.empty() && node.op_type == op_type ? &node : nullptr;
}

std::optional<Node> WeightFuser::fused(const Node& node, std::set<const Node*>& absorbed) {
  if (!node.domain.empty()) return std::nullopt;
  if (node.op_type == "MatMul" || node.op_type == "Gemm") return nbits(node);
  if (node.op_type == "Gather") return gather(node);
  return node.op_type == "MatMulInteger" ? dynamic(node, absorbed) : std::nullopt;
}

std::optional<Node> WeightFuser::nbits(const Node& node) {
  const std::optional<Blocks> found = blocks_of(to_, producer(node.inputs[1]));
  const bool is_gemm = node.op_type == "Gemm", is_flipped = is_gemm && node.attr_i("transB", 0) != 0;
  if (!found || found->codes.shape.size() != 2 || found->axis != (is_flipped ? 1 : 0)) return std::nullopt;
  if (is_gemm && (node.attr_i("transA", 0) != 0 || node.attr_f("alpha", 1.0f) != 1.0f)) return std::nullopt;
  const Blocks& blocks = *found;
  const std::int64_t k = blocks.codes.shape[is_flipped ? 1 : 0], n = blocks.codes.shape[is_flipped ? 0 : 1];
  const std::int64_t n_blocks = (k + blocks.block_size - 1) / blocks.block_size;
  std::string bias = is_gemm && node.inputs.size() > 2 ? node.inputs[2] : "";
  if (!bias.empty()) {
    const TensorRecord* record = to_.constant(bias);
    if (node.attr_f("beta", 1.0f) != 1.0f || record == nullptr || record->shape != Shape{n}) return std::nullopt;
  }
  Node op;
  op.name = node.name;
  op.op_type = "MatMulNBits";
  op.domain = "com.microsoft";
  op.outputs = node.outputs;
  for (const auto& [name, value] :
       {std::pair("K", k), std::pair("N", n), std::pair("bits", blocks.bits), std::pair("block_size", blocks.block_size)})
    op.set(Attribute::of_int(name, value));
  const Shape shape{n, n_blocks, blocks.block_size * blocks.bits / 8};
  const std::array<std::int64_t, 2> strides = is_flipped ? std::array<std::int64_t, 2>{k, 1} : std::array<std::int64_t, 2>{1, n};
  const std::string codes =
      to_.add_constant(concat({blocks.codes.name, "_nbits"}), DType::u8, shape, Generated{[=] {
                         return as_bytes(packed_rows(blocks.codes.load(), n, k, n_blocks * blocks.block_size, strides,
                                                     blocks.bits, blocks.offset, blocks.middle()),
                                         shape);
                       }});
  const Tensor scales = blocks.scales.load();
  const std::string scale =
      to_.add_constant(concat({blocks.scales.name, "_rows"}), is_flipped ? scales : transposed_rows(scales, n, n_blocks));
  op.inputs = {node.inputs[0], codes, scale};
  const std::optional<Tensor> zeros = packed_zeros(
      blocks, n, n_blocks, is_flipped ? std::array<std::int64_t, 2>{n_blocks, 1} : std::array<std::int64_t, 2>{1, n});
  if (zeros) op.inputs.push_back(to_.add_constant(concat({blocks.scales.name, "_zero_point"}), *zeros));
  if (!bias.empty()) {
    op.inputs.resize(5);
    op.inputs.push_back(bias);
  }
  return op;
}

std::optional<Node> WeightFuser::gather(const Node& node) {
  const std::optional<Blocks> found = blocks_of(to_, producer(node.inputs[0]));
  if (!found || node.attr_i("axis", 0) != 0 || found->codes.shape.size() < 2) return std::nullopt;
  const Blocks& blocks = *found;
  const Shape& shape = blocks.codes.shape;
  const std::int64_t columns = shape.back(), per_byte = 8 / blocks.bits;
  if (blocks.axis + 1 != static_cast<std::int64_t>(shape.size()) || columns % per_byte != 0) return std::nullopt;
  const std::int64_t rows = n_elements(shape) / std::max<std::int64_t>(1, columns);
  const std::int64_t n_blocks = (columns + blocks.block_size - 1) / blocks.block_size;
  Node op;
  op.name = node.name;
  op.op_type = "GatherBlockQuantized";
  op.domain = "com.microsoft";
  op.outputs = node.outputs;
  for (const auto& [name, value] : {std::pair("gather_axis", std::int64_t{0}), std::pair("quantize_axis", blocks.axis),
                                    std::pair("bits", blocks.bits), std::pair("block_size", blocks.block_size)})
    op.set(Attribute::of_int(name, value));
  Shape packed = shape, zero_shape = blocks.scales.shape;
  packed.back() = columns / per_byte;
  const std::string codes = to_.add_constant(
      concat({blocks.codes.name, "_rows"}), DType::u8, packed, Generated{[=] {
        return as_bytes(packed_rows(blocks.codes.load(), rows, columns, columns, {columns, 1}, blocks.bits, blocks.offset, 0),
                        packed);
      }});
  op.inputs = {codes, node.inputs[1], blocks.scales.name};
  if (const std::optional<Tensor> zeros = packed_zeros(blocks, rows, n_blocks, {n_blocks, 1}); zeros) {
    zero_shape.back() = zeros->extent(1);
    op.inputs.push_back(to_.add_constant(concat({blocks.scales.name, "_zero_point"}), zeros->reshaped(zero_shape)));
  }
  return op;
}

std::optional<Node> WeightFuser::dynamic(const Node& node, std::set<const Node*>& absorbed) {
  const Node* source = producer(node.inputs[0]);
  const Node* cast = only_reader(node.outputs[0], "Cast");
  const Node* product = cast == nullptr ? nullptr : only_reader(cast->outputs[0], "Mul");
  const TensorRecord* weight = to_.constant(node.inputs[1]);
  if (source == nullptr || source->op_type != "DynamicQuantizeLinear" || product == nullptr || weight == nullptr)
    return std::nullopt;
  if (weight->shape.size() != 2 || node.inputs.size() < 3 || node.inputs[2] != source->outputs[2]) return std::nullopt;
  const Node* factor = producer(product->inputs[product->inputs[0] == cast->outputs[0] ? 1 : 0]);
  if (factor == nullptr || factor->op_type != "Mul") return std::nullopt;
  const std::string& scale = factor->inputs[factor->inputs[0] == source->outputs[1] ? 1 : 0];
  const TensorRecord* scales = to_.constant(scale);
  if (scales == nullptr || scales->shape.size() > 1) return std::nullopt;
  Node op;
  op.name = node.name;
  op.op_type = "DynamicQuantizeMatMul";
  op.domain = "com.microsoft";
  op.inputs = {source->inputs[0], weight->name, scale};
  op.outputs = product->outputs;
  if (node.inputs.size() > 3) op.inputs.push_back(node.inputs[3]);
  absorbed.insert({cast, product});
  if (const Node* sum = only_reader(product->outputs[0], "Add"); sum != nullptr) {
    const std::string& bias = sum->inputs[sum->inputs[0] == product->outputs[0] ? 1 : 0];
    const TensorRecord* record = to_.constant(bias);
    if (record != nullptr && record->shape == Shape{weight->shape[1]}) {
      op.inputs.resize(4);
      op.inputs.push_back(bias);
      op.outputs = sum->outputs;
      absorbed.insert(sum);
    }
  }
  return op;
}

}  // namespace bitwright
