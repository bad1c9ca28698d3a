#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "io/byte_source.h"

namespace bitwright::tests {

/// Protobuf bytes laid by hand, apart from the writer under test.
class Wire {
 public:
  Wire& varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
    return *this;
  }
  Wire& number(std::uint32_t field, std::uint64_t value) { return varint(field << 3).varint(value); }
  Wire& text(std::uint32_t field, const std::string& value) {
    varint(field << 3 | 2).varint(value.size());
    bytes_ += value;
    return *this;
  }
  Wire& message(std::uint32_t field, const Wire& inner) { return text(field, inner.bytes_); }
  Wire& raw(std::initializer_list<int> bytes) {
    for (const int byte : bytes) bytes_.push_back(static_cast<char>(byte));
    return *this;
  }
  Wire& append(const Wire& other) {
    bytes_ += other.bytes_;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }
  std::vector<std::uint8_t> vector() const { return {bytes_.begin(), bytes_.end()}; }

 private:
  std::string bytes_;
};

inline Wire onnx_tensor(const std::string& name, std::initializer_list<int> dims, int data_type) {
  Wire wire;
  for (const int dim : dims) wire.number(1, static_cast<std::uint64_t>(dim));
  return wire.number(2, static_cast<std::uint64_t>(data_type)).text(8, name);
}

inline Wire onnx_node(const std::string& op_type, std::initializer_list<std::string> inputs,
                      std::initializer_list<std::string> outputs) {
  Wire wire;
  for (const std::string& input : inputs) wire.text(1, input);
  for (const std::string& output : outputs) wire.text(2, output);
  return wire.text(4, op_type);
}

/// A value of float32 with one unknown extent.
inline Wire onnx_value(const std::string& name) {
  const Wire shape = Wire().message(1, Wire().text(2, "n"));
  return Wire().text(1, name).message(2, Wire().message(1, Wire().number(1, 1).message(2, shape)));
}

inline Wire onnx_model(const Wire& graph, int opset = 13) {
  return Wire().number(1, 7).message(7, graph).message(8, Wire().text(1, "").number(2, static_cast<std::uint64_t>(opset)));
}

/// Y = Relu(X), with whatever fields `rest` holds.
inline Wire relu_graph(const Wire& rest = {}) {
  Wire graph;
  graph.message(1, onnx_node("Relu", {"X"}, {"Y"})).text(2, "g").message(11, onnx_value("X")).message(12, onnx_value("Y"));
  return graph.append(rest);
}

inline std::shared_ptr<ByteSource> memory_source(const Wire& wire) {
  return std::make_shared<MemorySource>(wire.vector(), "test.onnx");
}

/// The same bytes, but not in memory: read piece by piece, as from a file. Counts what is read.
class SlowSource final : public ByteSource {
 public:
  explicit SlowSource(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  std::string name() const override { return "slow.onnx"; }
  std::uint64_t n_read() const { return n_read_; }

 protected:
  void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    n_read_ += out.size();
  }

 private:
  std::vector<std::uint8_t> bytes_;
  mutable std::uint64_t n_read_ = 0;
};

}  // namespace bitwright::tests
