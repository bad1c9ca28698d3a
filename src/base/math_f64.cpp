#include <bit>
#include <cmath>
#include <limits>

#include "base/math.h"

// Polynomials and range reductions after fdlibm (Sun Microsystems, 1993), written anew. Only floor, fmod, sqrt, fabs and copysign
// come from the C library: IEEE defines their bits.
namespace bitwright::f64 {

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;
constexpr double kPi = 3.14159265358979311600e+00;

template <std::size_t N>
double horner(const double (&coefficients)[N], double x) {
  double y = coefficients[0];
  for (std::size_t i = 1; i < N; ++i) y = y * x + coefficients[i];
  return y;
}

double power_of_two(std::int64_t n) { return std::bit_cast<double>((n + 1023) << 52); }

/// x = quadrant * pi/2 + r, |r| <= pi/4.
double reduced(double x, int& quadrant) {
  constexpr double kExactBelow = 1.6e6;  // n < 2^20 keeps n times each 33-bit part exact
  if (std::fabs(x) > kExactBelow) x = std::fmod(x, 2.0 * kPi);
  const double n = std::floor(x * (2.0 / kPi) + 0.5);
  quadrant = static_cast<int>(static_cast<std::int64_t>(n) & 3);
  return ((x - n * 1.57079632673412561417e+00) - n * 6.07710050630396597660e-11) - n * 2.02226624879595063154e-21;
}

double sin_near_zero(double r) {
  static constexpr double kSeries[] = {1.58969099521155010221e-10,  -2.50507602534068634195e-08, 2.75573137070700676789e-06,
                                       -1.98412698298579493134e-04, 8.33333333332248946124e-03,  -1.66666666666666324348e-01};
  const double z = r * r;
  return r + r * z * horner(kSeries, z);
}

double cos_near_zero(double r) {
  static constexpr double kSeries[] = {-1.13596475577881948265e-11, 2.08757232129817482790e-09,  -2.75573143513906633035e-07,
                                       2.48015872894767294178e-05,  -1.38888888888741095749e-03, 4.16666666666666019037e-02};
  const double z = r * r;
  const double half = 0.5 * z;
  const double w = 1.0 - half;
  return w + (((1.0 - w) - half) + z * z * horner(kSeries, z));
}

}  // namespace

double exp(double x) {
  static constexpr double kSeries[] = {4.13813679705723846039e-08, -1.65339022054652515390e-06, 6.61375632143793436117e-05,
                                       -2.77777777770155933842e-03, 1.66666666666666019037e-01};
  if (x != x) return x;
  if (x > 709.782712893383973096) return kInf;
  if (x < -745.2) return 0.0;
  const double n = std::floor(x * 1.44269504088896338700 + 0.5);
  const double high = x - n * kLn2High;
  const double low = n * kLn2Low;
  const double r = high - low;
  const double t = r * r;
  const double c = r - t * horner(kSeries, t);
  const double y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
  const auto exponent = static_cast<std::int64_t>(n);
  const std::int64_t half = exponent >> 1;
  return y * power_of_two(half) * power_of_two(exponent - half);
}

double log(double x) {
  static constexpr double kSeries[] = {1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
                                       2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
                                       6.666666666666735130e-01};
  if (x == 0.0) return -kInf;
  if (!(x > 0.0)) return kNan;
  if (x == kInf) return x;
  std::int64_t k = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    k -= 54;
  }
  const auto bits = std::bit_cast<std::int64_t>(x);
  k += (bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  if (m > 1.41421356237309504880) {
    m *= 0.5;
    ++k;
  }
  const double f = m - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double half_square = 0.5 * f * f;
  const double e = static_cast<double>(k);
  return e * kLn2High - ((half_square - (s * (half_square + z * horner(kSeries, z)) + e * kLn2Low)) - f);
}

// expm1 and log1p after W. Kahan: the error of the rounded argument cancels in the quotient.
double expm1(double x) {
  const double u = exp(x);
  if (u == 1.0) return x;
  if (u == kInf || u - 1.0 == -1.0) return u - 1.0;
  return (u - 1.0) * x / log(u);
}

double log1p(double x) {
  const double u = 1.0 + x;
  if (u == 1.0) return x;
  if (u == kInf || !(u > 0.0)) return log(u);
  return log(u) * x / (u - 1.0);
}

double sin(double x) {
  if (!(std::fabs(x) < kInf)) return kNan;
  int quadrant = 0;
  const double r = reduced(x, quadrant);
  const double value = (quadrant & 1) != 0 ? cos_near_zero(r) : sin_near_zero(r);
  return (quadrant & 2) != 0 ? -value : value;
}

double cos(double x) {
  if (!(std::fabs(x) < kInf)) return kNan;
  int quadrant = 0;
  const double r = reduced(x, quadrant);
  const double value = (quadrant & 1) != 0 ? sin_near_zero(r) : cos_near_zero(r);
  return quadrant == 1 || quadrant == 2 ? -value : value;
}

double tan(double x) { return sin(x) / cos(x); }

