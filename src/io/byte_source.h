#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// Random access to the bytes of one file. Synchronous everywhere: memory, a file descriptor, or a callback to JavaScript
/// (fs.readSync in Node, FileReaderSync over a Blob in the worker), so that readers are plain code without resumption.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size_bytes() const = 0;
  /// Fills `out` from `offset`. Throws Error{io_failed} if the bytes are not there or reading fails.
  void read(std::uint64_t offset, std::span<std::uint8_t> out) const;
  /// The bytes themselves where they already lie in memory; empty otherwise. Valid as long as the source.
  virtual std::span<const std::uint8_t> in_memory() const { return {}; }
  /// How messages call it: a file name.
  virtual std::string name() const = 0;

 protected:
  /// Called with a range that lies inside.
  virtual void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const = 0;
};

class MemorySource final : public ByteSource {
 public:
  MemorySource(std::vector<std::uint8_t> bytes, std::string name) : bytes_(std::move(bytes)), name_(std::move(name)) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  std::span<const std::uint8_t> in_memory() const override { return bytes_; }
  std::string name() const override { return name_; }

 protected:
  void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const override;

 private:
  std::vector<std::uint8_t> bytes_;
  std::string name_;
};

/// Finds the files that hold a model's external data, by the name that stands in the model (already normalized: relative,
/// no `..`). Returns nullptr where the user gave no such file.
class ExternalData {
 public:
  virtual ~ExternalData() = default;
  virtual std::shared_ptr<ByteSource> open(const std::string& name) = 0;
};

}  // namespace bitwright
