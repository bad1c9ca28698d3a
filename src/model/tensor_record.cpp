#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "model/model.h"
#include "tensor/raw_allocator.h"

namespace bitwright {

namespace {

[[noreturn]] void refuse_missing(const TensorRecord& record) {
  if (record.dtype == DType::undefined)
    throw_error(ErrorCode::unsupported,
                {"tensor ", in_quotes(record.name), ": its element type is not known here, so its values cannot be read"},
                record.name);
  throw_error(
      ErrorCode::bad_external_data,
      {"tensor ", in_quotes(record.name), ": its values lie in ",
       (record.external_location.empty() ? "no file" : concat({"the external file ", in_quotes(record.external_location)})),
       ", which was not given; give that file beside the model"},
      record.name);
}

Tensor load_range(const TensorRecord& record, const SourceRange& range) {
  Tensor tensor(record.dtype, record.shape, raw_allocator());
  if (tensor.size_bytes() != range.length)
    throw_error(ErrorCode::bad_model,
                {"tensor ", in_quotes(record.name), ": ", range.length, " bytes of values where shape and element type ask for ",
                 tensor.size_bytes()},
                record.name);
  range.source->read(range.offset, tensor.bytes());
  return tensor;
}

}  // namespace

std::uint64_t TensorRecord::size_bytes() const { return packed_bytes(dtype, static_cast<std::uint64_t>(n_elements(shape))); }

Tensor TensorRecord::load() const {
  if (const auto* range = std::get_if<SourceRange>(&values); range != nullptr && dtype != DType::undefined)
    return load_range(*this, *range);
  if (const auto* tensor = std::get_if<Tensor>(&values)) return *tensor;
  if (const auto* generated = std::get_if<Generated>(&values)) {
    Tensor tensor = generated->make();
    BITWRIGHT_ASSERT(tensor.dtype() == dtype && tensor.shape() == shape);
    return tensor;
  }
  refuse_missing(*this);
}

void TensorRecord::read_bytes(std::uint64_t offset, std::span<std::uint8_t> out) const {
  if (const auto* range = std::get_if<SourceRange>(&values)) {
    if (!is_inside(offset, out.size(), range->length))
      throw_error(ErrorCode::internal, {"tensor ", in_quotes(name), ": a read passes the end of its values"}, name);
    range->source->read(range->offset + offset, out);
    return;
  }
  const Tensor tensor = load();
  const auto bytes = tensor.bytes();
  BITWRIGHT_ASSERT(is_inside(offset, out.size(), bytes.size()));
  if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
}

TensorRecord TensorRecord::of(std::string name, Tensor tensor) {
  TensorRecord record;
  record.name = std::move(name);
  record.dtype = tensor.dtype();
  record.shape = tensor.shape();
  record.values = std::move(tensor);
  return record;
}

}  // namespace bitwright
