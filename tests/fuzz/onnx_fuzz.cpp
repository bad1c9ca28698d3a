// Any bytes are read or refused with a typed error, the same from memory and through a window; what is read is upgraded or not,
// written, and read again to the same bytes. The bytes are tried as a TensorProto too.
#include "files/wire_bytes.h"
#include "fuzz/fuzz_model.h"
#include "passes/upgrade_opset.h"
#include "report/model_info.h"

using namespace bitwright;

namespace {

void read_as_tensor(std::span<const std::uint8_t> bytes) {
  try {
    std::string name;
    const Tensor tensor = read_tensor_proto(bytes, &name);
    const std::vector<std::uint8_t> once = write_tensor_proto(tensor, name);
    if (write_tensor_proto(read_tensor_proto(once), name) != once) std::abort();
  } catch (const Error& error) {
    fuzz::expect_typed(error);
  }
}

/// The code of the refusal; nothing where it was read.
std::optional<ErrorCode> code_through_window(const std::vector<std::uint8_t>& bytes) {
  try {
    static_cast<void>(read_model(std::make_shared<tests::SlowSource>(bytes)));
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  const std::span<const std::uint8_t> bytes(data, n_bytes);
  read_as_tensor(bytes);
  std::vector<std::uint8_t> once;
  std::optional<ErrorCode> code;
  try {
    std::shared_ptr<Model> model;
    try {
      model = fuzz::read(bytes);
    } catch (const Error& error) {
      fuzz::expect_typed(error);
      code = error.code();
    }
    if (code_through_window({bytes.begin(), bytes.end()}) != code) std::abort();
    if (!model) return 0;
    static_cast<void>(inspect(*model));
    for (const TensorRecord& record : model->graph.initializers)
      if (!std::holds_alternative<std::monostate>(record.values) && record.dtype != DType::undefined)
        static_cast<void>(record.load());
    static_cast<void>(upgrade_opset(*model, n_bytes % 2 == 0 ? 13 : 21));
    once = fuzz::written(*model);
  } catch (const Error& error) {
    fuzz::expect_typed(error);
    return 0;
  }
  if (fuzz::written(*fuzz::read(once)) != once) std::abort();
  return 0;
}
