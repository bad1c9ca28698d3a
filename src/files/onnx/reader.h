#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "files/onnx/wire_reader.h"
#include "model/model.h"

namespace bitwright::onnx {

/// What the reading of one file shares among its messages.
class ReadContext {
 public:
  ReadContext(std::shared_ptr<ByteSource> source, ExternalData* external_data)
      : window(std::move(source)), external_data_(external_data) {}
  /// Counts one submessage. Throws Error{limit_exceeded} beyond kMaxMessages.
  void count_message();
  /// The external file of that normalized name, opened once; nullptr where it is not given.
  std::shared_ptr<ByteSource> external_file(const std::string& name);
  /// Counts bytes that a tensor takes from it. Throws Error{limit_exceeded} beyond kMaxExternalUses.
  void count_external_use(const std::string& name, std::uint64_t n_bytes);
  std::uint64_t external_bytes() const { return external_bytes_; }

  WireWindow window;

 private:
  ExternalData* external_data_;
  struct ExternalFile {
    std::shared_ptr<ByteSource> source;
    std::uint64_t n_used_bytes = 0;
  };
  std::map<std::string, ExternalFile> external_files_;
  std::uint64_t external_bytes_ = 0;
  std::uint64_t n_messages_ = 0;
};

/// Where a message lies in the file. A message that stands in several parts is their concatenation.
struct TextPart {
  std::uint64_t offset = 0;
  std::uint64_t n_bytes = 0;
};

/// A TensorProto. `owner` says in messages whose it is: "", or " of node 'x' (Constant)".
TensorRecord read_tensor(ReadContext& context, std::span<const TextPart> parts, const std::string& owner);
/// A SparseTensorProto is carried, not read, but the tensors in it are checked. Throws Error{unsupported} where they are external.
void check_sparse_tensor(ReadContext& context, MessageReader& reader);
ValueInfo read_value_info(ReadContext& context, MessageReader& reader);
Attribute read_attribute(ReadContext& context, MessageReader& reader, int depth);
Node read_node(ReadContext& context, MessageReader& reader, int depth);
/// Adds what the message holds: a graph that stands in several parts is read by several calls.
void read_graph(ReadContext& context, MessageReader& reader, int depth, Graph& graph);
OpsetImport read_opset(ReadContext& context, MessageReader& reader);

/// The name of an external file as the model gives it, made plain: "a/./b" is "a/b". Throws Error{bad_external_data} for an
/// empty or absolute name, `..`, a backslash, a drive, or a NUL.
std::string normalized_external_name(const std::string& location, const std::string& tensor);

/// The values of a TensorProto that stand in its typed fields, as a tensor in memory.
Tensor decode_typed_values(WireWindow& window, std::span<const TextPart> parts, DType dtype, const Shape& shape,
                           const std::string& name);
/// The field of TensorProto in which values of that type stand when they are not raw; 0 for none.
std::uint32_t typed_field_of(DType dtype);
/// How many numbers (or strings) stand in that field for so many elements.
std::uint64_t n_typed_values(DType dtype, std::uint64_t n_elements);

}  // namespace bitwright::onnx
