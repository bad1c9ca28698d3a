#include "convert.h"

#include <cstring>

#include "base/error.h"
#include "base/xxh64.h"
#include "convert_scheme.h"
#include "quant/encodings/encoding.h"

namespace bitwright::bindings {

using emscripten::typed_memory_view;

val to_js(const std::string& text) { return val(text); }

val to_js(const std::vector<std::string>& texts) {
  return to_js_list(texts, [](const std::string& text) { return to_js(text); });
}

val to_js(const Shape& shape) {
  return to_js_list(shape, [](std::int64_t extent) { return val(static_cast<double>(extent)); });
}

namespace {

template <typename T>
val copied(std::span<const T> values) {
  // slice copies out of the heap: a view would die with the next growth.
  return val(typed_memory_view(values.size(), values.data())).template call<val>("slice");
}

val data_of(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f32:
      return copied(tensor.data<float>());
    case DType::f64:
      return copied(tensor.data<double>());
    case DType::i64:
      return copied(tensor.data<std::int64_t>());
    case DType::u64:
      return copied(tensor.data<std::uint64_t>());
    case DType::i32:
      return copied(tensor.data<std::int32_t>());
    case DType::u32:
      return copied(tensor.data<std::uint32_t>());
    case DType::i16:
      return copied(tensor.data<std::int16_t>());
    case DType::u16:
    case DType::f16:
    case DType::bf16:
      return copied(tensor.data<std::uint16_t>());
    case DType::i8:
      return copied(tensor.data<std::int8_t>());
    case DType::string:
      throw_error(ErrorCode::unsupported, {"tensors of strings do not cross to JavaScript"});
    default:
      return copied(tensor.bytes());
  }
}

}  // namespace

val to_js(const Tensor& tensor) {
  Object object;
  object.set("dtype", to_js(std::string(dtype_name(tensor.dtype()))));
  object.set("shape", to_js(tensor.shape()));
  object.set("data", data_of(tensor));
  return object;
}

val to_js(const Tensor& tensor, const Object& reused) {
  const auto n_bytes = static_cast<double>(tensor.size_bytes());
  const val& array = reused;
  if (!val::global("ArrayBuffer").call<bool>("isView", array) || reused.number("byteLength") != n_bytes) return to_js(tensor);
  Object object;
  object.set("dtype", to_js(std::string(dtype_name(tensor.dtype()))));
  object.set("shape", to_js(tensor.shape()));
  val::global("Uint8Array")
      .new_(reused["buffer"], reused["byteOffset"], reused["byteLength"])
      .call<void>("set", val(typed_memory_view(tensor.bytes().size(), tensor.bytes().data())));
  object.set("data", static_cast<const val&>(reused));
  return object;
}

void NamedEntries::add(const std::string& name, const val& value) {
  val entry = val::array();
  entry.set(0, to_js(name));
  entry.set(1, value);
  entries_.set(n_++, entry);
}

val NamedEntries::object() const { return val::global("Object").call<val>("fromEntries", entries_); }

val to_js(const std::map<std::string, Tensor>& tensors) {
  NamedEntries entries;
  for (const auto& [name, tensor] : tensors) entries.add(name, to_js(tensor));
  return entries.object();
}

val to_js(const ValueInfo& info) {
  Object object;
  object.set("name", to_js(info.name));
  object.set("dtype", to_js(std::string(dtype_name(info.dtype))));
  object.set("shape", info.has_shape ? to_js(info.shape) : val::null());
  object.set("dimNames", to_js(info.dim_params));
  return object;
}

std::string string_from(const val& text) { return text.as<std::string>(); }

std::vector<std::string> strings_from(const Object& list) {
  std::vector<std::string> texts;
  const auto n = list.count("length");
  for (unsigned i = 0; i < n; ++i) texts.push_back(string_from(list[i]));
  return texts;
}

namespace {

constexpr std::size_t kCopiedPieceBytes = std::size_t{1} << 19;
constexpr std::uint64_t kReadPieceBytes = std::uint64_t{4} << 20;

void copy_bytes(const Object& typed_array, std::span<std::uint8_t> out) {
  const val source = val::global("Uint8Array").new_(typed_array["buffer"], typed_array["byteOffset"], typed_array["byteLength"]);
  val(typed_memory_view(out.size(), out.data())).call<void>("set", source);
}

}  // namespace

