#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "io/byte_sink.h"
#include "io/byte_source.h"
#include "model/model.h"

namespace bitwright {

/// Reads the structure of an ONNX model; values of tensors above a small size stay in `source` (and in external files) as ranges.
/// Accepts IR 3 to 13 and opset 1 to 25 as structure (what can be run or quantized is asked later), unknown fields kept.
/// Throws Error{bad_model, bad_graph, bad_external_data, limit_exceeded} with file offset, node or tensor, and remedy.
/// Without `external_data`, tensors that need it are refused when their values are asked for.
Model read_onnx(std::shared_ptr<ByteSource> source, ExternalData* external_data = nullptr);

struct OnnxWriteOptions {
  /// Name of the one external file; empty: everything in the model file (refused above 2^31 - 1 bytes: see needs_external_data).
  std::string external_name;
  /// Tensors below this many bytes stay in the model file.
  std::uint64_t min_external_bytes = 1024;
};

/// The exact size of the model file if written with everything inside.
std::uint64_t onnx_size_bytes(const Model& model);
/// Sets the sizes of a model that was made here: file_bytes is onnx_size_bytes, no bytes are external.
void set_file_bytes(Model& model);
/// True if that is above 2^31 - 1 bytes, the most a protobuf message may have.
bool needs_external_data(const Model& model);

/// Writes the model, tensor by tensor: untouched tensors are copied from their source in pieces, peak memory is one piece
/// plus one edited tensor. `external` gets the values of the one external file; it may be null where external_name is empty.
void write_onnx(const Model& model, ByteSink& out, ByteSink* external, const OnnxWriteOptions& options = {},
                const OnProgress& on_progress = {});

/// A TensorProto by itself: test_data_set_*/input_0.pb. Throws Error{bad_data}.
Tensor read_tensor_proto(std::span<const std::uint8_t> bytes, std::string* name = nullptr);
std::vector<std::uint8_t> write_tensor_proto(const Tensor& tensor, const std::string& name);

}  // namespace bitwright
