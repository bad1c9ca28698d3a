#pragma once

#include <emscripten/val.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "engine/session.h"
#include "io/byte_sink.h"
#include "io/byte_source.h"
#include "model/model.h"
#include "object.h"
#include "quant/recipe.h"
#include "samples/image.h"
#include "tensor/tensor.h"

namespace bitwright::bindings {

val to_js(const std::string& text);
val to_js(const std::vector<std::string>& texts);
val to_js(const Shape& shape);  // numbers; every extent is below 2^40
/// {dtype, shape, data}: data is a fresh typed array, not a view.
val to_js(const Tensor& tensor);
/// The same; `data` is `reused` where that is a typed array of the right type and length.
val to_js(const Tensor& tensor, const Object& reused);
/// An object by names of the model, not set one by one: a value may be called __proto__.
class NamedEntries {
 public:
  void add(const std::string& name, const val& value);
  val object() const;

 private:
  val entries_ = val::array();
  unsigned n_ = 0;
};
val to_js(const std::map<std::string, Tensor>& tensors);
/// {name, dtype, shape | null, dimNames}
val to_js(const ValueInfo& info);

template <typename T, typename Convert>
val to_js_list(const std::vector<T>& items, Convert&& convert) {
  val list = val::array();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const val item = convert(items[i]);
    list.set(i, item);
  }
  return list;
}

std::string string_from(const val& text);
std::vector<std::string> strings_from(const Object& list);
/// Throws Error{invalid_argument} naming `name` where dtype, shape and length do not go together.
Tensor tensor_from(const Object& object, const std::string& name);
std::map<std::string, Tensor> tensors_from(const Object& object);
/// Copies the object's values where it is a tensor of the same type and shape; false otherwise.
bool copy_into(const Object& object, Tensor& tensor);
/// {threads, arithmetic, kernels}: web/src/session.ts has checked the words.
SessionOptions session_options_from(const Object& object);
/// A recipe that web/src/recipe.ts has checked; throws Error{bad_recipe} for a word it does not know.
Recipe recipe_from(const Object& object, const std::string& canonical_json);
ImageSpec image_spec_from(const Object& object);
std::vector<std::uint8_t> bytes_from(const Object& typed_array);

/// A file of the host.
class HashedSource : public ByteSource {
 public:
  /// Xxh64 of all bytes, in hexadecimal; reads the file where it was not copied in.
  virtual std::string xxh64() const = 0;
};

/// A source over a CoreSource object (web/src/wasm/core.ts): its bytes are copied in where it offers them, else read in pieces.
std::shared_ptr<HashedSource> source_from(const Object& object);
/// External files by name, through a function of JavaScript.
std::unique_ptr<ExternalData> external_data_from(const val& open);
std::unique_ptr<ByteSink> sink_from(const val& object);
/// Throws Error{aborted} from within the work where the function answers false.
OnProgress progress_from(const val& function);

}  // namespace bitwright::bindings