std::vector<std::uint8_t> bytes_from(const Object& typed_array) {
  std::vector<std::uint8_t> bytes(typed_array.count("byteLength"));
  copy_bytes(typed_array, bytes);
  return bytes;
}

Tensor tensor_from(const Object& object, const std::string& name) {
  const std::string word = object.text("dtype");
  const auto dtype = dtype_from_name(word);
  if (!dtype || *dtype == DType::string)
    throw_error(ErrorCode::invalid_argument,
                {"tensor ", in_quotes(name), ": the element type ", in_quotes(word), " is not known"});
  Shape shape;
  const Object extents = object["shape"];
  const auto rank = extents.count("length");
  for (unsigned i = 0; i < rank; ++i) {
    const auto extent = extents[i].as<double>();
    if (!(extent >= 0.0) || extent > static_cast<double>(kMaxElements) ||
        extent != static_cast<double>(static_cast<std::int64_t>(extent)))
      throw_error(ErrorCode::invalid_argument, {"tensor ", in_quotes(name), ": the shape has an extent that is not a count"});
    shape.push_back(static_cast<std::int64_t>(extent));
  }
  const Object data = object["data"];
  const auto n_bytes = data.number("byteLength");
  const std::uint64_t expected = packed_bytes(*dtype, static_cast<std::uint64_t>(n_elements(shape)));
  if (n_bytes != static_cast<double>(expected))
    throw_error(ErrorCode::invalid_argument, {"tensor ", in_quotes(name), ": ", word, shape, " needs ", expected, " bytes, ",
                                              static_cast<std::uint64_t>(n_bytes), " were given"});
  Tensor tensor(*dtype, shape);
  copy_bytes(data, tensor.bytes());
  return tensor;
}

bool copy_into(const Object& object, Tensor& tensor) {
  const Object shape = object["shape"], data = object["data"];
  if (object.text("dtype") != dtype_name(tensor.dtype()) || shape.count("length") != tensor.rank()) return false;
  for (unsigned axis = 0; axis < tensor.rank(); ++axis)
    if (shape[axis].as<double>() != static_cast<double>(tensor.extent(axis))) return false;
  if (data.number("byteLength") != static_cast<double>(tensor.size_bytes())) return false;
  copy_bytes(data, tensor.bytes());
  return true;
}

std::map<std::string, Tensor> tensors_from(const Object& object) {
  std::map<std::string, Tensor> tensors;
  const val names = val::global("Object").call<val>("keys", static_cast<const val&>(object));
  for (const std::string& name : strings_from(names)) tensors.emplace(name, tensor_from(object.val::operator[](name), name));
  return tensors;
}

SessionOptions session_options_from(const Object& object) {
  static constexpr std::string_view kFamilies[] = {"reference", "simd128", "usdot", "sdot"};
  SessionOptions options;
  options.n_threads = static_cast<int>(object.number("threads"));
  const std::string arithmetic = object.text("arithmetic"), kernels = object.text("kernels");
  options.arithmetic = arithmetic == "fast"           ? SessionArithmetic::fast
                       : arithmetic == "integer_only" ? SessionArithmetic::integer_only
                                                      : SessionArithmetic::simulated;
  options.is_deterministic = options.arithmetic != SessionArithmetic::fast;
  for (std::size_t i = 0; i < std::size(kFamilies); ++i)
    if (kernels == kFamilies[i]) options.family = static_cast<KernelFamily>(i);
  return options;
}

namespace {

[[noreturn]] void bad_word(const char* key, const std::string& word) {
  throw_error(ErrorCode::bad_recipe, {"recipe: ", key, " is ", in_quotes(word), ", which the core does not know"});
}

TensorScheme scheme_from(const Object& object) {
  TensorScheme scheme;
  const std::string word = object.text("dtype");
  const auto dtype = dtype_from_name(word);
  if (!dtype) bad_word("dtype", word);
  scheme.dtype = *dtype;
  scheme.is_symmetric = object.truth("symmetric");
  scheme.narrow_range = object.truth("narrowRange");
  scheme.grain = grain_from(object.text("granularity"));
  scheme.block_size = static_cast<int>(object.number("blockSize"));
  return scheme_input_from(object["overrides"], object.text("scheme"), &scheme);
}

}  // namespace

