#include "base/error.h"
#include "files/onnx/onnx.h"
#include "files/onnx/reader.h"
#include "files/onnx/writer.h"

namespace bitwright {

namespace {

/// Bytes of the caller, which outlive the source.
class SpanSource final : public ByteSource {
 public:
  explicit SpanSource(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  std::span<const std::uint8_t> in_memory() const override { return bytes_; }
  std::string name() const override { return "tensor file"; }

 protected:
  void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace

Tensor read_tensor_proto(std::span<const std::uint8_t> bytes, std::string* name) {
  try {
    onnx::ReadContext context(std::make_shared<SpanSource>(bytes), nullptr);
    const onnx::TextPart whole{0, bytes.size()};
    const TensorRecord record = onnx::read_tensor(context, {&whole, 1}, "");
    if (record.dtype == DType::undefined)
      throw_error(ErrorCode::bad_data, {"no element type that is known here; it is no TensorProto file"});
    if (name != nullptr) *name = record.name;
    return record.load();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_memory) throw;
    throw_error(ErrorCode::bad_data, {"tensor file: ", error.what()}, error.subject());
  }
}

std::vector<std::uint8_t> write_tensor_proto(const Tensor& tensor, const std::string& name) {
  const OnnxWriteOptions options;
  onnx::WriteContext context{{}, {}, options};
  const TensorRecord record = TensorRecord::of(name, tensor);
  onnx::write_tensor_content(context, record, onnx::Placement::inner);
  MemorySink sink;
  context.wire.start_writing(sink, {});
  onnx::write_tensor_content(context, record, onnx::Placement::inner);
  context.wire.finish();
  return sink.take();
}

}  // namespace bitwright
