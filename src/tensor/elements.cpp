#include "tensor/elements.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/float16.h"

namespace bitwright {

namespace {

[[noreturn]] void refuse(DType dtype) {
  throw_error(ErrorCode::unsupported, {"elements of ", dtype_name(dtype), " cannot be computed with here"});
}

template <typename From, typename To>
To converted(From value) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (value != value) return 0;
    if constexpr (std::is_unsigned_v<To>) {
      if (value >= From(18446744073709551616.0)) return std::numeric_limits<To>::max();
      if (value >= From(9223372036854775808.0)) return static_cast<To>(value);
    }
    if (value >= From(9223372036854775808.0)) return static_cast<To>(std::numeric_limits<std::int64_t>::max());
    if (value < From(-9223372036854775808.0)) return static_cast<To>(std::numeric_limits<std::int64_t>::min());
    return static_cast<To>(static_cast<std::int64_t>(value));
  } else {
    return static_cast<To>(value);
  }
}

template <typename Held, typename Wide>
void read_plain(const std::uint8_t* bytes, std::int64_t first, std::span<Wide> out) {
  const Held* values = reinterpret_cast<const Held*>(bytes) + first;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = converted<Held, Wide>(values[i]);
}

template <typename Held, typename Wide>
void write_plain(std::uint8_t* bytes, std::int64_t first, std::span<const Wide> values) {
  Held* out = reinterpret_cast<Held*>(bytes) + first;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if constexpr (std::is_integral_v<Held> && std::is_floating_point_v<Wide> && sizeof(Held) < 8)
      out[i] = static_cast<Held>(converted<Wide, std::int64_t>(values[i]));
    else
      out[i] = converted<Wide, Held>(values[i]);
  }
}

const SmallFloat* small_float_of(DType dtype) {
  switch (dtype) {
    case DType::f8e4m3fn:
      return &kF8e4m3fn;
    case DType::f8e4m3fnuz:
      return &kF8e4m3fnuz;
    case DType::f8e5m2:
      return &kF8e5m2;
    case DType::f8e5m2fnuz:
      return &kF8e5m2fnuz;
    case DType::f4e2m1:
      return &kF4e2m1;
    default:
      return nullptr;
  }
}

/// The bits of element i of a type of 2, 4 or 8 bits.
int code_at(const std::uint8_t* bytes, int n_bits, std::int64_t i) {
  const int per_byte = 8 / n_bits;
  return (bytes[i / per_byte] >> (i % per_byte * n_bits)) & ((1 << n_bits) - 1);
}

void set_code_at(std::uint8_t* bytes, int n_bits, std::int64_t i, int code) {
  const int per_byte = 8 / n_bits;
  const int offset = static_cast<int>(i % per_byte) * n_bits;
  const int mask = ((1 << n_bits) - 1) << offset;
  bytes[i / per_byte] = static_cast<std::uint8_t>((bytes[i / per_byte] & ~mask) | ((code << offset) & mask));
}

template <typename Wide>
void read_as(const Tensor& tensor, std::int64_t first, std::span<Wide> out) {
  if (out.empty()) return;
  BITWRIGHT_ASSERT(first >= 0 && first <= tensor.n_elements() - static_cast<std::int64_t>(out.size()));
  const std::uint8_t* bytes = tensor.bytes().data();
  const DType dtype = tensor.dtype();
  switch (dtype) {
    case DType::f32:
      return read_plain<float>(bytes, first, out);
    case DType::f64:
      return read_plain<double>(bytes, first, out);
    case DType::i64:
      return read_plain<std::int64_t>(bytes, first, out);
    case DType::u64:
      return read_plain<std::uint64_t>(bytes, first, out);
    case DType::i32:
      return read_plain<std::int32_t>(bytes, first, out);
    case DType::u32:
      return read_plain<std::uint32_t>(bytes, first, out);
    case DType::i16:
      return read_plain<std::int16_t>(bytes, first, out);
    case DType::u16:
      return read_plain<std::uint16_t>(bytes, first, out);
    case DType::i8:
      return read_plain<std::int8_t>(bytes, first, out);
    case DType::u8:
      return read_plain<std::uint8_t>(bytes, first, out);
    case DType::boolean:
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<Wide>(bytes[first + static_cast<std::int64_t>(i)] != 0 ? 1 : 0);
      return;
    case DType::f16:
    case DType::bf16: {
      const auto* halves = reinterpret_cast<const std::uint16_t*>(bytes) + first;
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = converted<float, Wide>(dtype == DType::f16 ? f16_to_f32(halves[i]) : bf16_to_f32(halves[i]));
      return;
    }
    default:
      break;
  }
  const int n_bits = dtype_bits(dtype);
  const SmallFloat* format = small_float_of(dtype);
  if (n_bits == 0 || n_bits > 8) refuse(dtype);
  for (std::size_t i = 0; i < out.size(); ++i) {
    int code = code_at(bytes, n_bits, first + static_cast<std::int64_t>(i));
    if (format != nullptr) {
      out[i] = converted<float, Wide>(small_float_to_f32(*format, static_cast<std::uint8_t>(code)));
    } else if (dtype == DType::e8m0) {
      out[i] = converted<float, Wide>(e8m0_to_f32(static_cast<std::uint8_t>(code)));
    } else {
      if (is_signed(dtype) && code >= 1 << (n_bits - 1)) code -= 1 << n_bits;
      out[i] = static_cast<Wide>(code);
    }
  }
}

