#include "passes/coded_constant.h"

#include <algorithm>

#include "base/error.h"
#include "quant/quantize.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

bool is_small_float(Encoding encoding) {
  return encoding == Encoding::f8e4m3fn || encoding == Encoding::f8e5m2 || encoding == Encoding::f4e2m1;
}

DType small_float(Encoding encoding) {
  return encoding == Encoding::f8e4m3fn ? DType::f8e4m3fn : encoding == Encoding::f8e5m2 ? DType::f8e5m2 : DType::f4e2m1;
}

Tensor f32_tensor(Shape shape, const std::vector<float>& values) {
  return Tensor::of<float>(std::move(shape), std::span<const float>(values));
}

class Maker {
 public:
  Maker(const std::string& value, const EncodedTensor& made, const std::function<EncodedTensor()>& encode, DType dtype,
        std::int64_t opset, NameAllocator& names)
      : value_(value), made_(made), encode_(encode), dtype_(dtype), opset_(opset), names_(names) {}

  CodedConstant run() {
    const Encoding encoding = made_.scheme.encoding;
    if (encoding == Encoding::f16 || encoding == Encoding::bf16)
      cast(codes(encoding == Encoding::f16 ? DType::f16 : DType::bf16, made_.shape), dtype_);
    else if (has_dequantize_form(made_.scheme))
      dequantize();
    else
      look_up();
    result_.nodes.back().outputs[0] = value_;
    return std::move(result_);
  }

