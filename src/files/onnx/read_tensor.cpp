#include <charconv>
#include <map>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "files/onnx/fields.h"
#include "files/onnx/reader.h"
#include "model/limits.h"

namespace bitwright::onnx {

namespace {

using namespace tensor_proto;

constexpr std::int64_t kExternal = 1;  // TensorProto.DataLocation

/// A TensorProto, its values only located and counted.
struct TensorFields {
  std::int64_t data_type = 0;
  std::optional<TextPart> raw;
  std::map<std::uint32_t, std::uint64_t> typed_counts;  // by field number
  /// Where the values of the one packed field begin; its bytes are the raw values for floats and doubles.
  TextPart last_packed;
  std::uint64_t n_typed_fields = 0;
  std::vector<std::pair<std::string, std::string>> external;
  std::int64_t data_location = 0;
  bool has_segment = false;
};

class TensorReader {
 public:
  TensorReader(ReadContext& context, std::span<const TextPart> parts, const std::string& owner)
      : context_(context), parts_(parts), owner_(owner) {}

  TensorRecord read() {
    for (const TextPart& part : parts_) {
      MessageReader reader(context_.window, "TensorProto", part.offset, part.n_bytes);
      while (reader.next()) read_field(reader);
    }
    if (fields_.has_segment) refuse("it is one segment of a tensor, which is not supported; store it whole");
    if (parts_.size() == 1) {
      record_.origin = SourceRange{context_.window.source(), parts_[0].offset, parts_[0].n_bytes};
      record_.is_untouched = true;
    }
    if (const auto dtype = dtype_from_onnx(fields_.data_type)) {
      record_.dtype = *dtype;
    } else {
      // Carried with its number, so that it can be written again.
      if (fields_.data_type != 0) keep_data_type();
    }
    count_elements();
    if (fields_.data_location == kExternal) {
      take_external();
    } else {
      take_inner();
    }
    return std::move(record_);
  }

 private:
  void read_field(MessageReader& reader) {
    const Field& field = reader.field();
    switch (field.number) {
      case kDims:
        reader.append_int64s(record_.shape);
        break;
      case kDataType:
        fields_.data_type = static_cast<std::int32_t>(reader.uint64());
        break;
      case kSegment:
        fields_.has_segment = true;
        break;
      case kName:
        record_.name = reader.text(kMaxNameBytes);
        break;
      case kDoc:
        record_.doc = reader.text(kMaxTextBytes);
        break;
      case kRawData:
        reader.need_bytes();
        fields_.raw = TextPart{field.payload_offset, field.payload_bytes};
        break;
      case kFloatData:
        count_typed(reader, WireType::fixed32, 4);
        break;
      case kDoubleData:
        count_typed(reader, WireType::fixed64, 8);
        break;
      case kInt32Data:
      case kInt64Data:
      case kUint64Data:
        count_typed(reader, WireType::varint, 0);
        break;
      case kStringData:
        reader.need_bytes();
        ++fields_.typed_counts[kStringData];
        break;
      case kExternalData:
        read_external_entry(reader);
        break;
      case kDataLocation:
        fields_.data_location = reader.int64();
        break;
      default:
        reader.keep_unknown(record_.unknown_fields);
    }
  }

  void count_typed(MessageReader& reader, WireType single, std::uint64_t fixed_bytes) {
    const Field& field = reader.field();
    std::uint64_t& count = fields_.typed_counts[field.number];
    ++fields_.n_typed_fields;
    if (field.type == single) {
      ++count;
    } else if (field.type != WireType::bytes) {
      reader.refuse(concat({"values of the wrong wire type in field ", field.number}));
    } else if (fixed_bytes != 0) {
      if (field.payload_bytes % fixed_bytes != 0) reader.refuse(concat({"packed values of ", field.payload_bytes, " bytes"}));
      count += field.payload_bytes / fixed_bytes;
      fields_.last_packed = {field.payload_offset, field.payload_bytes};
    } else {
      count += for_each_varint(context_.window, field.payload_offset, field.payload_bytes, [](std::uint64_t) {});
    }
  }

