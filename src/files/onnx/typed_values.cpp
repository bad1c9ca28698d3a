#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "files/onnx/fields.h"
#include "files/onnx/reader.h"
#include "model/limits.h"

namespace bitwright::onnx {

namespace {

using namespace tensor_proto;

/// Bytes of one value of that field in raw form.
std::size_t value_bytes(DType dtype) {
  if (dtype == DType::c64) return 4;
  if (dtype == DType::c128) return 8;
  const int bits = dtype_bits(dtype);
  return bits < 8 ? 1 : static_cast<std::size_t>(bits) / 8;
}

/// Writes numbers one behind the other, low bytes first.
class RawWriter {
 public:
  RawWriter(std::span<std::uint8_t> out, std::size_t n_value_bytes, const std::string& name)
      : out_(out), n_value_bytes_(n_value_bytes), name_(name) {}

  void put(std::uint64_t value) {
    need(n_value_bytes_);
    for (std::size_t i = 0; i < n_value_bytes_; ++i) out_[used_ + i] = static_cast<std::uint8_t>(value >> (8 * i));
    used_ += n_value_bytes_;
  }

  std::span<std::uint8_t> take(std::uint64_t n_bytes) {
    need(n_bytes);
    const auto taken = out_.subspan(used_, static_cast<std::size_t>(n_bytes));
    used_ += taken.size();
    return taken;
  }

  bool is_full() const { return used_ == out_.size(); }

 private:
  void need(std::uint64_t n_bytes) const {
    if (n_bytes > out_.size() - used_)
      throw_error(ErrorCode::bad_model,
                  {"tensor ", in_quotes(name_), ": more values than its shape asks for; the file has changed"}, name_);
  }

  std::span<std::uint8_t> out_;
  std::size_t n_value_bytes_;
  const std::string& name_;
  std::size_t used_ = 0;
};

Tensor decode_strings(WireWindow& window, std::span<const TextPart> parts, const Shape& shape, const std::string& name) {
  std::vector<std::string> strings;
  for (const TextPart& part : parts) {
    MessageReader reader(window, "TensorProto", part.offset, part.n_bytes);
    while (reader.next())
      if (reader.field().number == kStringData) strings.push_back(reader.text(kMaxTextBytes));
  }
  if (strings.size() != static_cast<std::uint64_t>(n_elements(shape)))
    throw_error(ErrorCode::bad_model, {"tensor ", in_quotes(name), ": ", strings.size(), " strings for shape ", shape}, name);
  return Tensor::of_strings(shape, std::move(strings));
}

}  // namespace

std::uint32_t typed_field_of(DType dtype) {
  switch (dtype) {
    case DType::undefined:
      return 0;
    case DType::string:
      return kStringData;
    case DType::f32:
    case DType::c64:
      return kFloatData;
    case DType::f64:
    case DType::c128:
      return kDoubleData;
    case DType::i64:
      return kInt64Data;
    case DType::u32:
    case DType::u64:
      return kUint64Data;
    default:
      return kInt32Data;
  }
}

std::uint64_t n_typed_values(DType dtype, std::uint64_t n_elements) {
  if (dtype == DType::c64 || dtype == DType::c128) return 2 * n_elements;
  if (dtype != DType::string && dtype_bits(dtype) < 8) return packed_bytes(dtype, n_elements);  // int32_data holds whole bytes
  return n_elements;
}

Tensor decode_typed_values(WireWindow& window, std::span<const TextPart> parts, DType dtype, const Shape& shape,
                           const std::string& name) {
  if (dtype == DType::string) return decode_strings(window, parts, shape, name);
  Tensor tensor(dtype, shape);
  RawWriter raw(tensor.bytes(), value_bytes(dtype), name);
  const std::uint32_t wanted = typed_field_of(dtype);
  for (const TextPart& part : parts) {
    MessageReader reader(window, "TensorProto", part.offset, part.n_bytes);
    while (reader.next()) {
      const Field& field = reader.field();
      if (field.number != wanted) continue;
      if (field.type != WireType::bytes) {
        raw.put(field.number_bits);
      } else if (wanted == kFloatData || wanted == kDoubleData) {
        window.copy(field.payload_offset, raw.take(field.payload_bytes));
      } else {
        for_each_varint(window, field.payload_offset, field.payload_bytes, [&](std::uint64_t value) { raw.put(value); });
      }
    }
  }
  if (!raw.is_full())
    throw_error(ErrorCode::bad_model,
                {"tensor ", in_quotes(name), ": fewer values than its shape asks for; the file has changed"}, name);
  return tensor;
}

}  // namespace bitwright::onnx
