#pragma once

#include "base/simd.h"

namespace bitwright {

// Transcendental functions of our own. Results consist of IEEE additions, multiplications, divisions, square roots and bit
// operations only, so that their bits are the same natively and in wasm; no libm call decides a result.
// The greatest error against the exact value, in units in the last place of the result, stands beside each; tests keep it.

// Four lanes at once. Each has a scalar twin below, which is lane 0 of it.
f32x4 exp(f32x4 x);       // 1.5 ulp; overflow to infinity, gradual underflow
f32x4 log(f32x4 x);       // 1.5 ulp; -inf at 0, NaN below
f32x4 tanh(f32x4 x);      // 2 ulp
f32x4 sigmoid(f32x4 x);   // 2.5 ulp: 1 / (1 + exp(-x))
f32x4 erf(f32x4 x);       // 2 ulp
f32x4 softplus(f32x4 x);  // 2.5 ulp: log(1 + exp(x)), without overflow

float exp(float x);
float log(float x);
float tanh(float x);
float sigmoid(float x);
float erf(float x);
float softplus(float x);

// Through double arithmetic: 0.6 ulp in float.
float sin(float x);  // |x| <= 1e6; beyond, the error grows by |x| * 2^-53
float cos(float x);  // likewise
float pow(float x, float y);

// Double. 2 ulp unless said otherwise; what is special (NaN, infinities, poles) follows C99.
namespace f64 {
double exp(double x);
double expm1(double x);
double log(double x);
double log1p(double x);
double sin(double x);  // |x| <= 1e6: absolute error below 2^-52; beyond, |x| * 2^-53
double cos(double x);
double tan(double x);
double asin(double x);
double acos(double x);
double atan(double x);
double atan2(double y, double x);
double sinh(double x);
double cosh(double x);
double tanh(double x);
double asinh(double x);
double acosh(double x);
double atanh(double x);
double pow(double x, double y);  // relative error 2^-45: log and exp carry extra bits, not twice as many
double erf(double x);            // absolute error 2^-49
}  // namespace f64

}  // namespace bitwright