  void read_external_entry(MessageReader& outer) {
    if (fields_.external.size() == kMaxExternalKeys)
      throw_error(ErrorCode::limit_exceeded, {label(), ": more than ", kMaxExternalKeys, " external data keys"}, record_.name);
    MessageReader reader(outer, "StringStringEntryProto");
    auto& [key, value] = fields_.external.emplace_back();
    while (reader.next()) {
      if (reader.field().number == entry_proto::kKey) key = reader.text(kMaxNameBytes);
      if (reader.field().number == entry_proto::kValue) value = reader.text(kMaxNameBytes);
    }
  }

  void keep_data_type() {
    record_.unknown_fields.push_back(static_cast<std::uint8_t>(kDataType << 3));
    auto rest = static_cast<std::uint64_t>(fields_.data_type);
    for (; rest >= 0x80; rest >>= 7) record_.unknown_fields.push_back(static_cast<std::uint8_t>(rest | 0x80));
    record_.unknown_fields.push_back(static_cast<std::uint8_t>(rest));
  }

  void count_elements() {
    for (const std::int64_t extent : record_.shape)
      if (extent < 0) refuse(concat({"its shape has the extent ", extent}));
    try {
      n_elements_ = static_cast<std::uint64_t>(n_elements(record_.shape));
      if (record_.dtype != DType::undefined) n_bytes_ = packed_bytes(record_.dtype, n_elements_);
    } catch (Error& error) {
      throw_error(error.code(), {label(), ": ", error.what()}, record_.name);
    }
  }

  void take_inner() {
    std::uint64_t n_typed = 0;
    for (const auto& [number, count] : fields_.typed_counts) n_typed += count;
    if (record_.dtype == DType::undefined) return;
    if (fields_.raw && (fields_.raw->n_bytes != 0 || n_typed == 0)) {
      if (n_typed != 0) refuse("it has both raw and typed values");
      take_raw(*fields_.raw);
      return;
    }
    const std::uint32_t field = typed_field_of(record_.dtype);
    const std::uint64_t wanted = n_typed_values(record_.dtype, n_elements_);
    const std::uint64_t found = fields_.typed_counts[field];
    if (n_typed != found) refuse("its values stand in a field for another element type");
    if (found != wanted)
      refuse(concat({"its shape ", record_.shape, " of ", dtype_name(record_.dtype), " asks for ", wanted, " values, ", found,
                     " are there"}));
    const bool is_raw_already = fields_.n_typed_fields == 1 && fields_.last_packed.n_bytes != 0 && n_bytes_ >= kMinLazyBytes;
    std::uint64_t n_message_bytes = 0;
    for (const TextPart& part : parts_) n_message_bytes += part.n_bytes;
    if (is_raw_already) {
      record_.values = SourceRange{context_.window.source(), fields_.last_packed.offset, fields_.last_packed.n_bytes};
    } else if (n_message_bytes < kMinLazyBytes) {
      record_.values = decode_typed_values(context_.window, parts_, record_.dtype, record_.shape, record_.name);
    } else {
      record_.values = Generated{[source = context_.window.source(), parts = std::vector<TextPart>(parts_.begin(), parts_.end()),
                                  dtype = record_.dtype, shape = record_.shape, name = record_.name]() -> Tensor {
        WireWindow window(source);
        return decode_typed_values(window, parts, dtype, shape, name);
      }};
    }
  }

  void take_raw(const TextPart& raw) {
    if (record_.dtype == DType::string) refuse("strings cannot be raw values");
    check_length(raw.n_bytes);
    if (raw.n_bytes >= kMinLazyBytes) {
      record_.values = SourceRange{context_.window.source(), raw.offset, raw.n_bytes};
      return;
    }
    Tensor tensor(record_.dtype, record_.shape);
    context_.window.copy(raw.offset, tensor.bytes());
    record_.values = std::move(tensor);
  }