Recipe recipe_from(const Object& object, const std::string& canonical_json) {
  Recipe recipe;
  const std::string mode = object.text("mode");
  if (mode == "static")
    recipe.mode = QuantMode::static_;
  else if (mode == "dynamic")
    recipe.mode = QuantMode::dynamic;
  else if (mode == "weight_only")
    recipe.mode = QuantMode::weight_only;
  else if (mode == "float16")
    recipe.mode = QuantMode::float16;
  else
    bad_word("mode", mode);
  const std::string target = object.text("target");
  if (target == "onnxruntime-web")
    recipe.target = Target::onnxruntime_web;
  else if (target == "onnxruntime")
    recipe.target = Target::onnxruntime;
  else if (target == "portable")
    recipe.target = Target::portable;
  else
    bad_word("target", target);
  const std::string format = object.text("format");
  if (format != "qdq" && format != "qoperator") bad_word("format", format);
  recipe.format = format == "qdq" ? QuantFormat::qdq : QuantFormat::qoperator;
  recipe.activation = scheme_from(object["activation"]);
  recipe.weight = scheme_from(object["weight"]);
  const Object calibration = object["calibration"];
  recipe.calibration.method = calibration_method_from(calibration.text("method"));
  recipe.calibration.moving_average_rate = calibration.number("movingAverageRate");
  recipe.calibration.percentile = calibration.number("percentile");
  recipe.calibration.n_bins = static_cast<int>(calibration.number("bins"));
  recipe.include = strings_from(object["include"]);
  recipe.exclude = strings_from(object["exclude"]);
  const Object float16 = object["float16"];
  recipe.float16_weights_only = float16.truth("weightsOnly");
  recipe.float16_keep_io = float16.truth("keepIo");
  recipe.float16_block_list = strings_from(float16["blockList"]);
  recipe.float16_rest = float16.truth("rest");
  recipe.fold_batch_norm = object.truth("foldBatchNorm");
  if (const val masks = object["roundingMasks"]; !masks.isUndefined()) recipe.rounding_masks = tensors_from(masks);
  recipe.canonical_json = canonical_json;
  return recipe;
}

ImageSpec image_spec_from(const Object& object) {
  ImageSpec spec;
  spec.resize_shorter = object.whole("resize");
  spec.crop_width = object.whole("cropWidth");
  spec.crop_height = object.whole("cropHeight");
  spec.resampling = object.text("resampling") == "bilinear" ? Resampling::bilinear : Resampling::bicubic;
  const std::string color = object.text("color");
  spec.color = color == "bgr" ? ColorOrder::bgr : color == "grey" ? ColorOrder::grey : ColorOrder::rgb;
  spec.layout = object.text("layout") == "nhwc" ? ImageLayout::nhwc : ImageLayout::nchw;
  spec.scale = object.number("scale");
  const Object mean = object["mean"];
  const Object deviation = object["std"];
  for (unsigned c = 0; c < 3; ++c) {
    spec.mean[c] = mean[c].as<double>();
    spec.std[c] = deviation[c].as<double>();
  }
  return spec;
}

namespace {

/// Bytes that were copied in, without zeroing the memory first; each piece is hashed while it lies in the cache.
class CopiedSource final : public HashedSource {
 public:
  CopiedSource(const Object& typed_array, std::string name)
      : size_bytes_(typed_array.count("byteLength")), bytes_(new std::uint8_t[size_bytes_]), name_(std::move(name)) {
    for (std::size_t offset = 0; offset < size_bytes_; offset += kCopiedPieceBytes) {
      const std::span<std::uint8_t> piece(bytes_.get() + offset, std::min(kCopiedPieceBytes, size_bytes_ - offset));
      copy_bytes(typed_array.call<val>("subarray", offset, offset + piece.size()), piece);
      hash_.add(piece);
    }
  }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  std::span<const std::uint8_t> in_memory() const override { return {bytes_.get(), size_bytes_}; }
  std::string name() const override { return name_; }
  std::string xxh64() const override { return hash_.hex(); }

