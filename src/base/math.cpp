#include "base/math.h"

#include <limits>

#include "base/simd_int.h"

namespace bitwright {

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kLn2High = 0.693359375f;  // 10 bits: times an exponent it is exact
constexpr float kLn2Low = -2.12194440e-4f;

/// Constants that are read from memory where they are used, each by one instruction: see in_register in base/simd.h. These functions
/// have too many for the registers.
class Constants {
 public:
  template <std::size_t N>
  explicit Constants(const float (&table)[N]) : at_(table) {
    asm volatile("" : "+r"(at_));  // or the compiler would know them, and write them out
  }
  f32x4 operator[](std::size_t i) const { return (f32x4)load_splat(at_ + i); }

 private:
  const float* at_;
};

template <std::size_t N>
f32x4 horner(const float (&coefficients)[N], f32x4 x) {
  const Constants c(coefficients);
  f32x4 y = c[0];
  for (std::size_t i = 1; i < N; ++i) y = y * x + c[i];
  return y;
}

/// exp for who has it in a loop or at the end of a function; the others call it.
[[gnu::always_inline]] inline f32x4 inline_exp(f32x4 x) {
  static constexpr float kTable[] = {-104.0f, 89.0f, 1.44269504088896341f, 12582912.0f, kLn2High, kLn2Low, 1.0f};
  static constexpr float kSeries[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                      4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
  const Constants c(kTable);
  const f32x4 lowest = c[0], magic = c[3], one = c[6];
  // Below, 0 is the nearest float. Arithmetic would find it too, but processors take a hundred times as long over results that
  // underflow, and masked attention is full of them.
  const i32x4 is_not_zero = ~i32x4(x < lowest);
  const f32x4 bounded = max(min(x, c[1]), lowest);
  const f32x4 rounded = bounded * c[2] + magic;  // as round_small does; the low bits are the integer
  const i32x4 is_normal = i32x4(rounded == rounded) & is_not_zero;
  const f32x4 n = float_of_bits(bits_of(rounded - magic) & is_normal);
  const f32x4 r = (bounded - n * c[4]) - n * c[5];
  const f32x4 y = horner(kSeries, r) * (r * r) + r + one;
  // In two steps: 2^128 and 2^-150 are no normal floats.
  const i32x4 exponent = (bits_of(rounded) - bits_of(magic)) & is_normal;
  const i32x4 half = exponent >> 1;
  const auto power_of_two = [&](i32x4 of) { return float_of_bits((of << 23) + bits_of(one)); };
  return float_of_bits(bits_of(y * power_of_two(half) * power_of_two(exponent - half)) & is_not_zero);
}

}  // namespace

[[gnu::noinline]] f32x4 exp(f32x4 x) { return inline_exp(x); }

[[gnu::noinline]] f32x4 log(f32x4 x) {
  static constexpr float kSeries[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                                      -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                                      2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
  const i32x4 is_small = x < splat(0x1p-126f);
  const i32x4 bits = bits_of(select(is_small, x * 0x1p23f, x));
  i32x4 exponent = ((bits >> 23) & 255) - 126 - (is_small & 23);
  f32x4 m = float_of_bits((bits & 0x7fffff) | 0x3f000000);  // [0.5, 1)
  const i32x4 is_low = m < splat(0.707106781186547524f);
  exponent = exponent + is_low;  // -1 where low
  m = m + select(is_low, m, splat(0.0f)) - 1.0f;
  const f32x4 e = to_f32x4(exponent);
  const f32x4 z = m * m;
  const f32x4 y = horner(kSeries, m) * m * z + e * kLn2Low - 0.5f * z;
  f32x4 result = (m + y) + e * kLn2High;
  result = select(x == kInf, x, result);
  result = select(x == 0.0f, splat(-kInf), result);
  const i32x4 is_valid = x >= splat(0.0f);
  return select(is_valid, result, splat(std::numeric_limits<float>::quiet_NaN()));
}

f32x4 tanh(f32x4 x) {
  static constexpr float kSeries[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f,
                                      -3.33332819422e-1f};
  const f32x4 magnitude = abs(x);
  const f32x4 z = x * x;
  const f32x4 inner = horner(kSeries, z) * z * x + x;
  const f32x4 outer = 1.0f - 2.0f / (inline_exp(magnitude + magnitude) + 1.0f);
  const f32x4 signed_outer = float_of_bits(bits_of(outer) | (bits_of(x) & static_cast<std::int32_t>(0x80000000u)));
  return select(magnitude < splat(0.625f), inner, signed_outer);
}

f32x4 sigmoid(f32x4 x) {
  const f32x4 e = inline_exp(-abs(x));
  return select(x < splat(0.0f), e, splat(1.0f)) / (1.0f + e);
}

f32x4 softplus(f32x4 x) {
  const f32x4 e = exp(-abs(x));
  const f32x4 u = 1.0f + e;
  const f32x4 d = u - 1.0f;
  const f32x4 log1p = select(d == 0.0f, e, log(u) * (e / select(d == 0.0f, splat(1.0f), d)));  // Kahan: log(u) / d is accurate
  return log1p + max(x, splat(0.0f));
}

f32x4 erf(f32x4 x) {
  static constexpr float kInner[] = {-5.96761703e-4f, 4.99119423e-3f,  -2.67681349e-2f,
                                     1.12819925e-1f,  -3.76125336e-1f, 1.28379166e-1f};
  const f32x4 t = abs(x);
  const f32x4 s = x * x;
  const f32x4 inner = horner(kInner, s) * x + x;
  const f32x4 b = min(t, splat(4.0f));  // erf(4) rounds to 1
  const f32x4 high = -1.72853470e-5f * b + 3.83197126e-4f;
  const f32x4 low = -3.88396438e-3f * b + 2.42546219e-2f;
  f32x4 r = high * (b * b) + low;
  r = r * b - 1.06777877e-1f;
  r = r * b - 6.34846687e-1f;
  r = r * b - 1.28717512e-1f;
  r = r * b - b;
  const f32x4 outer = 1.0f - inline_exp(r);
  const f32x4 signed_outer = float_of_bits(bits_of(outer) | (bits_of(x) & static_cast<std::int32_t>(0x80000000u)));
  return select(t > splat(0.927734375f), signed_outer, inner);
}

float exp(float x) { return exp(splat(x))[0]; }
float log(float x) { return log(splat(x))[0]; }
float tanh(float x) { return tanh(splat(x))[0]; }
float sigmoid(float x) { return sigmoid(splat(x))[0]; }
float erf(float x) { return erf(splat(x))[0]; }
float softplus(float x) { return softplus(splat(x))[0]; }
float sin(float x) { return static_cast<float>(f64::sin(static_cast<double>(x))); }
float cos(float x) { return static_cast<float>(f64::cos(static_cast<double>(x))); }
float pow(float x, float y) {
  if (y == 2.0f) return x * x;  // what models ask for most, and rounded as the general way would
  return static_cast<float>(f64::pow(static_cast<double>(x), static_cast<double>(y)));
}

}  // namespace bitwright