  void take_external() {
    for (const auto& [number, count] : fields_.typed_counts)
      if (count != 0) refuse("it has both inner and external values");
    if (fields_.raw && fields_.raw->n_bytes != 0) refuse("it has both inner and external values");
    if (record_.dtype == DType::string) refuse("strings cannot be external values");
    const auto location = external_value("location");
    if (!location) refuse_external("it is said to be external but names no file");
    record_.external_location = normalized_external_name(*location, record_.name);
    const std::uint64_t offset = external_number("offset").value_or(0);
    const auto length = external_number("length");
    if (length && record_.dtype != DType::undefined) check_length(*length);
    const auto source = context_.external_file(record_.external_location);
    if (!source) return;
    const std::uint64_t size = source->size_bytes();
    const std::uint64_t n_bytes = record_.dtype != DType::undefined ? n_bytes_ : length.value_or(size - std::min(offset, size));
    if (!is_inside(offset, n_bytes, size))
      refuse_external(
          concat({n_bytes, " bytes at offset ", offset, " lie outside of the external file ",
                  in_quotes(record_.external_location), " of ", size, " bytes; give the file that belongs to the model"}));
    context_.count_external_use(record_.external_location, n_bytes);
    record_.values = SourceRange{source, offset, n_bytes};
  }

  std::optional<std::string> external_value(std::string_view key) {
    std::optional<std::string> found;
    for (const auto& [name, value] : fields_.external) {
      if (name != key) continue;
      if (found && *found != value) refuse_external(concat({"the key '", key, "' stands twice in its external data"}));
      found = value;
    }
    return found;
  }

  std::optional<std::uint64_t> external_number(std::string_view key) {
    const auto text = external_value(key);
    if (!text) return std::nullopt;
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size())
      refuse_external(concat({"the external ", key, " ", in_quotes(*text), " is no count of bytes"}));
    return number;
  }

  void check_length(std::uint64_t n_found) {
    if (n_found != n_bytes_)
      refuse(concat({"its shape ", record_.shape, " of ", dtype_name(record_.dtype), " asks for ", n_bytes_, " bytes, ", n_found,
                     " are there"}));
  }

  std::string label() const {
    return concat({"tensor ", in_quotes(record_.name), owner_, " at offset ", parts_.empty() ? 0 : parts_[0].offset});
  }
  [[noreturn]] void refuse(const std::string& finding) const {
    throw_error(ErrorCode::bad_model, {label(), ": ", finding, "; the file is damaged or was written wrongly"}, record_.name);
  }
  [[noreturn]] void refuse_external(const std::string& finding) const {
    throw_error(ErrorCode::bad_external_data, {label(), ": ", finding}, record_.name);
  }

  ReadContext& context_;
  std::span<const TextPart> parts_;
  const std::string& owner_;
  TensorFields fields_;
  TensorRecord record_;
  std::uint64_t n_elements_ = 0;
  std::uint64_t n_bytes_ = 0;
};

}  // namespace

TensorRecord read_tensor(ReadContext& context, std::span<const TextPart> parts, const std::string& owner) {
  context.count_message();
  return TensorReader(context, parts, owner).read();
}

void check_sparse_tensor(ReadContext& context, MessageReader& reader) {
  while (reader.next()) {
    const Field& field = reader.field();
    if (field.number != sparse_proto::kValues && field.number != sparse_proto::kIndices) continue;
    reader.need_bytes();
    const TextPart part{field.payload_offset, field.payload_bytes};
    const TensorRecord record = read_tensor(context, {&part, 1}, " of a sparse tensor");
    if (!record.external_location.empty())
      throw_error(ErrorCode::unsupported,
                  {"sparse tensor ", in_quotes(record.name),
                   ": its values are external data, which is not supported; store them in the model"},
                  record.name);
  }
}

}  // namespace bitwright::onnx
