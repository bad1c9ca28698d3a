#pragma once

#include <memory>

#include "io/byte_source.h"
#include "model/model.h"

namespace bitwright {

/// Reads a model of any format that is known: ONNX, and onnxruntime's .ort, which is translated to ONNX in memory. Errors as
/// read_onnx and onnx_of_ort.
Model read_model(std::shared_ptr<ByteSource> source, ExternalData* external_data = nullptr);

}  // namespace bitwright
