#include "files/onnx/wire_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <protozero/exception.hpp>
#include <protozero/varint.hpp>

#include "base/checked.h"
#include "base/error.h"
#include "model/limits.h"

namespace bitwright::onnx {

namespace {

constexpr std::size_t kWindowBytes = 65536;
constexpr std::uint32_t kMaxFieldNumber = (1u << 29) - 1;

std::uint64_t little_endian(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

WireWindow::WireWindow(std::shared_ptr<ByteSource> source) : source_(std::move(source)), size_bytes_(source_->size_bytes()) {
  window_ = source_->in_memory();
}

std::span<const std::uint8_t> WireWindow::peek(std::uint64_t offset, std::size_t n_bytes) {
  const std::uint64_t left = size_bytes_ - std::min(offset, size_bytes_);
  const std::uint64_t wanted = std::min<std::uint64_t>(n_bytes, left);
  if (offset < window_offset_ || !is_inside(offset - window_offset_, wanted, window_.size())) {
    if (buffer_.empty()) buffer_.resize(kWindowBytes);
    const auto n_read = static_cast<std::size_t>(std::min<std::uint64_t>(kWindowBytes, left));
    source_->read(offset, std::span(buffer_).first(n_read));
    window_ = std::span<const std::uint8_t>(buffer_).first(n_read);
    window_offset_ = offset;
  }
  return window_.subspan(static_cast<std::size_t>(offset - window_offset_));
}

void WireWindow::copy(std::uint64_t offset, std::span<std::uint8_t> out) {
  if (out.empty()) return;
  if (offset >= window_offset_ && is_inside(offset - window_offset_, out.size(), window_.size())) {
    std::memcpy(out.data(), window_.data() + (offset - window_offset_), out.size());
  } else {
    source_->read(offset, out);
  }
}

Varint decode_varint(std::span<const std::uint8_t> bytes, std::uint64_t offset, const char* what) {
  const char* begin = reinterpret_cast<const char*>(bytes.data());
  const char* position = begin;
  try {
    const std::uint64_t value = protozero::decode_varint(&position, begin + bytes.size());
    return {value, static_cast<std::size_t>(position - begin)};
  } catch (const protozero::varint_too_long_exception&) {
    throw_error(ErrorCode::bad_model, {what, " at offset ", offset, ": a varint of more than 10 bytes; the file is damaged"});
  } catch (const protozero::exception&) {
    throw_error(ErrorCode::bad_model, {what, " at offset ", offset, ": the number is cut off; the file is truncated or damaged"});
  }
}

MessageReader::MessageReader(WireWindow& window, const char* message, std::uint64_t offset, std::uint64_t n_bytes)
    : window_(window), message_(message), begin_(offset), position_(offset), end_(offset + n_bytes) {}

MessageReader::MessageReader(MessageReader& outer, const char* message)
    : MessageReader(outer.window_, message, outer.field_.payload_offset, outer.field_.payload_bytes) {
  outer.need_bytes();
}

void MessageReader::refuse(const std::string& finding) const {
  throw_error(ErrorCode::bad_model, {message_, " at offset ", field_.tag_offset, ": ", finding, "; the file is damaged"});
}

std::uint64_t MessageReader::read_varint(const char* what) {
  auto bytes = window_.peek(position_, kMaxVarintBytes);
  if (bytes.size() > end_ - position_) bytes = bytes.first(static_cast<std::size_t>(end_ - position_));
  const Varint varint = decode_varint(bytes, position_, what);
  position_ += varint.n_bytes;
  return varint.value;
}

bool MessageReader::next() {
  if (position_ == end_) return false;
  field_ = Field{};
  field_.tag_offset = position_;
  const std::uint64_t tag = read_varint(message_);
  const std::uint64_t number = tag >> 3;
  if (number == 0 || number > kMaxFieldNumber) refuse(concat({"field number ", number}));
  field_.number = static_cast<std::uint32_t>(number);
  const auto type = static_cast<unsigned>(tag & 7);
  field_.payload_offset = position_;
  switch (type) {
    case 0:
      field_.number_bits = read_varint(message_);
      field_.payload_bytes = position_ - field_.payload_offset;
      break;
    case 1:
    case 5:
      field_.payload_bytes = type == 1 ? 8 : 4;
      if (field_.payload_bytes > end_ - position_) refuse("a number is cut off");
      field_.number_bits = little_endian(window_.peek(position_, 8).first(static_cast<std::size_t>(field_.payload_bytes)));
      break;
    case 2:
      field_.payload_bytes = read_varint(message_);
      field_.payload_offset = position_;
      if (field_.payload_bytes > end_ - position_)
        refuse(concat(
            {"field ", number, " is said to have ", field_.payload_bytes, " bytes where ", end_ - position_, " are left"}));
      break;
    default:
      refuse(concat({"wire type ", type, " in field ", number}));
  }
  field_.type = static_cast<WireType>(type);
  position_ = field_.end_offset();
  return true;
}

void MessageReader::need_bytes() const {
  if (field_.type != WireType::bytes) refuse(concat({"field ", field_.number, " is a number where text or a message belongs"}));
}

std::int64_t MessageReader::int64() const { return static_cast<std::int64_t>(uint64()); }

std::uint64_t MessageReader::uint64() const {
  if (field_.type != WireType::varint) refuse(concat({"field ", field_.number, " is no integer"}));
  return field_.number_bits;
}

float MessageReader::float32() const {
  if (field_.type != WireType::fixed32) refuse(concat({"field ", field_.number, " is no float"}));
  return std::bit_cast<float>(static_cast<std::uint32_t>(field_.number_bits));
}

std::string MessageReader::text(std::uint64_t max_bytes) {
  need_bytes();
  if (field_.payload_bytes > max_bytes)
    throw_error(ErrorCode::limit_exceeded, {message_, " at offset ", field_.tag_offset, ": a text of ", field_.payload_bytes,
                                            " bytes passes the limit of ", max_bytes});
  std::string value(static_cast<std::size_t>(field_.payload_bytes), '\0');
  window_.copy(field_.payload_offset, std::span(reinterpret_cast<std::uint8_t*>(value.data()), value.size()));
  return value;
}

void MessageReader::append_int64s(std::vector<std::int64_t>& values) {
  if (field_.type != WireType::bytes) {
    values.push_back(int64());
    return;
  }
  for_each_varint(window_, field_.payload_offset, field_.payload_bytes,
                  [&](std::uint64_t value) { values.push_back(static_cast<std::int64_t>(value)); });
}

void MessageReader::append_floats(std::vector<float>& values) {
  if (field_.type != WireType::bytes) {
    values.push_back(float32());
    return;
  }
  if (field_.payload_bytes % 4 != 0) refuse(concat({"packed floats of ", field_.payload_bytes, " bytes"}));
  const std::size_t n_before = values.size();
  values.resize(n_before + addressable(field_.payload_bytes / 4));
  window_.copy(field_.payload_offset, std::span(reinterpret_cast<std::uint8_t*>(values.data() + n_before),
                                                static_cast<std::size_t>(field_.payload_bytes)));
}

void MessageReader::keep_unknown(std::vector<std::uint8_t>& bytes) {
  const std::uint64_t n_bytes = field_.end_offset() - field_.tag_offset;
  if (n_bytes > kMaxUnknownBytes - std::min<std::uint64_t>(bytes.size(), kMaxUnknownBytes))
    throw_error(ErrorCode::limit_exceeded, {message_, " at offset ", field_.tag_offset,
                                            ": fields not known here pass the limit of ", kMaxUnknownBytes, " bytes"});
  const std::size_t n_before = bytes.size();
  bytes.resize(n_before + static_cast<std::size_t>(n_bytes));
  window_.copy(field_.tag_offset, std::span(bytes).subspan(n_before));
}

}  // namespace bitwright::onnx
