#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "io/byte_source.h"

namespace bitwright {

/// True for onnxruntime's own format (.ort): a FlatBuffer that is marked ORTM (onnxruntime/core/flatbuffers/schema/ort.fbs).
bool is_ort(const ByteSource& source);

/// The same model as an ONNX file, in memory: nodes as onnxruntime prepared them, types of inputs, outputs and what nodes make.
/// What only onnxruntime's own builds use (kernels chosen, edges, prepared optimizations) is left out.
/// Throws Error{bad_model, limit_exceeded, bad_external_data} naming file and offset, and the remedy.
std::vector<std::uint8_t> onnx_of_ort(const ByteSource& source);

}  // namespace bitwright
