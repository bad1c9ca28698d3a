#include "files/model_file.h"

#include "files/onnx/onnx.h"
#include "files/ort/ort.h"

namespace bitwright {

Model read_model(std::shared_ptr<ByteSource> source, ExternalData* external_data) {
  if (!is_ort(*source)) return read_onnx(std::move(source), external_data);
  Model model = read_onnx(std::make_shared<MemorySource>(onnx_of_ort(*source), source->name()), external_data);
  model.file_bytes = source->size_bytes();
  return model;
}

}  // namespace bitwright
