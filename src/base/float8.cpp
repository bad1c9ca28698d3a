#include "base/float8.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace bitwright {

float small_float_to_f32(const SmallFloat& format, std::uint8_t code) {
  const int n_bits = 1 + format.exponent_bits + format.mantissa_bits;
  const int sign = (code >> (n_bits - 1)) & 1;
  const int magnitude = code & ((1 << (n_bits - 1)) - 1);
  const int exponent = magnitude >> format.mantissa_bits;
  const int mantissa = magnitude & ((1 << format.mantissa_bits) - 1);
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  if (format.is_fnuz && sign == 1 && magnitude == 0) return kNan;
  if (format.has_infinity && exponent == (1 << format.exponent_bits) - 1) {
    if (mantissa != 0) return kNan;
    return sign != 0 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  }
  if (format.has_nan && !format.is_fnuz && !format.has_infinity && magnitude == (1 << (n_bits - 1)) - 1) return kNan;
  const int whole = exponent == 0 ? mantissa : mantissa + (1 << format.mantissa_bits);
  const float value = std::ldexp(static_cast<float>(whole), std::max(exponent, 1) - format.bias - format.mantissa_bits);
  return sign != 0 ? -value : value;
}

std::uint8_t f32_to_small_float(const SmallFloat& format, float value, bool is_saturating) {
  const int n_bits = 1 + format.exponent_bits + format.mantissa_bits;
  const int sign = std::signbit(value) ? 1 << (n_bits - 1) : 0;
  const int all_ones = (1 << (n_bits - 1)) - 1;
  const int largest_code = format.has_infinity ? ((((1 << format.exponent_bits) - 1) << format.mantissa_bits) - 1)
                                               : all_ones - (format.has_nan && !format.is_fnuz ? 1 : 0);
  const int nan_code = format.is_fnuz ? 0x80 : all_ones;
  if (std::isnan(value))
    return static_cast<std::uint8_t>(format.has_nan ? (format.is_fnuz ? nan_code : sign | nan_code) : all_ones + 1);

  const float magnitude = std::fabs(value);
  int exponent = 1 - format.bias;
  if (magnitude > 0.0f && !std::isinf(magnitude)) exponent = std::max(exponent, std::ilogb(magnitude));
  const double step = std::ldexp(1.0, exponent - format.mantissa_bits);
  const double rounded = std::isinf(magnitude) ? std::numeric_limits<double>::infinity()
                                               : std::nearbyint(static_cast<double>(magnitude) / step) * step;
  if (rounded > static_cast<double>(format.largest)) {
    if (is_saturating || !format.has_nan) return static_cast<std::uint8_t>(sign | largest_code);
    if (format.has_infinity) return static_cast<std::uint8_t>(sign | (largest_code + 1));
    return static_cast<std::uint8_t>(format.is_fnuz ? nan_code : sign | nan_code);
  }
  if (rounded == 0.0) return static_cast<std::uint8_t>(format.is_fnuz ? 0 : sign);
  // Rounding up may have reached the next power of two.
  const int top = std::max(1 - format.bias, std::ilogb(rounded));
  const int whole = static_cast<int>(std::ldexp(rounded, format.mantissa_bits - top));
  const int one = 1 << format.mantissa_bits;
  const int magnitude_code = whole < one ? whole : ((top + format.bias) << format.mantissa_bits) | (whole - one);
  return static_cast<std::uint8_t>(sign | magnitude_code);
}

float e8m0_to_f32(std::uint8_t code) {
  if (code == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, static_cast<int>(code) - 127);
}

std::uint8_t f32_to_e8m0(float value, ScaleRounding rounding, bool is_saturating) {
  if (std::isnan(value)) return 255;
  const float magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return is_saturating ? 254 : 255;
  if (magnitude == 0.0f) return 0;
  int exponent = std::ilogb(magnitude);
  const float base = std::ldexp(1.0f, exponent);
  if (rounding == ScaleRounding::up && magnitude > base) ++exponent;
  if (rounding == ScaleRounding::nearest && magnitude >= base * 1.5f) ++exponent;
  if (exponent > 127) return is_saturating ? 254 : 255;
  return static_cast<std::uint8_t>(std::max(exponent, -127) + 127);
}

}  // namespace bitwright