 protected:
  void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    std::memcpy(out.data(), bytes_.get() + offset, out.size());
  }

 private:
  std::size_t size_bytes_;
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::string name_;
  Xxh64 hash_;
};

class JsSource final : public HashedSource {
 public:
  JsSource(val object, std::string name, std::uint64_t size_bytes)
      : object_(std::move(object)), name_(std::move(name)), size_bytes_(size_bytes) {}
  std::uint64_t size_bytes() const override { return size_bytes_; }
  std::string name() const override { return name_; }
  std::string xxh64() const override {
    Xxh64 hash;
    std::vector<std::uint8_t> piece(static_cast<std::size_t>(std::min<std::uint64_t>(kReadPieceBytes, size_bytes_)));
    for (std::uint64_t offset = 0; offset < size_bytes_; offset += piece.size()) {
      const std::span<std::uint8_t> part(piece.data(),
                                         static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), size_bytes_ - offset)));
      read(offset, part);
      hash.add(part);
    }
    return hash.hex();
  }

 protected:
  void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    const val problem = object_.call<val>("read", static_cast<double>(offset), val(typed_memory_view(out.size(), out.data())));
    if (const std::string text = string_from(problem); !text.empty())
      throw_error(ErrorCode::io_failed, {name_, ": ", text}, name_);
  }

 private:
  val object_;
  std::string name_;
  std::uint64_t size_bytes_;
};

class JsSink final : public ByteSink {
 public:
  explicit JsSink(val object) : object_(std::move(object)) { gathered_.reserve(kPieceBytes); }
  /// Small writes are gathered: every call across the border costs.
  void write(std::span<const std::uint8_t> bytes) override {
    if (gathered_.size() + bytes.size() > kPieceBytes || bytes.size() >= kDirectBytes) flush();
    if (bytes.size() >= kDirectBytes)
      hand_over(bytes);
    else
      gathered_.insert(gathered_.end(), bytes.begin(), bytes.end());
  }
  void flush() override {
    if (!gathered_.empty()) hand_over(gathered_);
    gathered_.clear();
  }

 private:
  static constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  static constexpr std::size_t kDirectBytes = std::size_t{1} << 16;  // a call takes less time than copying these
  void hand_over(std::span<const std::uint8_t> bytes) {
    const val problem = object_.call<val>("write", val(typed_memory_view(bytes.size(), bytes.data())));
    if (const std::string text = string_from(problem); !text.empty()) throw_error(ErrorCode::io_failed, {text});
  }

  val object_;
  std::vector<std::uint8_t> gathered_;
};

class JsExternalData final : public ExternalData {
 public:
  explicit JsExternalData(val open) : open_(std::move(open)) {}
  std::shared_ptr<ByteSource> open(const std::string& name) override {
    if (const auto known = sources_.find(name); known != sources_.end()) return known->second;
    const val object = open_(to_js(name));
    const std::shared_ptr<ByteSource> source = object.isNull() || object.isUndefined() ? nullptr : source_from(object);
    sources_.emplace(name, source);
    return source;
  }

 private:
  val open_;
  std::map<std::string, std::shared_ptr<ByteSource>> sources_;
};

}  // namespace

std::shared_ptr<HashedSource> source_from(const Object& object) {
  const std::string name = object.text("name");
  const auto size_bytes = static_cast<std::uint64_t>(object.number("sizeBytes"));
  const val bytes = object["bytes"];
  if (!bytes.isUndefined() && !bytes.isNull()) return std::make_shared<CopiedSource>(bytes, name);
  return std::make_shared<JsSource>(object, name, size_bytes);
}

std::unique_ptr<ExternalData> external_data_from(const val& open) { return std::make_unique<JsExternalData>(open); }

std::unique_ptr<ByteSink> sink_from(const val& object) { return std::make_unique<JsSink>(object); }

OnProgress progress_from(const val& function) {
  return [function](const Progress& progress) {
    const val goes_on = function(to_js(progress.stage), static_cast<double>(progress.done), static_cast<double>(progress.total));
    if (!goes_on.as<bool>()) throw_error(ErrorCode::aborted, {"cancelled by the caller"});
  };
}

}  // namespace bitwright::bindings