double atan(double x) {
  static constexpr double kSeries[] = {1.62858201153657823623e-02,  -3.65315727442169155270e-02, 4.97687799461593236017e-02,
                                       -5.83357013379057348645e-02, 6.66107313738753120669e-02,  -7.69187620504482999495e-02,
                                       9.09088713343650656196e-02,  -1.11111104054623557880e-01, 1.42857142725034663711e-01,
                                       -1.99999999998764832476e-01, 3.33333333333329318027e-01};
  if (x != x) return x;
  const double t = std::fabs(x);
  double base = 0.0;
  double r = t;
  if (t >= 2.4375) {
    base = 1.57079632679489655800e+00;
    r = -1.0 / t;
  } else if (t >= 1.1875) {
    base = 9.82793723247329054082e-01;
    r = (t - 1.5) / (1.0 + 1.5 * t);
  } else if (t >= 0.6875) {
    base = 7.85398163397448278999e-01;
    r = (t - 1.0) / (t + 1.0);
  } else if (t >= 0.4375) {
    base = 4.63647609000806093515e-01;
    r = (2.0 * t - 1.0) / (2.0 + t);
  }
  const double z = r * r;
  return std::copysign(base + (r - r * z * horner(kSeries, z)), x);
}

double atan2(double y, double x) {
  if (x != x || y != y) return kNan;
  if (y == 0.0) return std::signbit(x) ? std::copysign(kPi, y) : y;
  if (x == 0.0) return std::copysign(0.5 * kPi, y);
  if (std::fabs(x) == kInf && std::fabs(y) == kInf) return std::copysign(x > 0.0 ? 0.25 * kPi : 0.75 * kPi, y);
  const double angle = atan(std::fabs(y / x));
  return std::copysign(x > 0.0 ? angle : kPi - angle, y);
}

double asin(double x) { return atan2(x, std::sqrt((1.0 - x) * (1.0 + x))); }
double acos(double x) { return atan2(std::sqrt((1.0 - x) * (1.0 + x)), x); }

double sinh(double x) {
  const double t = std::fabs(x);
  if (t > 700.0) {
    const double root = exp(0.5 * t);
    return std::copysign(0.5 * root * root, x);
  }
  const double e = expm1(t);
  return std::copysign(0.5 * (e + e / (e + 1.0)), x);
}

double cosh(double x) {
  const double root = exp(0.5 * std::fabs(x));
  const double e = root * root;
  return 0.5 * root * root + 0.5 / e;
}

double tanh(double x) {
  const double t = std::fabs(x);
  if (t > 22.0) return std::copysign(1.0, x);
  const double e = expm1(2.0 * t);
  return std::copysign(e / (e + 2.0), x);
}

double asinh(double x) {
  const double t = std::fabs(x);
  if (t > 1e8) return std::copysign(log(t) + (kLn2High + kLn2Low), x);
  return std::copysign(log1p(t + t * t / (1.0 + std::sqrt(t * t + 1.0))), x);
}

double acosh(double x) {
  if (x > 1e8) return log(x) + (kLn2High + kLn2Low);
  const double t = x - 1.0;
  return log1p(t + std::sqrt(2.0 * t + t * t));
}

double atanh(double x) {
  const double t = std::fabs(x);
  return std::copysign(0.5 * log1p(2.0 * t / (1.0 - t)), x);
}

double pow(double x, double y) {
  if (y == 0.0 || x == 1.0) return 1.0;
  if (x != x || y != y) return kNan;
  const bool is_whole = std::floor(y) == y;
  if (is_whole && std::fabs(y) <= 64.0) {  // small integers by multiplication: exact where the result is
    double result = 1.0;
    double square = x;
    for (int n = static_cast<int>(std::fabs(y)); n != 0; n >>= 1) {
      if ((n & 1) != 0) result *= square;
      square *= square;
    }
    return y < 0.0 ? 1.0 / result : result;
  }
  const bool is_odd = is_whole && std::fabs(y) < 0x1p53 && std::fmod(y, 2.0) != 0.0;
  const bool is_negative = std::signbit(x) && is_odd;
  const double base = std::fabs(x);
  if (x < 0.0 && !is_whole && base != kInf && std::fabs(y) != kInf) return kNan;
  if (base == 1.0) return is_negative ? -1.0 : 1.0;
  if (y == 0.5 && x >= 0.0) return std::sqrt(x);
  const double result = exp(y * log(base));
  return is_negative ? -result : result;
}

double erf(double x) {
  const double t = std::fabs(x);
  if (x != x) return x;
  if (t >= 6.0) return std::copysign(1.0, x);
  // 2/sqrt(pi) exp(-t^2) sum of 2^n t^(2n+1) / (1 3 5 ... (2n+1)): every term is positive, nothing cancels.
  double term = t;
  double sum = t;
  for (int n = 1; n < 300 && term > sum * 0x1p-56; ++n) {
    term *= 2.0 * t * t / (2.0 * n + 1.0);
    sum += term;
  }
  return std::copysign(1.12837916709551255856 * exp(-t * t) * sum, x);
}

}  // namespace bitwright::f64
