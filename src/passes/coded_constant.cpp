#include "passes/coded_constant.h"

#include <algorithm>
#include <numeric>

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
        std::int64_t opset, NameAllocator& names, Target target)
      : value_(value),
        made_(made),
        encode_(encode),
        dtype_(dtype),
        opset_(opset),
        names_(names),
        target_(target),
        scale_form_(made.scheme.scale_form == ScaleForm::e8m0 && target != Target::portable ? ScaleForm::f32
                                                                                            : made.scheme.scale_form) {}

  CodedConstant run() {
    const Encoding encoding = made_.scheme.encoding;
    if (encoding == Encoding::f16 || encoding == Encoding::bf16)
      cast(codes(encoding == Encoding::f16 ? DType::f16 : DType::bf16, made_.shape), dtype_);
    else if (has_dequantize_form(made_.scheme, target_))
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
  std::string integers(const char* wish, DType dtype, const std::vector<std::int64_t>& values) {
    Tensor tensor(dtype, {static_cast<std::int64_t>(values.size())});
    write_elements(tensor, 0, std::span<const std::int64_t>(values));
    return constant(wish, std::move(tensor));
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
    node.outputs = {node.name};
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

  /// The packed codes as they are, followed by zeros where the shape has room for more.
  std::string codes(DType dtype, const Shape& shape) {
    return constant("_quantized", dtype, shape, generated([dtype, shape](const EncodedTensor& encoded) {
                      Tensor tensor(dtype, shape);
                      BITWRIGHT_ASSERT(tensor.size_bytes() >= encoded.codes.size());
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
    if (scale_form_ == ScaleForm::e8m0) node.set(Attribute::of_int("output_dtype", static_cast<std::int64_t>(dtype_)));
    if (grain.size > 0) node.set(Attribute::of_int("axis", grain.axis));
    if (grain.is_block) node.set(Attribute::of_int("block_size", grain.size));
  }

  std::string plain_scales(const Shape& shape, const std::vector<float>& scales) {
    if (made_.scheme.scale_form != ScaleForm::f16 || dtype_ == DType::f16) return reals("_scale", shape, scales);
    Tensor tensor(DType::f16, shape);
    write_elements(tensor, 0, std::span<const float>(scales));
    const std::string halves = constant("_scale", std::move(tensor));
    return cast(halves, dtype_);
  }

  std::string scale_input(const Shape& shape, const std::vector<float>& scales, const Grain& grain) {
    const auto stored = [&](DType dtype) {
      Tensor tensor(dtype, shape);
      std::copy(made_.scale_codes.begin(), made_.scale_codes.end(), tensor.bytes().begin());
      return constant("_scale_quantized", std::move(tensor));
    };
    switch (scale_form_) {
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
    return plain_scales(shape, scales);
  }
  static constexpr std::int64_t kBlocksOfSuperBlock = 8;

  std::shared_ptr<Buffer> stored_codes(const Shape& shape) const {
    Tensor tensor(DType::u8, shape);
    std::copy(made_.scale_codes.begin(), made_.scale_codes.end(), tensor.bytes().begin());
    return tensor.buffer();
  }

  std::string gather(const std::string& values, const std::string& indices) {
    return add("Gather", {values, indices}).outputs[0];
  }
  std::string reshape(const std::string& value, const Shape& shape) {
    const std::string target = integers("_shape", DType::i64, shape);
    return add("Reshape", {value, target}).outputs[0];
  }
  /// The first `n` along an axis.
  std::string first(const std::string& value, std::int64_t n, std::int64_t axis) {
    const std::string from = integers("_from", DType::i64, {0}), to = integers("_to", DType::i64, {n});
    const std::string along = integers("_axis", DType::i64, {axis});
    return add("Slice", {value, from, to, along}).outputs[0];
  }
  /// 1, 2^bits, 2^(2 bits) ...
  std::string powers(DType dtype, int bits, int n) {
    std::vector<std::int64_t> values;
    for (int i = 0; i < n; ++i) values.push_back(std::int64_t{1} << (i * bits));
    return integers("_powers", dtype, values);
  }

  /// Of unpacked codes: what holds as many bytes as make whole codes.
  DType index_type() const { return made_.scheme.bits == 5 || made_.scheme.bits == 7 ? DType::i64 : DType::i32; }

  /// The codes as integers of this shape. As many bytes as hold whole codes make one number, of which each code is a digit.
  std::string unpacked(const Shape& shape) {
    const int bits = made_.scheme.bits, common = std::gcd(bits, 8), n_bytes = bits / common, n_codes = 8 / common;
    if (n_codes == 1) return cast(codes(DType::u8, shape), DType::i32);
    const std::int64_t n = n_elements(shape), rows = (n + n_codes - 1) / n_codes;
    const DType dtype = index_type();
    std::string result = cast(codes(DType::u8, {rows, n_bytes}), dtype);
    if (n_bytes > 1) {
      result = add("Mul", {result, powers(dtype, 8, n_bytes)}).outputs[0];
      result = add("ReduceSum", {result, integers("_axis", DType::i64, {1})}).outputs[0];
    }
    result = add("Div", {result, powers(dtype, bits, n_codes)}).outputs[0];
    result = add("Mod", {result, integers("_base", dtype, {std::int64_t{1} << bits})}).outputs[0];
    if (rows * n_codes != n) result = first(reshape(result, {-1}), n, 0);
    return reshape(result, shape);
  }

  /// One value for each block, as one for each element along the axis. `value` has the shape of the scales with an axis of 1 behind
  /// that of the blocks.
  std::string spread(std::string value, const Grain& grain) {
    const auto at = static_cast<std::size_t>(grain.axis);
    Shape shape = shape_of_scales();
    const std::int64_t n_blocks = shape[at], size = std::min(grain.size, made_.shape[at]);
    shape.insert(shape.begin() + grain.axis + 1, size);
    const std::string target = integers("_shape", DType::i64, shape);
    value = add("Expand", {value, target}).outputs[0];
    shape.erase(shape.begin() + grain.axis + 1);
    shape[at] = n_blocks * size;
    value = reshape(value, shape);
    return shape[at] == made_.shape[at] ? value : first(value, made_.shape[at], grain.axis);
  }
  Shape shape_to_spread(const Grain& grain) const {
    Shape shape = shape_of_scales();
    shape.insert(shape.begin() + grain.axis + 1, 1);
    return shape;
  }

  void look_up() {
    const Grain grain = this->grain();
    if (made_.scheme.encoding == Encoding::product) return look_up_vectors();
    const bool has_own_levels = grain.size > 0 && made_.scales.empty();
    std::string indices = unpacked(made_.shape);
    if (has_own_levels) indices = add("Add", {indices, first_levels(grain)}).outputs[0];
    const std::string result = gather(has_own_levels && !made_.alphas.empty() ? sums_of_alphas() : flat_levels(), indices);
    if (made_.scales.empty()) return;
    std::string scale;
    if (grain.size == 0)
      scale = plain_scales({}, made_.scales);
    else if (grain.is_block)
      scale = spread(block_scales(shape_to_spread(grain)), grain);
    else
      scale = channel_scales(grain);
    add("Mul", {result, scale});
  }

  std::string flat_levels() { return reals("_levels", {static_cast<std::int64_t>(made_.levels.size())}, made_.levels); }

  /// binary_code: the levels of each group, made of what they are sums of.
  std::string sums_of_alphas() {
    const int n_planes = made_.scheme.bits;
    const std::int64_t n_levels = std::int64_t{1} << n_planes;
    std::vector<float> signs;
    for (int p = 0; p < n_planes; ++p)
      for (std::int64_t c = 0; c < n_levels; ++c) signs.push_back((c >> p & 1) != 0 ? 1.0f : -1.0f);
    const std::string alphas =
        constant("_alphas", f32_tensor({static_cast<std::int64_t>(made_.alphas.size()) / n_planes, n_planes}, made_.alphas));
    const std::string table = constant("_signs", f32_tensor({n_planes, n_levels}, signs));
    const std::string levels = reshape(add("MatMul", {alphas, table}).outputs[0], {-1});
    return dtype_ == DType::f32 ? levels : cast(levels, dtype_);
  }

  /// Where a code of 8 bits gives the scale, a table of what it stands for is smaller than scales.
  std::string block_scales(const Shape& shape) {
    const std::vector<std::uint8_t>& codes = made_.scale_codes;
    if (codes.empty() || made_.super_scales.size() > 1) return plain_scales(shape, made_.scales);
    std::vector<float> table(std::size_t{*std::max_element(codes.begin(), codes.end())} + 1, 1.0f);
    for (std::size_t i = 0; i < codes.size(); ++i) table[codes[i]] = made_.scales[i];
    Tensor tensor(DType::u8, shape);
    std::copy(codes.begin(), codes.end(), tensor.bytes().begin());
    const std::string indices = cast(constant("_scale_quantized", std::move(tensor)), DType::i32);
    return gather(reals("_scales", {static_cast<std::int64_t>(table.size())}, table), indices);
  }

  /// One scale for each channel, in the shape that multiplies.
  std::string channel_scales(const Grain& grain) {
    std::vector<float> all(static_cast<std::size_t>(made_.shape[static_cast<std::size_t>(grain.axis)]));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = made_.scales[i / static_cast<std::size_t>(grain.size)];
    return plain_scales(shape_of_channels(grain), all);
  }
  Shape shape_of_channels(const Grain& grain) const {
    Shape shape(made_.shape.size(), 1);
    shape[static_cast<std::size_t>(grain.axis)] = made_.shape[static_cast<std::size_t>(grain.axis)];
    return shape;
  }

  /// Where the levels of each element's group begin, in a shape that broadcasts.
  std::string first_levels(const Grain& grain) {
    const std::int64_t n_levels = made_.scheme.n_entries;
    if (grain.is_block) {
      const auto scalar = [&](std::int64_t value) {
        Tensor tensor(index_type(), {});
        write_elements(tensor, 0, std::span<const std::int64_t>(&value, 1));
        return constant("_level", std::move(tensor));
      };
      const std::string from = scalar(0), to = scalar(static_cast<std::int64_t>(made_.levels.size())), step = scalar(n_levels);
      return spread(reshape(add("Range", {from, to, step}).outputs[0], shape_to_spread(grain)), grain);
    }
    std::vector<std::int64_t> all(static_cast<std::size_t>(made_.shape[static_cast<std::size_t>(grain.axis)]));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i) / grain.size * n_levels;
    return reshape(integers("_first_level", index_type(), all), shape_of_channels(grain));
  }

  /// product: a code stands for sub_vector elements along the axis; each column group has entries of its own.
  void look_up_vectors() {
    const TensorScheme& scheme = made_.scheme;
    const std::int64_t axis = std::get<PerBlock>(made_.granularity).axis, length = scheme.sub_vector;
    const auto at = static_cast<std::size_t>(axis);
    Shape shape = scale_shape(made_.granularity, made_.shape);  // of the codes
    const std::int64_t n_sub = shape[at];
    std::string indices = unpacked(shape);
    if (scheme.column_group > 0 && scheme.column_group < n_sub) {
      Shape along(shape.size(), 1);
      along[at] = n_sub;
      std::vector<std::int64_t> entries(static_cast<std::size_t>(n_sub));
      for (std::int64_t s = 0; s < n_sub; ++s) entries[static_cast<std::size_t>(s)] = s / scheme.column_group * scheme.n_entries;
      indices = add("Add", {indices, reshape(integers("_first_entry", index_type(), entries), along)}).outputs[0];
    }
    const auto n_vectors = static_cast<std::int64_t>(made_.levels.size()) / length;
    std::string result = gather(reals("_levels", {n_vectors, length}, made_.levels), indices);
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
    if (shape != made_.shape) first(result, made_.shape[at], axis);
  }

  const std::string& value_;
  const EncodedTensor& made_;
  const std::function<EncodedTensor()>& encode_;
  DType dtype_;
  std::int64_t opset_;
  NameAllocator& names_;
  Target target_;
  ScaleForm scale_form_;  // in the file
  CodedConstant result_;
};

}  // namespace

bool has_dequantize_form(const TensorScheme& scheme, Target target) {
  if (scheme.encoding == Encoding::f4e2m1) return target == Target::portable;
  return scheme.encoding == Encoding::uniform || is_small_float(scheme.encoding);
}

DType container_of(int bits, bool is_signed, std::int64_t opset) {
  if (bits <= 2 && opset >= 25) return is_signed ? DType::i2 : DType::u2;
  if (bits <= 4 && opset >= 21) return is_signed ? DType::i4 : DType::u4;
  if (bits <= 8) return is_signed ? DType::i8 : DType::u8;
  return is_signed ? DType::i16 : DType::u16;
}

CodedConstant coded_constant(const std::string& value, const EncodedTensor& made, const std::function<EncodedTensor()>& encode,
                             DType dtype, std::int64_t opset, NameAllocator& names, Target target) {
  return Maker(value, made, encode, dtype, opset, names, target).run();
}

}  // namespace bitwright
