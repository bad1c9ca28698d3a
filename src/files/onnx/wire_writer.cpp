#include "files/onnx/wire_writer.h"

#include <bit>
#include <cstring>
#include <protozero/varint.hpp>

#include "base/error.h"

namespace bitwright::onnx {

namespace {

constexpr std::size_t kBufferBytes = 65536;

std::uint64_t varint_bytes(std::uint64_t value) { return static_cast<std::uint64_t>(protozero::length_of_varint(value)); }
std::uint64_t tag_of(std::uint32_t number, unsigned wire_type) { return static_cast<std::uint64_t>(number) << 3 | wire_type; }

}  // namespace

void WireWriter::start_writing(ByteSink& out, std::function<void(std::uint64_t)> written) {
  out_ = &out;
  written_ = std::move(written);
  n_bytes_ = 0;
  buffer_.resize(kBufferBytes);
}

void WireWriter::flush() {
  if (n_buffered_ == 0) return;
  out_->write(std::span(buffer_).first(n_buffered_));
  n_buffered_ = 0;
  if (written_) written_(n_bytes_);
}

void WireWriter::finish() {
  BITWRIGHT_ASSERT(next_size_ == sizes_.size());
  flush();
}

std::uint64_t WireWriter::header_bytes(std::uint32_t number, std::uint64_t n_bytes) {
  return varint_bytes(tag_of(number, 2)) + varint_bytes(n_bytes);
}

void WireWriter::varint(std::uint64_t value) {
  if (is_counting()) {
    n_bytes_ += varint_bytes(value);
    return;
  }
  if (kBufferBytes - n_buffered_ < protozero::max_varint_length) flush();
  const auto n = static_cast<std::size_t>(protozero::write_varint(buffer_.data() + n_buffered_, value));
  n_buffered_ += n;
  n_bytes_ += n;
}

void WireWriter::varint_field(std::uint32_t number, std::uint64_t value) {
  varint(tag_of(number, 0));
  varint(value);
}

void WireWriter::float_field(std::uint32_t number, float value) {
  varint(tag_of(number, 5));
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint8_t content[] = {static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(bits >> 8),
                                  static_cast<std::uint8_t>(bits >> 16), static_cast<std::uint8_t>(bits >> 24)};
  bytes(content);
}

void WireWriter::text_field(std::uint32_t number, std::string_view value) {
  bytes_header(number, value.size());
  bytes({reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
}

void WireWriter::optional_text_field(std::uint32_t number, std::string_view value) {
  if (!value.empty()) text_field(number, value);
}

void WireWriter::bytes_header(std::uint32_t number, std::uint64_t n_bytes) {
  varint(tag_of(number, 2));
  varint(n_bytes);
}

void WireWriter::bytes(std::span<const std::uint8_t> content) {
  n_bytes_ += content.size();
  if (is_counting() || content.empty()) return;
  if (content.size() > kBufferBytes - n_buffered_) flush();
  if (content.size() > kBufferBytes) {
    out_->write(content);
    if (written_) written_(n_bytes_);
  } else {
    std::memcpy(buffer_.data() + n_buffered_, content.data(), content.size());
    n_buffered_ += content.size();
  }
}

void WireWriter::copy(const SourceRange& range) {
  if (is_counting()) {
    n_bytes_ += range.length;
    return;
  }
  for_each_piece(range, [&](std::span<const std::uint8_t> piece) { bytes(piece); });
}

void WireWriter::skip(std::uint64_t n_bytes) {
  BITWRIGHT_ASSERT(is_counting());
  n_bytes_ += n_bytes;
}

}  // namespace bitwright::onnx
