#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitwright {

/// Takes the bytes of one output file in order.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  /// Throws Error{io_failed} where the host cannot take them.
  virtual void write(std::span<const std::uint8_t> bytes) = 0;
  /// Hands over what the sink still holds back; called once after the last write.
  virtual void flush() {}
};

class MemorySink final : public ByteSink {
 public:
  void write(std::span<const std::uint8_t> bytes) override { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace bitwright
