#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#include "base/checked.h"
#include "base/error.h"
#include "tensor/elements.h"
#include "tensor/raw_allocator.h"

namespace bitwright {

namespace {

class HeapBuffer final : public Buffer {
 public:
  HeapBuffer(std::uint64_t n_bytes, bool is_zeroed) {
    const auto whole = checked_add(n_bytes, kSlackBytes + kBufferAlignment);
    if (!whole) throw_error(ErrorCode::out_of_memory, {"a block of ", n_bytes, " bytes cannot be had"});
    size_bytes_ = addressable(n_bytes);
    const std::size_t rounded = (addressable(*whole) + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
    data_ = static_cast<std::uint8_t*>(::operator new(rounded, kAlignment, std::nothrow));
    if (data_ == nullptr)
      throw_error(ErrorCode::out_of_memory,
                  {"a block of ", n_bytes, " bytes cannot be had; close other models or use a smaller one"});
    if (is_zeroed)
      std::memset(data_, 0, rounded);
    else
      std::memset(data_ + size_bytes_, 0, rounded - size_bytes_);
  }
  ~HeapBuffer() override { ::operator delete(data_, kAlignment); }
  HeapBuffer(const HeapBuffer&) = delete;
  HeapBuffer& operator=(const HeapBuffer&) = delete;

 private:
  static constexpr std::align_val_t kAlignment{kBufferAlignment};
};

class HeapAllocator final : public Allocator {
 public:
  std::shared_ptr<Buffer> allocate(std::uint64_t n_bytes) override { return allocate_buffer(n_bytes); }
};

class RawAllocator final : public Allocator {
 public:
  std::shared_ptr<Buffer> allocate(std::uint64_t n_bytes) override { return std::make_shared<HeapBuffer>(n_bytes, false); }
};

/// Types whose bits are handed out as an unsigned integer of the same size.
bool is_bits_of(DType held, DType asked) {
  if (held == asked) return true;
  if (asked == DType::u16) return held == DType::f16 || held == DType::bf16;
  if (asked == DType::u8) return dtype_bits(held) <= 8 && held != DType::string && held != DType::undefined && held != DType::i8;
  return false;
}

}  // namespace

std::shared_ptr<Buffer> allocate_buffer(std::uint64_t n_bytes) { return std::make_shared<HeapBuffer>(n_bytes, true); }

Allocator& heap_allocator() {
  static HeapAllocator allocator;
  return allocator;
}

Allocator& raw_allocator() {
  static RawAllocator allocator;
  return allocator;
}

Tensor::Tensor(DType dtype, Shape shape, Allocator& allocator)
    : dtype_(dtype), shape_(std::move(shape)), n_elements_(bitwright::n_elements(shape_)) {
  if (dtype == DType::string) {
    strings_ = std::make_shared<std::vector<std::string>>(addressable(static_cast<std::uint64_t>(n_elements_)));
    return;
  }
  const std::uint64_t n_bytes = packed_bytes(dtype, static_cast<std::uint64_t>(n_elements_));
  size_bytes_ = addressable(n_bytes);
  buffer_ = allocator.allocate(n_bytes);
}

Tensor::Tensor(DType dtype, Shape shape, std::shared_ptr<Buffer> buffer, std::size_t offset_bytes)
    : dtype_(dtype),
      shape_(std::move(shape)),
      n_elements_(bitwright::n_elements(shape_)),
      offset_bytes_(offset_bytes),
      buffer_(std::move(buffer)) {
  size_bytes_ = addressable(packed_bytes(dtype, static_cast<std::uint64_t>(n_elements_)));
  BITWRIGHT_ASSERT(is_inside(offset_bytes_, size_bytes_, buffer_->size_bytes()));
}

Tensor Tensor::of_strings(Shape shape, std::vector<std::string> values) {
  Tensor tensor(DType::string, std::move(shape));
  BITWRIGHT_ASSERT(values.size() == tensor.strings_->size());
  *tensor.strings_ = std::move(values);
  return tensor;
}

void Tensor::check_access(DType asked, std::size_t element_bytes) const {
  BITWRIGHT_ASSERT(element_bytes != 0);
  if (!is_bits_of(dtype_, asked))
    throw_error(ErrorCode::shape_mismatch,
                {"a tensor of ", dtype_name(asked), " is needed, one of ", dtype_name(dtype_), " was given"});
}

std::span<std::uint8_t> Tensor::bytes() { return {buffer_ ? buffer_->data() + offset_bytes_ : nullptr, size_bytes_}; }
std::span<const std::uint8_t> Tensor::bytes() const { return {buffer_ ? buffer_->data() + offset_bytes_ : nullptr, size_bytes_}; }

std::vector<std::string>& Tensor::strings() {
  BITWRIGHT_ASSERT(strings_ != nullptr);
  return *strings_;
}

const std::vector<std::string>& Tensor::strings() const {
  BITWRIGHT_ASSERT(strings_ != nullptr);
  return *strings_;
}

Tensor Tensor::reshaped(Shape shape) const {
  if (bitwright::n_elements(shape) != n_elements_)
    throw_error(ErrorCode::shape_mismatch, {"shape ", shape_, " cannot be seen as ", shape});
  Tensor view = *this;
  view.shape_ = std::move(shape);
  return view;
}

Tensor Tensor::clone() const {
  Tensor copy = *this;
  if (strings_) copy.strings_ = std::make_shared<std::vector<std::string>>(*strings_);
  if (buffer_) {
    copy.buffer_ = allocate_buffer(size_bytes_);
    copy.offset_bytes_ = 0;
    if (size_bytes_ != 0) std::memcpy(copy.buffer_->data(), buffer_->data() + offset_bytes_, size_bytes_);
  }
  return copy;
}

std::vector<std::int64_t> to_i64_vector(const Tensor& tensor) {
  if (!is_integer(tensor.dtype()) && tensor.dtype() != DType::boolean)
    throw_error(ErrorCode::shape_mismatch, {"integers are needed, a tensor of ", dtype_name(tensor.dtype()), " was given"});
  std::vector<std::int64_t> values(static_cast<std::size_t>(tensor.n_elements()));
  read_elements(tensor, 0, std::span<std::int64_t>(values));
  return values;
}

std::vector<float> to_f32_vector(const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  read_elements(tensor, 0, std::span<float>(values));
  return values;
}

}  // namespace bitwright
