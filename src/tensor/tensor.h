#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace bitwright {

/// A block of bytes aligned to 16, followed by at least kSlackBytes that may be read (not written) by vector code.
class Buffer {
 public:
  virtual ~Buffer() = default;
  std::uint8_t* data() { return data_; }
  const std::uint8_t* data() const { return data_; }
  std::size_t size_bytes() const { return size_bytes_; }

 protected:
  std::uint8_t* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

inline constexpr std::size_t kBufferAlignment = 16;
inline constexpr std::size_t kSlackBytes = 16;

/// A fresh zeroed block from the heap. Throws Error{out_of_memory} naming the bytes asked.
std::shared_ptr<Buffer> allocate_buffer(std::uint64_t n_bytes);

/// Where run-time tensors take their memory. The engine's arena reuses blocks; the default is the heap.
class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual std::shared_ptr<Buffer> allocate(std::uint64_t n_bytes) = 0;
};
Allocator& heap_allocator();

/// A dense row-major array: element type, shape, and a shared block of bytes. Copies share the bytes; `clone` copies them.
/// 4- and 2-bit elements are packed. Strings live in a vector of their own.
class Tensor {
 public:
  Tensor() = default;
  /// Allocates. Contents are unspecified with an arena, zero from the heap.
  Tensor(DType dtype, Shape shape, Allocator& allocator = heap_allocator());
  /// Shares bytes: used for views of the same bytes under another shape.
  Tensor(DType dtype, Shape shape, std::shared_ptr<Buffer> buffer, std::size_t offset_bytes = 0);

  template <typename T>
  static Tensor of(Shape shape, std::span<const T> values);
  template <typename T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  template <typename T>
  static Tensor scalar(T value) {
    return of<T>({}, {value});
  }
  static Tensor of_strings(Shape shape, std::vector<std::string> values);

  bool is_defined() const { return dtype_ != DType::undefined; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t rank() const { return shape_.size(); }
  std::int64_t extent(std::size_t axis) const { return shape_[axis]; }
  std::int64_t n_elements() const { return n_elements_; }
  std::size_t size_bytes() const { return size_bytes_; }

  /// The elements; T must be the element type (half and 8-bit floats: their bits as uint16_t, uint8_t). Asserted.
  template <typename T>
  std::span<T> data();
  template <typename T>
  std::span<const T> data() const;
  std::span<std::uint8_t> bytes();
  std::span<const std::uint8_t> bytes() const;
  std::vector<std::string>& strings();
  const std::vector<std::string>& strings() const;

  /// The same bytes under another shape with as many elements. Throws Error{shape_mismatch}.
  Tensor reshaped(Shape shape) const;
  Tensor clone() const;
  const std::shared_ptr<Buffer>& buffer() const { return buffer_; }

 private:
  void check_access(DType asked, std::size_t element_bytes) const;

  DType dtype_ = DType::undefined;
  Shape shape_;
  std::int64_t n_elements_ = 0;
  std::size_t size_bytes_ = 0;
  std::size_t offset_bytes_ = 0;
  std::shared_ptr<Buffer> buffer_;
  std::shared_ptr<std::vector<std::string>> strings_;
};

/// The integer elements of a shape-like tensor (i64, i32, or another integer type), widened. Throws Error{shape_mismatch}.
std::vector<std::int64_t> to_i64_vector(const Tensor& tensor);
/// The elements as float, whatever the element type (half floats, integers, 4-bit ...). Throws Error{unsupported} for strings.
std::vector<float> to_f32_vector(const Tensor& tensor);

template <typename T>
std::span<T> Tensor::data() {
  check_access(dtype_of<T>(), sizeof(T));
  return {reinterpret_cast<T*>(buffer_ ? buffer_->data() + offset_bytes_ : nullptr), size_bytes_ / sizeof(T)};
}

template <typename T>
std::span<const T> Tensor::data() const {
  check_access(dtype_of<T>(), sizeof(T));
  return {reinterpret_cast<const T*>(buffer_ ? buffer_->data() + offset_bytes_ : nullptr), size_bytes_ / sizeof(T)};
}

template <typename T>
Tensor Tensor::of(Shape shape, std::span<const T> values) {
  Tensor tensor(dtype_of<T>(), std::move(shape));
  std::span<T> out = tensor.data<T>();
  if (out.size() != values.size()) tensor.check_access(DType::undefined, 0);
  std::copy(values.begin(), values.end(), out.begin());
  return tensor;
}

}  // namespace bitwright
