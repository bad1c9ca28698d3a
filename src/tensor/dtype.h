#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bitwright {

/// Element types. `undefined` stands for "not known" in inference. The word for `boolean` in reports is `bool`.
enum class DType : std::uint8_t {
  undefined = 0,
#define BITWRIGHT_DTYPE(name, onnx, bits) name = onnx,
#include "tensor/dtype.inc"
#undef BITWRIGHT_DTYPE
};

/// `f32`, `i8`, `bool` ...; `undefined` for the unknown one.
std::string_view dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);
/// From the number in a TensorProto; nothing for a number we do not know.
std::optional<DType> dtype_from_onnx(std::int64_t number);
/// Bits per element; 0 for string and undefined.
int dtype_bits(DType dtype);
/// Bytes that n elements take when packed (two 4-bit elements a byte, low nibble first; four 2-bit elements, low bits first).
/// Throws Error{limit_exceeded} where the count does not fit in 64 bits.
std::uint64_t packed_bytes(DType dtype, std::uint64_t n_elements);

bool is_float(DType dtype);    // f16 bf16 f32 f64 and the 8- and 4-bit floats
bool is_integer(DType dtype);  // signed and unsigned, 2 to 64 bits; not boolean
bool is_signed(DType dtype);

/// Maps a C++ type to its element type: dtype_of<float>() == DType::f32. Half floats are uint16_t in memory and have no mapping.
template <typename T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<std::int8_t>() {
  return DType::i8;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<std::int16_t>() {
  return DType::i16;
}
template <>
constexpr DType dtype_of<std::uint16_t>() {
  return DType::u16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::uint32_t>() {
  return DType::u32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<std::uint64_t>() {
  return DType::u64;
}
template <>
constexpr DType dtype_of<bool>() {
  return DType::boolean;
}

}  // namespace bitwright