 private:
  std::string constant(const char* wish, DType dtype, Shape shape, Values values) {
    TensorRecord record;
    record.name = names_.fresh(value_ + wish);
    record.dtype = dtype;
    record.shape = std::move(shape);
    record.values = std::move(values);
    result_.records.push_back(std::move(record));
    return result_.records.back().name;
  }
  std::string constant(const char* wish, Tensor values) {
    const DType dtype = values.dtype();
    Shape shape = values.shape();
    return constant(wish, dtype, std::move(shape), std::move(values));
  }
  std::string integers(const char* wish, const std::vector<std::int64_t>& values) {
    return constant(wish,
                    Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, std::span<const std::int64_t>(values)));
  }
  /// Floats in the type of the result.
  std::string reals(const char* wish, Shape shape, const std::vector<float>& values) {
    if (dtype_ == DType::f32) return constant(wish, f32_tensor(std::move(shape), values));
    Tensor tensor(dtype_, std::move(shape));
    write_elements(tensor, 0, std::span<const float>(values));
    return constant(wish, std::move(tensor));
  }

  Node& add(const char* op_type, std::vector<std::string> inputs) {
    Node node;
    node.name = names_.fresh(concat({value_, "_", op_type}));
    node.op_type = op_type;
    node.inputs = std::move(inputs);
    node.outputs = {names_.fresh(concat({node.name, "_output"}))};
    result_.nodes.push_back(std::move(node));
    return result_.nodes.back();
  }
  std::string cast(const std::string& from, DType to) {
    Node& node = add("Cast", {from});
    node.set(Attribute::of_int("to", static_cast<std::int64_t>(to)));
    return node.outputs[0];
  }

  /// Values that hold what `from_codes` makes of the encoded tensor.
  Values generated(std::function<Tensor(const EncodedTensor&)> from_codes) const {
    if (!encode_) return from_codes(made_);
    return Generated{[encode = encode_, from_codes = std::move(from_codes)] { return from_codes(encode()); }};
  }

  /// The packed codes as they are.
  std::string codes(DType dtype, const Shape& shape) {
    return constant("_quantized", dtype, shape, generated([dtype, shape](const EncodedTensor& encoded) {
                      Tensor tensor(dtype, shape);
                      BITWRIGHT_ASSERT(tensor.size_bytes() == encoded.codes.size());
                      std::copy(encoded.codes.begin(), encoded.codes.end(), tensor.bytes().begin());
                      return tensor;
                    }));
  }

  /// Codes in elements of a type with at least as many bits.
  std::string wider_codes(DType dtype, const Shape& shape) {
    return constant("_quantized", dtype, shape, generated([dtype, shape](const EncodedTensor& encoded) {
                      const UnsetBytes packed = pack_codes(unpack_codes(encoded), dtype_bits(dtype));
                      Tensor tensor(dtype, shape);
                      BITWRIGHT_ASSERT(tensor.size_bytes() == packed.size());
                      std::copy(packed.begin(), packed.end(), tensor.bytes().begin());
                      return tensor;
                    }));
  }

  /// The axis of scales that are not one for all, and how many of its indices share one.
  struct Grain {
    std::int64_t axis = 0;
    std::int64_t size = 0;  // 0: one for all
    bool is_block = false;  // one for each position along the other axes
  };
  Grain grain() const {
    if (const auto* channel = std::get_if<PerChannel>(&made_.granularity)) return {channel->axis, 1, false};
    if (const auto* group = std::get_if<PerChannelGroup>(&made_.granularity)) return {group->axis, group->group_size, false};
    if (const auto* block = std::get_if<PerBlock>(&made_.granularity)) return {block->axis, block->block_size, true};
    if (std::holds_alternative<PerToken>(made_.granularity)) {
      const auto last = static_cast<std::int64_t>(made_.shape.size()) - 1;
      return {last, std::max<std::int64_t>(1, made_.shape.back()), true};
    }
    return {};
  }

  /// The shape of the scales as blocks have it: a token is a block as long as the last axis.
  Shape shape_of_scales() const {
    Shape shape = scale_shape(made_.granularity, made_.shape);
    if (std::holds_alternative<PerToken>(made_.granularity)) shape.push_back(1);
    return shape;
  }

  void dequantize() {
    const TensorScheme& scheme = made_.scheme;
    const Grain grain = this->grain();
    const bool is_uniform = scheme.encoding == Encoding::uniform;
    const DType dtype = is_uniform ? container_of(scheme.bits, made_.range.qmin < 0, opset_) : small_float(scheme.encoding);
    const std::string stored = dtype_bits(dtype) == scheme.bits ? codes(dtype, made_.shape) : wider_codes(dtype, made_.shape);
    Shape shape = shape_of_scales();
    std::vector<float> scales = made_.scales;
    std::vector<std::int64_t> zeros(made_.zero_points.begin(), made_.zero_points.end());
    if (!grain.is_block && grain.size > 1) {  // channel groups are no notion of ONNX
      shape = {made_.shape[static_cast<std::size_t>(grain.axis)]};
      const auto spread = [&](auto& values) {
        auto all = values;
        all.resize(static_cast<std::size_t>(shape[0]));
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = values[i / static_cast<std::size_t>(grain.size)];
        values = std::move(all);
      };
      spread(scales);
      if (!zeros.empty()) spread(zeros);
    }
    std::vector<std::string> inputs{stored, scale_input(shape, scales, grain)};
    if (is_uniform) {
      Tensor tensor(dtype, shape);
      write_elements(tensor, 0, std::span<const std::int64_t>(zeros));
      inputs.push_back(constant("_zero_point", std::move(tensor)));
    }
    Node& node = add("DequantizeLinear", std::move(inputs));
    if (scheme.scale_form == ScaleForm::e8m0) node.set(Attribute::of_int("output_dtype", static_cast<std::int64_t>(dtype_)));
    if (grain.size > 0) node.set(Attribute::of_int("axis", grain.axis));
    if (grain.is_block) node.set(Attribute::of_int("block_size", grain.size));
  }

  std::string scale_input(const Shape& shape, const std::vector<float>& scales, const Grain& grain) {
    const auto stored = [&](DType dtype) {
      Tensor tensor(dtype, shape);
      std::copy(made_.scale_codes.begin(), made_.scale_codes.end(), tensor.bytes().begin());
      return constant("_scale_quantized", std::move(tensor));
    };
    switch (made_.scheme.scale_form) {
      case ScaleForm::e8m0:
        return constant("_scale", DType::e8m0, shape, Tensor(DType::e8m0, shape, stored_codes(shape)));
      case ScaleForm::f8e4m3fn:
        return add("DequantizeLinear", {stored(DType::f8e4m3fn), reals("_super_scale", {}, made_.super_scales)}).outputs[0];
      case ScaleForm::u6: {
        if (!grain.is_block) break;
        Shape super = shape;
        super[static_cast<std::size_t>(grain.axis)] =
            (super[static_cast<std::size_t>(grain.axis)] + kBlocksOfSuperBlock - 1) / kBlocksOfSuperBlock;
        const std::string codes = stored(DType::u8);
        Node& node = add("DequantizeLinear", {codes, reals("_super_scale", super, made_.super_scales)});
        node.set(Attribute::of_int("axis", grain.axis));
        node.set(Attribute::of_int("block_size", kBlocksOfSuperBlock));
        return node.outputs[0];
      }
      default:
        break;
    }
    return reals("_scale", shape, scales);
  }
  static constexpr std::int64_t kBlocksOfSuperBlock = 8;

  std::shared_ptr<Buffer> stored_codes(const Shape& shape) const {
    Tensor tensor(DType::u8, shape);
    std::copy(made_.scale_codes.begin(), made_.scale_codes.end(), tensor.bytes().begin());
    return tensor.buffer();
  }

  /// For each index of the axis, which group it belongs to.
  std::string group_of_index(const Grain& grain) {
    std::vector<std::int64_t> groups(static_cast<std::size_t>(made_.shape[static_cast<std::size_t>(grain.axis)]));
    for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<std::int64_t>(i) / grain.size;
    return integers("_group", groups);
  }
  std::string gather(const std::string& values, const std::string& indices, std::int64_t axis) {
    Node& node = add("Gather", {values, indices});
    if (axis != 0) node.set(Attribute::of_int("axis", axis));
    return node.outputs[0];
  }
  std::string reshape(const std::string& value, const std::vector<std::int64_t>& shape) {
    const std::string target = integers("_shape", shape);
    return add("Reshape", {value, target}).outputs[0];
  }

  void look_up() {
    const TensorScheme& scheme = made_.scheme;
    const Grain grain = this->grain();
    if (scheme.encoding == Encoding::product) return look_up_vectors();
    const std::size_t n_entries = std::size_t{1} << scheme.bits;
    const bool has_own_levels = grain.size > 0 && made_.scales.empty();
    std::string result;
    if (!has_own_levels && 8 % scheme.bits == 0) {
      // A byte holds several codes: a table of all bytes gives their levels at once.
      const int per_byte = 8 / scheme.bits;
      std::vector<float> table;
      for (std::size_t byte = 0; byte < 256; ++byte)
        for (int i = 0; i < per_byte; ++i) {
          const std::size_t code = (byte >> (i * scheme.bits)) % n_entries;
          table.push_back(code < made_.levels.size() ? made_.levels[code] : 0.0f);
        }
      const std::int64_t n = made_.n_codes(), n_bytes = (n + per_byte - 1) / per_byte;
      const std::string indices = cast(codes(DType::u8, {n_bytes}), DType::i32);
      result = gather(reals("_levels", {256, per_byte}, table), indices, 0);
      if (n_bytes * per_byte != n) {
        result = reshape(result, {n_bytes * per_byte});
        result = gather(result, range(n), 0);
      }
      result = reshape(result, made_.shape);
    } else {
      const DType container = container_of(scheme.bits, false, opset_);
      std::string indices = wider_codes(container, made_.shape);
      if (container != DType::u8) indices = add("DequantizeLinear", {indices, constant("_one", Tensor::scalar(1.0f))}).outputs[0];
      indices = cast(indices, DType::i32);
      if (has_own_levels) indices = add("Add", {indices, first_levels(grain)}).outputs[0];
      result = gather(reals("_levels", {static_cast<std::int64_t>(made_.levels.size())}, made_.levels), indices, 0);
    }
    if (made_.scales.empty()) return;
    std::string scale;
    if (grain.size == 0)
      scale = reals("_scale", {}, made_.scales);
    else if (grain.is_block)
      scale = gather(reals("_scale", shape_of_scales(), made_.scales), group_of_index(grain), grain.axis);
    else
      scale = channel_values(grain);
    add("Mul", {result, scale});
  }

  std::string range(std::int64_t n) {
    return constant("_range", DType::i64, {n}, Generated{[n] {
                      Tensor tensor(DType::i64, {n});
                      for (std::int64_t i = 0; i < n; ++i) tensor.data<std::int64_t>()[static_cast<std::size_t>(i)] = i;
                      return tensor;
                    }});
  }

  /// One scale for each channel, in the shape that multiplies.
  std::string channel_values(const Grain& grain) {
    Shape shape(made_.shape.size(), 1);
    std::vector<float> all(static_cast<std::size_t>(made_.shape[static_cast<std::size_t>(grain.axis)]));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = made_.scales[i / static_cast<std::size_t>(grain.size)];
    shape[static_cast<std::size_t>(grain.axis)] = static_cast<std::int64_t>(all.size());
    return reals("_scale", shape, all);
  }

  /// Where the levels of each element's group begin, in a shape that broadcasts.
  std::string first_levels(const Grain& grain) {
    const Shape groups = shape_of_scales();
    const auto n_groups = static_cast<std::size_t>(n_elements(groups));
    const std::size_t n_levels = made_.levels.size() / n_groups;
    Tensor first(DType::i32, groups);
    for (std::size_t g = 0; g < n_groups; ++g) first.data<std::int32_t>()[g] = static_cast<std::int32_t>(g * n_levels);
    if (grain.is_block) return gather(constant("_first_level", std::move(first)), group_of_index(grain), grain.axis);
    Shape shape(made_.shape.size(), 1);
    Tensor all(DType::i32, {made_.shape[static_cast<std::size_t>(grain.axis)]});
    for (std::size_t i = 0; i < static_cast<std::size_t>(all.n_elements()); ++i)
      all.data<std::int32_t>()[i] = first.data<std::int32_t>()[i / static_cast<std::size_t>(grain.size)];
    shape[static_cast<std::size_t>(grain.axis)] = all.n_elements();
    return constant("_first_level", all.reshaped(shape));
  }

  /// product: a code stands for sub_vector elements along the axis; each column group has entries of its own.
  void look_up_vectors() {
    const TensorScheme& scheme = made_.scheme;
    const std::int64_t axis = std::get<PerBlock>(made_.granularity).axis, length = scheme.sub_vector;
    const auto at = static_cast<std::size_t>(axis);
    Shape shape = scale_shape(made_.granularity, made_.shape);  // of the codes
    const std::int64_t n_sub = shape[at];
    std::string indices = cast(wider_codes(DType::u8, shape), DType::i32);
    if (scheme.column_group > 0 && scheme.column_group < n_sub) {
      Shape along(shape.size(), 1);
      along[at] = n_sub;
      Tensor first(DType::i32, along);
      for (std::int64_t s = 0; s < n_sub; ++s)
        first.data<std::int32_t>()[static_cast<std::size_t>(s)] =
            static_cast<std::int32_t>(s / scheme.column_group * scheme.n_entries);
      indices = add("Add", {indices, constant("_first_entry", std::move(first))}).outputs[0];
    }
    const auto n_vectors = static_cast<std::int64_t>(made_.levels.size()) / length;
    std::string result = gather(reals("_levels", {n_vectors, length}, made_.levels), indices, 0);
    if (at + 1 != shape.size()) {
      std::vector<std::int64_t> perm;
      for (std::size_t i = 0; i < shape.size(); ++i) {
        perm.push_back(static_cast<std::int64_t>(i));
        if (i == at) perm.push_back(static_cast<std::int64_t>(shape.size()));
      }
      Node& node = add("Transpose", {result});
      node.set(Attribute::of_ints("perm", perm));
      result = node.outputs[0];
    }
    shape[at] = n_sub * length;
    result = reshape(result, shape);
    if (shape != made_.shape) gather(result, range(made_.shape[at]), axis);
  }

  const std::string& value_;
  const EncodedTensor& made_;
  const std::function<EncodedTensor()>& encode_;
  DType dtype_;
  std::int64_t opset_;
  NameAllocator& names_;
  CodedConstant result_;
};

}  // namespace

bool has_dequantize_form(const TensorScheme& scheme) {
  return scheme.encoding == Encoding::uniform || is_small_float(scheme.encoding);
}

DType container_of(int bits, bool is_signed, std::int64_t opset) {
  if (bits <= 2 && opset >= 25) return is_signed ? DType::i2 : DType::u2;
  if (bits <= 4 && opset >= 21) return is_signed ? DType::i4 : DType::u4;
  if (bits <= 8) return is_signed ? DType::i8 : DType::u8;
  return is_signed ? DType::i16 : DType::u16;
}

CodedConstant coded_constant(const std::string& value, const EncodedTensor& made, const std::function<EncodedTensor()>& encode,
                             DType dtype, std::int64_t opset, NameAllocator& names) {
  return Maker(value, made, encode, dtype, opset, names).run();
}

}  // namespace bitwright