template <typename Wide>
void write_as(Tensor& tensor, std::int64_t first, std::span<const Wide> values, NarrowOptions options) {
  if (values.empty()) return;
  BITWRIGHT_ASSERT(first >= 0 && first <= tensor.n_elements() - static_cast<std::int64_t>(values.size()));
  std::uint8_t* bytes = tensor.bytes().data();
  const DType dtype = tensor.dtype();
  switch (dtype) {
    case DType::f32:
      return write_plain<float>(bytes, first, values);
    case DType::f64:
      return write_plain<double>(bytes, first, values);
    case DType::i64:
      return write_plain<std::int64_t>(bytes, first, values);
    case DType::u64:
      return write_plain<std::uint64_t>(bytes, first, values);
    case DType::i32:
      return write_plain<std::int32_t>(bytes, first, values);
    case DType::u32:
      return write_plain<std::uint32_t>(bytes, first, values);
    case DType::i16:
      return write_plain<std::int16_t>(bytes, first, values);
    case DType::u16:
      return write_plain<std::uint16_t>(bytes, first, values);
    case DType::i8:
      return write_plain<std::int8_t>(bytes, first, values);
    case DType::u8:
      return write_plain<std::uint8_t>(bytes, first, values);
    case DType::boolean:
      for (std::size_t i = 0; i < values.size(); ++i) bytes[first + static_cast<std::int64_t>(i)] = values[i] != Wide(0) ? 1 : 0;
      return;
    case DType::f16:
    case DType::bf16: {
      auto* halves = reinterpret_cast<std::uint16_t*>(bytes) + first;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto value = static_cast<float>(values[i]);
        halves[i] = dtype == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
      }
      return;
    }
    default:
      break;
  }
  const int n_bits = dtype_bits(dtype);
  const SmallFloat* format = small_float_of(dtype);
  if (n_bits == 0 || n_bits > 8) refuse(dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    int code = 0;
    if (format != nullptr) {
      code = f32_to_small_float(*format, static_cast<float>(values[i]), options.is_saturating);
    } else if (dtype == DType::e8m0) {
      code = f32_to_e8m0(static_cast<float>(values[i]), options.scale_rounding, options.is_saturating);
    } else {
      code = static_cast<int>(converted<Wide, std::int64_t>(values[i]) & ((1 << n_bits) - 1));
    }
    set_code_at(bytes, n_bits, first + static_cast<std::int64_t>(i), code);
  }
}

}  // namespace

void read_elements(const Tensor& tensor, std::int64_t first, std::span<float> out) { read_as(tensor, first, out); }
void read_elements(const Tensor& tensor, std::int64_t first, std::span<double> out) { read_as(tensor, first, out); }
void read_elements(const Tensor& tensor, std::int64_t first, std::span<std::int64_t> out) { read_as(tensor, first, out); }

void write_elements(Tensor& tensor, std::int64_t first, std::span<const float> values, NarrowOptions options) {
  write_as(tensor, first, values, options);
}
void write_elements(Tensor& tensor, std::int64_t first, std::span<const double> values, NarrowOptions options) {
  write_as(tensor, first, values, options);
}
void write_elements(Tensor& tensor, std::int64_t first, std::span<const std::int64_t> values, NarrowOptions options) {
  write_as(tensor, first, values, options);
}

namespace {

/// Graphs of strangers hand over empty tensors where a value is needed.
void require_element(const Tensor& tensor, std::int64_t i) {
  if (i >= tensor.n_elements())
    throw_error(ErrorCode::shape_mismatch, {"element ", i, " of a tensor of shape ", tensor.shape(), " is needed"});
}

}  // namespace

double element_f64(const Tensor& tensor, std::int64_t i) {
  require_element(tensor, i);
  double value = 0.0;
  read_elements(tensor, i, std::span<double>(&value, 1));
  return value;
}

std::int64_t truncated(double value) { return converted<double, std::int64_t>(value); }

std::int64_t element_i64(const Tensor& tensor, std::int64_t i) {
  require_element(tensor, i);
  std::int64_t value = 0;
  read_elements(tensor, i, std::span<std::int64_t>(&value, 1));
  return value;
}

void fill_elements(Tensor& tensor, const Tensor& value) {
  BITWRIGHT_ASSERT(tensor.dtype() == value.dtype() && value.n_elements() >= 1);
  if (tensor.dtype() == DType::string) {
    std::fill(tensor.strings().begin(), tensor.strings().end(), value.strings()[0]);
    return;
  }
  const auto out = tensor.bytes();
  if (out.empty()) return;
  const int n_bits = dtype_bits(tensor.dtype());
  if (n_bits < 8) {
    const int code = code_at(value.bytes().data(), n_bits, 0);
    for (std::int64_t i = 0; i < tensor.n_elements(); ++i) set_code_at(out.data(), n_bits, i, code);
    return;
  }
  const auto element_bytes = static_cast<std::size_t>(n_bits / 8);
  std::memcpy(out.data(), value.bytes().data(), element_bytes);
  for (std::size_t done = element_bytes; done < out.size();) {  // doubles what is there
    const std::size_t n = std::min(done, out.size() - done);
    std::memcpy(out.data() + done, out.data(), n);
    done += n;
  }
}

}  // namespace bitwright
