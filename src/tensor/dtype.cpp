#include "tensor/dtype.h"

#include <string>

#include "base/checked.h"
#include "base/error.h"

namespace bitwright {

namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  int bits;
};

constexpr DTypeRow kRows[] = {
#define BITWRIGHT_DTYPE(name, onnx, bits) {DType::name, DType::name == DType::boolean ? "bool" : #name, bits},
#include "tensor/dtype.inc"
#undef BITWRIGHT_DTYPE
};

}  // namespace

std::string_view dtype_name(DType dtype) {
  for (const DTypeRow& row : kRows)
    if (row.dtype == dtype) return row.name;
  return "undefined";
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeRow& row : kRows)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

std::optional<DType> dtype_from_onnx(std::int64_t number) {
  for (const DTypeRow& row : kRows)
    if (static_cast<std::int64_t>(row.dtype) == number) return row.dtype;
  return std::nullopt;
}

int dtype_bits(DType dtype) {
  for (const DTypeRow& row : kRows)
    if (row.dtype == dtype) return row.bits;
  return 0;
}

std::uint64_t packed_bytes(DType dtype, std::uint64_t n_elements) {
  const auto bits = static_cast<std::uint64_t>(dtype_bits(dtype));
  if (bits < 8) return n_elements * bits / 8 + (n_elements % (bits == 0 ? 1 : 8 / bits) != 0 ? 1 : 0);
  const auto n_bytes = checked_mul(n_elements, bits / 8);
  if (!n_bytes)
    throw_error(ErrorCode::limit_exceeded, {n_elements, " elements of ", dtype_name(dtype), " do not fit in 64 bits"});
  return *n_bytes;
}

bool is_float(DType dtype) {
  switch (dtype) {
    case DType::f16:
    case DType::bf16:
    case DType::f32:
    case DType::f64:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f4e2m1:
      return true;
    default:
      return false;
  }
}

bool is_integer(DType dtype) {
  switch (dtype) {
    case DType::i2:
    case DType::u2:
    case DType::i4:
    case DType::u4:
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::i32:
    case DType::u32:
    case DType::i64:
    case DType::u64:
      return true;
    default:
      return false;
  }
}

bool is_signed(DType dtype) {
  switch (dtype) {
    case DType::i2:
    case DType::i4:
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
      return true;
    default:
      return is_float(dtype);
  }
}

}  // namespace bitwright
