#pragma once

namespace bitwright {

/// The nearest integer, halves to the even one, for |value| <= 2^51; larger values, infinities and NaN come back as
/// they are. Adding 1.5 * 2^52 leaves no bits for the fraction, and the addition itself rounds half to even.
inline double round_half_even(double value) {
  constexpr double kMagic = 0x1.8p52;
  if (!(value < 0x1p51 && value > -0x1p51)) return value;
  return (value + kMagic) - kMagic;
}

}  // namespace bitwright
