#pragma once

#include <cmath>
#include <cstring>
#include <string>

#include "tensor/tensor.h"

namespace bitwright::tools {

/// |a - b| <= absolute + relative * |b|, as the ONNX backend tests compare; NaN equals NaN.
struct Tolerance {
  double absolute;
  double relative;
};

/// The suite's own bounds, with room for another order of summation. Half floats have 11 (bf16: 8) bits.
inline Tolerance tolerance_of(DType dtype) {
  if (dtype == DType::f16) return {1e-3, 2e-3};
  if (dtype == DType::bf16) return {1e-2, 1e-2};
  return {1e-5, 1e-3};
}

inline bool is_near(double a, double b, Tolerance tolerance) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (std::isinf(a) || std::isinf(b)) return a == b;
  return std::abs(a - b) <= tolerance.absolute + tolerance.relative * std::abs(b);
}

template <typename T>
std::string first_difference(const std::vector<T>& got, const std::vector<T>& wanted, Tolerance tolerance) {
  std::size_t n_wrong = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (!is_near(static_cast<double>(got[i]), static_cast<double>(wanted[i]), tolerance) && n_wrong++ == 0) first = i;
  if (n_wrong == 0) return {};
  return std::to_string(n_wrong) + " of " + std::to_string(wanted.size()) + " elements differ, first [" + std::to_string(first) +
         "]: " + std::to_string(got[first]) + " for " + std::to_string(wanted[first]);
}

inline bool is_nan_f8(DType dtype, std::uint8_t bits) {
  if (dtype == DType::e8m0) return bits == 0xff;
  if (dtype == DType::f8e4m3fn) return (bits & 0x7f) == 0x7f;
  if (dtype == DType::f8e5m2) return (bits & 0x7f) > 0x7c;
  return bits == 0x80;
}

/// 8-bit floats are equal in bits, or both not a number.
inline bool is_equal_f8(const Tensor& got, const Tensor& wanted) {
  for (std::size_t i = 0; i < wanted.size_bytes(); ++i) {
    const std::uint8_t a = got.bytes()[i];
    const std::uint8_t b = wanted.bytes()[i];
    if (a != b && !(is_nan_f8(wanted.dtype(), a) && is_nan_f8(wanted.dtype(), b))) return false;
  }
  return true;
}

/// Empty if equal: exactly for integers, booleans, strings and 8-bit floats, within the tolerance for other floats.
inline std::string difference(const Tensor& got, const Tensor& wanted) {
  if (got.dtype() != wanted.dtype())
    return "type " + std::string(dtype_name(got.dtype())) + " for " + std::string(dtype_name(wanted.dtype()));
  if (got.shape() != wanted.shape()) return "shape " + to_string(got.shape()) + " for " + to_string(wanted.shape());
  switch (wanted.dtype()) {
    case DType::string:
      return got.strings() == wanted.strings() ? std::string{} : "strings differ";
    case DType::f64: {
      const auto a = got.data<double>();
      const auto b = wanted.data<double>();
      return first_difference(std::vector<double>(a.begin(), a.end()), std::vector<double>(b.begin(), b.end()),
                              tolerance_of(DType::f64));
    }
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return first_difference(to_f32_vector(got), to_f32_vector(wanted), tolerance_of(wanted.dtype()));
    default:
      break;
  }
  if (got.size_bytes() == 0 || std::memcmp(got.bytes().data(), wanted.bytes().data(), got.size_bytes()) == 0) return {};
  if (dtype_bits(wanted.dtype()) >= 8 && (is_integer(wanted.dtype()) || wanted.dtype() == DType::boolean))
    return first_difference(to_i64_vector(got), to_i64_vector(wanted), {0.0, 0.0});
  if (is_float(wanted.dtype()) && dtype_bits(wanted.dtype()) == 8 && is_equal_f8(got, wanted)) return {};
  return "bytes differ";
}

}  // namespace bitwright::tools
