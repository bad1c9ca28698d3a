#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/byte_source.h"
#include "model/model.h"

namespace bitwright::onnx {

/// The bytes of a source seen through a window of at most 64 KiB that follows the reader, so that a file is never loaded whole.
/// A source in memory is its own window.
class WireWindow {
 public:
  explicit WireWindow(std::shared_ptr<ByteSource> source);
  const std::shared_ptr<ByteSource>& source() const { return source_; }
  std::uint64_t size_bytes() const { return size_bytes_; }
  /// The bytes from `offset`, at least min(n_bytes, rest of the file) of them; n_bytes <= 4096. Valid until the next call.
  std::span<const std::uint8_t> peek(std::uint64_t offset, std::size_t n_bytes);
  void copy(std::uint64_t offset, std::span<std::uint8_t> out);

 private:
  std::shared_ptr<ByteSource> source_;
  std::uint64_t size_bytes_ = 0;
  std::vector<std::uint8_t> buffer_;
  std::span<const std::uint8_t> window_;
  std::uint64_t window_offset_ = 0;
};

enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// One field as it stands in the file. `payload` is the content of a `bytes` field; `number_bits` the value of the others.
struct Field {
  std::uint32_t number = 0;
  WireType type = WireType::varint;
  std::uint64_t number_bits = 0;
  std::uint64_t tag_offset = 0;
  std::uint64_t payload_offset = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t end_offset() const { return payload_offset + payload_bytes; }
};

/// Walks over the fields of one message, which lies at [offset, offset + n_bytes) of the file. Throws Error{bad_model} naming
/// message and file offset: varints over 10 bytes, lengths past the end of the message, field number 0, group wire types.
class MessageReader {
 public:
  MessageReader(WireWindow& window, const char* message, std::uint64_t offset, std::uint64_t n_bytes);
  /// The message that the current field of `outer` holds.
  MessageReader(MessageReader& outer, const char* message);
  bool next();
  const Field& field() const { return field_; }
  WireWindow& window() { return window_; }
  std::uint64_t offset() const { return begin_; }
  std::uint64_t n_bytes() const { return end_ - begin_; }

  std::int64_t int64() const;
  std::uint64_t uint64() const;
  float float32() const;
  /// Content of a bytes field. Throws Error{limit_exceeded} where it is longer.
  std::string text(std::uint64_t max_bytes);
  /// Appends the elements of a repeated field, packed or one by one.
  void append_int64s(std::vector<std::int64_t>& values);
  void append_floats(std::vector<float>& values);
  /// The whole field, tag and content, added to `bytes`.
  void keep_unknown(std::vector<std::uint8_t>& bytes);
  /// Throws unless the field is of wire type `bytes`: a message, string or byte string.
  void need_bytes() const;

  [[noreturn]] void refuse(const std::string& finding) const;

 private:
  std::uint64_t read_varint(const char* what);

  WireWindow& window_;
  const char* message_;
  std::uint64_t begin_;
  std::uint64_t position_;
  std::uint64_t end_;
  Field field_;
};

/// Decodes the varints in [offset, offset + n_bytes), one call of `take` each. Returns how many there are.
template <typename Take>
std::uint64_t for_each_varint(WireWindow& window, std::uint64_t offset, std::uint64_t n_bytes, const Take& take);

/// The next varint in `bytes`, and how many bytes it takes. Throws Error{bad_model} naming the offset.
struct Varint {
  std::uint64_t value;
  std::size_t n_bytes;
};
Varint decode_varint(std::span<const std::uint8_t> bytes, std::uint64_t offset, const char* what);

inline constexpr std::size_t kMaxVarintBytes = 10;

template <typename Take>
std::uint64_t for_each_varint(WireWindow& window, std::uint64_t offset, std::uint64_t n_bytes, const Take& take) {
  const std::uint64_t end = offset + n_bytes;
  std::uint64_t count = 0;
  while (offset < end) {
    std::span<const std::uint8_t> bytes = window.peek(offset, kMaxVarintBytes);
    if (bytes.size() > end - offset) bytes = bytes.first(static_cast<std::size_t>(end - offset));
    // As many as surely lie whole in what is there; the last ones of the message one by one.
    std::size_t used = 0;
    do {
      const Varint varint = decode_varint(bytes.subspan(used), offset + used, "packed values");
      take(varint.value);
      used += varint.n_bytes;
      ++count;
    } while (bytes.size() - used >= kMaxVarintBytes);
    offset += used;
  }
  return count;
}

}  // namespace bitwright::onnx
