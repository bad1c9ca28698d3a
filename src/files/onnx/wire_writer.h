#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "io/byte_sink.h"
#include "model/model.h"

namespace bitwright::onnx {

/// Writes protobuf fields in two passes of the same code: the first only counts, and notes the size of each message; the second
/// writes, so that messages of any size stream out without being held.
class WireWriter {
 public:
  /// Ends the counting pass. `written` is called with the bytes given to the sink so far, after each piece.
  void start_writing(ByteSink& out, std::function<void(std::uint64_t)> written);
  bool is_counting() const { return out_ == nullptr; }
  std::uint64_t n_bytes() const { return n_bytes_; }
  /// Hands the rest to the sink.
  void finish();

  void varint_field(std::uint32_t number, std::uint64_t value);
  void int_field(std::uint32_t number, std::int64_t value) { varint_field(number, static_cast<std::uint64_t>(value)); }
  void float_field(std::uint32_t number, float value);
  void text_field(std::uint32_t number, std::string_view value);
  /// As text_field, but nothing for an empty text.
  void optional_text_field(std::uint32_t number, std::string_view value);
  /// Tag and length of a field whose content follows by `bytes`, `copy` or `skip`.
  void bytes_header(std::uint32_t number, std::uint64_t n_bytes);
  void bytes(std::span<const std::uint8_t> content);
  /// The bytes of a source, in pieces.
  void copy(const SourceRange& range);
  /// Counting pass only: content that is written later.
  void skip(std::uint64_t n_bytes);

  /// A submessage whose fields `body` writes.
  template <typename Body>
  void message(std::uint32_t number, const Body& body) {
    if (is_counting()) {
      const std::size_t place = sizes_.size();
      sizes_.push_back(0);
      const std::uint64_t begin = n_bytes_;
      body();
      sizes_[place] = n_bytes_ - begin;
      n_bytes_ += header_bytes(number, sizes_[place]);
    } else {
      bytes_header(number, sizes_[next_size_++]);
      body();
    }
  }

 private:
  static std::uint64_t header_bytes(std::uint32_t number, std::uint64_t n_bytes);
  void varint(std::uint64_t value);
  void flush();

  ByteSink* out_ = nullptr;
  std::function<void(std::uint64_t)> written_;
  std::uint64_t n_bytes_ = 0;
  std::vector<std::uint64_t> sizes_;
  std::size_t next_size_ = 0;
  std::vector<std::uint8_t> buffer_;
  std::size_t n_buffered_ = 0;
};

/// Reads a range in pieces of at most 1 MiB and hands them to `take`.
template <typename Take>
void for_each_piece(const SourceRange& range, const Take& take) {
  constexpr std::uint64_t kPieceBytes = 1u << 20;
  if (const auto memory = range.source->in_memory(); !memory.empty()) {
    take(memory.subspan(static_cast<std::size_t>(range.offset), static_cast<std::size_t>(range.length)));
    return;
  }
  std::vector<std::uint8_t> piece(static_cast<std::size_t>(std::min(kPieceBytes, range.length)));
  for (std::uint64_t done = 0; done < range.length;) {
    const auto n = static_cast<std::size_t>(std::min(kPieceBytes, range.length - done));
    range.source->read(range.offset + done, std::span(piece).first(n));
    take(std::span<const std::uint8_t>(piece).first(n));
    done += n;
  }
}

}  // namespace bitwright::onnx
