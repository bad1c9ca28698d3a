#pragma once

#include <cstdint>
#include <vector>

#include "files/onnx/onnx.h"
#include "files/onnx/wire_writer.h"
#include "model/model.h"

namespace bitwright::onnx {

/// Lays the values of tensors one behind the other in the external file. Places are given in the counting pass, taken in the
/// same order in the writing pass.
class ExternalLayout {
 public:
  std::uint64_t place(std::uint64_t n_bytes);
  std::uint64_t next_place();
  std::uint64_t n_bytes() const { return end_; }
  /// Zeros up to `offset`, then the values follow by `write`.
  void pad_to(std::uint64_t offset);
  void write(std::span<const std::uint8_t> bytes);
  void start_writing(ByteSink* out) { out_ = out; }
  std::uint64_t n_written() const { return n_written_; }

 private:
  ByteSink* out_ = nullptr;
  std::vector<std::uint64_t> offsets_;
  std::size_t next_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t n_written_ = 0;
};

struct WriteContext {
  WireWriter wire;
  ExternalLayout layout;
  const OnnxWriteOptions& options;
};

enum class Placement { inner, external_if_large };
void write_tensor(WriteContext& context, std::uint32_t field, const TensorRecord& record, Placement placement);
/// The content of a TensorProto without tag and length.
void write_tensor_content(WriteContext& context, const TensorRecord& record, Placement placement);
void write_value_info(WriteContext& context, std::uint32_t field, const ValueInfo& info);
void write_attribute(WriteContext& context, std::uint32_t field, const Attribute& attribute);
void write_node(WriteContext& context, std::uint32_t field, const Node& node);
void write_graph_content(WriteContext& context, const Graph& graph);

}  // namespace bitwright::onnx
