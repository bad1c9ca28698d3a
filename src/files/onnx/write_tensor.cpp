#include <algorithm>
#include <array>

#include "base/error.h"
#include "files/onnx/fields.h"
#include "files/onnx/writer.h"

namespace bitwright::onnx {

namespace {

using namespace tensor_proto;

/// onnxruntime maps large tensors into memory, which asks for page alignment; small ones stay close together.
constexpr std::uint64_t kSmallAlignment = 64;
constexpr std::uint64_t kPageAlignment = 4096;
constexpr std::uint64_t kMinPageAlignedBytes = 1u << 20;

bool is_external(const WriteContext& context, const TensorRecord& record, Placement placement) {
  return placement == Placement::external_if_large && !context.options.external_name.empty() && record.dtype != DType::string &&
         record.dtype != DType::undefined && record.size_bytes() >= context.options.min_external_bytes &&
         record.size_bytes() != 0;
}

/// Calls `take` with the values, in pieces.
template <typename Take>
void for_each_value_piece(const TensorRecord& record, const Take& take) {
  if (const auto* range = std::get_if<SourceRange>(&record.values)) {
    for_each_piece(*range, take);
  } else {
    const Tensor tensor = record.load();
    take(tensor.bytes());
  }
}

void write_entry(WireWriter& wire, std::string_view key, const std::string& value) {
  wire.message(kExternalData, [&] {
    wire.text_field(entry_proto::kKey, key);
    wire.text_field(entry_proto::kValue, value);
  });
}

void write_external(WriteContext& context, const TensorRecord& record) {
  const std::uint64_t n_bytes = record.size_bytes();
  const std::uint64_t offset = context.wire.is_counting() ? context.layout.place(n_bytes) : context.layout.next_place();
  write_entry(context.wire, "location", context.options.external_name);
  write_entry(context.wire, "offset", std::to_string(offset));
  write_entry(context.wire, "length", std::to_string(n_bytes));
  context.wire.int_field(kDataLocation, 1);
  if (context.wire.is_counting()) return;
  context.layout.pad_to(offset);
  for_each_value_piece(record, [&](std::span<const std::uint8_t> piece) { context.layout.write(piece); });
}

void write_inner(WriteContext& context, const TensorRecord& record) {
  WireWriter& wire = context.wire;
  const auto* range = std::get_if<SourceRange>(&record.values);
  if (record.dtype == DType::undefined && range == nullptr) return;
  if (record.dtype == DType::string) {
    const Tensor tensor = record.load();
    for (const std::string& value : tensor.strings()) wire.text_field(kStringData, value);
    return;
  }
  const std::uint64_t n_bytes = range != nullptr ? range->length : record.size_bytes();
  wire.bytes_header(kRawData, n_bytes);
  if (n_bytes == 0) return;
  if (std::holds_alternative<std::monostate>(record.values)) static_cast<void>(record.load());  // says what is missing
  if (wire.is_counting()) {
    wire.skip(n_bytes);
  } else {
    for_each_value_piece(record, [&](std::span<const std::uint8_t> piece) { wire.bytes(piece); });
  }
}

}  // namespace

std::uint64_t ExternalLayout::place(std::uint64_t n_bytes) {
  const std::uint64_t alignment = n_bytes >= kMinPageAlignedBytes ? kPageAlignment : kSmallAlignment;
  const std::uint64_t offset = (end_ + alignment - 1) / alignment * alignment;
  offsets_.push_back(offset);
  end_ = offset + n_bytes;
  return offset;
}

std::uint64_t ExternalLayout::next_place() { return offsets_[next_++]; }

void ExternalLayout::pad_to(std::uint64_t offset) {
  static constexpr std::array<std::uint8_t, kPageAlignment> kZeros{};
  BITWRIGHT_ASSERT(offset >= n_written_ && offset - n_written_ < kPageAlignment);
  write(std::span(kZeros).first(static_cast<std::size_t>(offset - n_written_)));
}

void ExternalLayout::write(std::span<const std::uint8_t> bytes) {
  if (!bytes.empty()) out_->write(bytes);
  n_written_ += bytes.size();
}

void write_tensor_content(WriteContext& context, const TensorRecord& record, Placement placement) {
  WireWriter& wire = context.wire;
  const bool goes_out = is_external(context, record, placement);
  if (record.is_untouched && record.origin && record.external_location.empty() && !goes_out) {
    wire.copy(*record.origin);
    return;
  }
  for (const std::int64_t extent : record.shape) wire.int_field(kDims, extent);
  if (record.dtype != DType::undefined) wire.int_field(kDataType, static_cast<std::int64_t>(record.dtype));
  wire.optional_text_field(kName, record.name);
  if (goes_out) {
    write_external(context, record);
  } else {
    write_inner(context, record);
  }
  wire.optional_text_field(kDoc, record.doc);
  wire.bytes(record.unknown_fields);
}

void write_tensor(WriteContext& context, std::uint32_t field, const TensorRecord& record, Placement placement) {
  context.wire.message(field, [&] { write_tensor_content(context, record, placement); });
}

}  // namespace bitwright::onnx
