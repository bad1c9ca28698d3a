// Any bytes are read or refused with a typed error; what is read is upgraded or not, written, and read again to the same bytes.
#include <cstdlib>

#include "base/error.h"
#include "files/onnx/onnx.h"
#include "passes/upgrade_opset.h"

using namespace bitwright;

namespace {

std::vector<std::uint8_t> written(const Model& model) {
  MemorySink sink;
  write_onnx(model, sink, nullptr);
  return sink.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  std::vector<std::uint8_t> once;
  try {
    Model model = read_onnx(std::make_shared<MemorySource>(std::vector<std::uint8_t>(data, data + n_bytes), "fuzz.onnx"));
    for (const TensorRecord& record : model.graph.initializers)
      if (!std::holds_alternative<std::monostate>(record.values) && record.dtype != DType::undefined)
        static_cast<void>(record.load());
    static_cast<void>(upgrade_opset(model, n_bytes % 2 == 0 ? 13 : 21));
    once = written(model);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal) std::abort();
    return 0;
  }
  const Model again = read_onnx(std::make_shared<MemorySource>(once, "again.onnx"));
  if (written(again) != once) std::abort();
  return 0;
}
