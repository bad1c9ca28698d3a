#include "model/model.h"

#include "base/error.h"

namespace bitwright {

ValueInfo ValueInfo::of(std::string name, DType dtype, Shape shape) {
  ValueInfo info;
  info.name = std::move(name);
  info.set_type(dtype, std::move(shape));
  return info;
}

void ValueInfo::set_type(DType new_dtype, Shape new_shape) {
  dtype = new_dtype;
  shape = std::move(new_shape);
  dim_params.resize(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != kUnknownDim) dim_params[i].clear();
  is_tensor = true;
  has_shape = true;
  type_bytes.clear();
  has_type_changed = true;
}

const TensorRecord* Graph::find_initializer(std::string_view initializer) const {
  for (const TensorRecord& record : initializers)
    if (record.name == initializer) return &record;
  return nullptr;
}

std::int64_t Model::opset(std::string_view wanted) const {
  for (const OpsetImport& import : opset_imports)
    if (import.domain == wanted) return import.version;
  return 0;
}

void Model::set_opset(std::string_view wanted, std::int64_t version) {
  for (OpsetImport& import : opset_imports) {
    if (import.domain == wanted) {
      import.version = version;
      return;
    }
  }
  OpsetImport import;
  import.domain = wanted;
  import.version = version;
  opset_imports.push_back(std::move(import));
}

}  // namespace bitwright
