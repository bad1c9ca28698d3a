#include <cmath>

#include "base/math.h"
#include "kernels/elementwise_f32/elementwise_f32.h"

namespace bitwright {

namespace {

constexpr std::int32_t kSignBit = static_cast<std::int32_t>(0x80000000u);
const f32x4 kZero = {0.0f, 0.0f, 0.0f, 0.0f};
const f32x4 kOne = {1.0f, 1.0f, 1.0f, 1.0f};

f32x4 with_sign_of(f32x4 magnitude, f32x4 sign) { return float_of_bits(bits_of(magnitude) | (bits_of(sign) & kSignBit)); }

f32x4 truncated(f32x4 x) {  // for |x| < 2^23; the rest is whole already
  const i32x4 is_large = ~(abs(x) < splat(8388608.0f));
  return select(is_large, x, to_f32x4(to_i32x4(select(is_large, kZero, x))));
}

namespace maps {
f32x4 abs(f32x4 x, MapParams) { return bitwright::abs(x); }
f32x4 neg(f32x4 x, MapParams) { return -x; }
f32x4 sqrt(f32x4 x, MapParams) {
  for (int i = 0; i < 4; ++i) x[i] = std::sqrt(x[i]);
  return x;
}
f32x4 reciprocal(f32x4 x, MapParams) { return 1.0f / x; }
f32x4 exp(f32x4 x, MapParams) { return bitwright::exp(x); }
f32x4 log(f32x4 x, MapParams) { return bitwright::log(x); }
f32x4 tanh(f32x4 x, MapParams) { return bitwright::tanh(x); }
f32x4 erf(f32x4 x, MapParams) { return bitwright::erf(x); }
f32x4 sigmoid(f32x4 x, MapParams) { return bitwright::sigmoid(x); }
f32x4 softplus(f32x4 x, MapParams) { return bitwright::softplus(x); }
f32x4 softsign(f32x4 x, MapParams) { return x / (1.0f + bitwright::abs(x)); }
f32x4 mish(f32x4 x, MapParams) { return x * bitwright::tanh(bitwright::softplus(x)); }
f32x4 relu(f32x4 x, MapParams) { return max(x, kZero); }
f32x4 leaky_relu(f32x4 x, MapParams p) { return select(x < kZero, x * p.alpha, x); }
f32x4 elu(f32x4 x, MapParams p) { return select(x < kZero, (bitwright::exp(x) - 1.0f) * p.alpha, x); }
f32x4 selu(f32x4 x, MapParams p) { return select(x > kZero, x, (bitwright::exp(x) - 1.0f) * p.alpha) * p.beta; }
f32x4 celu(f32x4 x, MapParams p) { return select(x < kZero, (bitwright::exp(x / p.alpha) - 1.0f) * p.alpha, x); }
f32x4 gelu(f32x4 x, MapParams) { return 0.5f * x * (1.0f + bitwright::erf(x * 0.707106781186547524f)); }
f32x4 gelu_tanh(f32x4 x, MapParams) {
  return 0.5f * x * (1.0f + bitwright::tanh(0.797884560802865356f * (x + 0.044715f * x * x * x)));
}
f32x4 swish(f32x4 x, MapParams p) { return x * bitwright::sigmoid(x * p.alpha); }
f32x4 hard_sigmoid(f32x4 x, MapParams p) { return max(min(x * p.alpha + p.beta, kOne), kZero); }
f32x4 hard_swish(f32x4 x, MapParams) { return x * max(min(x * (1.0f / 6.0f) + 0.5f, kOne), kZero); }
f32x4 thresholded_relu(f32x4 x, MapParams p) { return select(x > splat(p.alpha), x, kZero); }
f32x4 shrink(f32x4 x, MapParams p) {
  return select(x < splat(-p.alpha), x + p.beta, select(x > splat(p.alpha), x - p.beta, kZero));
}
f32x4 clip(f32x4 x, MapParams p) { return min(max(x, splat(p.alpha)), splat(p.beta)); }
f32x4 floor(f32x4 x, MapParams) {
  const f32x4 t = truncated(x);
  return with_sign_of(t - select(t > x, kOne, kZero), x);
}
f32x4 ceil(f32x4 x, MapParams) {
  const f32x4 t = truncated(x);
  return with_sign_of(t + select(t < x, kOne, kZero), x);
}
f32x4 round(f32x4 x, MapParams) {
  const f32x4 magnitude = bitwright::abs(x);
  // Adding 2^23 leaves no bit after the point; ties go to even.
  const f32x4 rounded = (magnitude + 8388608.0f) - 8388608.0f;
  return select(magnitude < splat(8388608.0f), with_sign_of(rounded, x), x);
}
f32x4 sign(f32x4 x, MapParams) { return select(x > kZero, kOne, select(x < kZero, -kOne, x)); }
f32x4 scale(f32x4 x, MapParams p) { return x * p.alpha; }
}  // namespace maps

namespace zips {
f32x4 add(f32x4 a, f32x4 b) { return a + b; }
f32x4 sub(f32x4 a, f32x4 b) { return a - b; }
f32x4 mul(f32x4 a, f32x4 b) { return a * b; }
f32x4 div(f32x4 a, f32x4 b) { return a / b; }
f32x4 min(f32x4 a, f32x4 b) { return select(b != b, b, bitwright::min(a, b)); }
f32x4 max(f32x4 a, f32x4 b) { return select(b != b, b, bitwright::max(a, b)); }
f32x4 pow(f32x4 a, f32x4 b) {
  const i32x4 is_square = b == splat(2.0f);
  if ((is_square[0] & is_square[1] & is_square[2] & is_square[3]) != 0) return a * a;  // as the scalar one does
  for (int i = 0; i < 4; ++i) a[i] = bitwright::pow(a[i], b[i]);
  return a;
}
f32x4 prelu(f32x4 a, f32x4 b) { return select(a < kZero, a * b, a); }
}  // namespace zips

template <f32x4 (*F)(f32x4, MapParams)>
void map_all(const float* x, float* y, std::int64_t n, MapParams params) {
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) store_f32x4(y + i, F(load_f32x4(x + i), params));
  if (i == n) return;
  f32x4 rest = kOne;
  for (std::int64_t k = i; k < n; ++k) rest[k - i] = x[k];
  rest = F(rest, params);
  for (std::int64_t k = i; k < n; ++k) y[k] = rest[k - i];
}

template <f32x4 (*F)(f32x4, f32x4)>
void zip_all(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* y, std::int64_t n) {
  if (n == 0) return;
  f32x4 va = splat(*a);
  f32x4 vb = splat(*b);
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    if (a_stride != 0) va = load_f32x4(a + i);
    if (b_stride != 0) vb = load_f32x4(b + i);
    store_f32x4(y + i, F(va, vb));
  }
  if (i == n) return;
  for (std::int64_t k = i; k < n; ++k) {
    if (a_stride != 0) va[k - i] = a[k];
    if (b_stride != 0) vb[k - i] = b[k];
  }
  const f32x4 rest = F(va, vb);
  for (std::int64_t k = i; k < n; ++k) y[k] = rest[k - i];
}

}  // namespace

#define MAP_KERNEL(name) \
  void map_f32__##name(const float* x, float* y, std::int64_t n, MapParams params) { map_all<maps::name>(x, y, n, params); }
#include "kernels/elementwise_f32/maps.inc"
#undef MAP_KERNEL

#define ZIP_KERNEL(name)                                                                                                         \
  void zip_f32__##name(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* y, std::int64_t n) { \
    zip_all<zips::name>(a, a_stride, b, b_stride, y, n);                                                                         \
  }
#include "kernels/elementwise_f32/zips.inc"
#undef ZIP_KERNEL

}  // namespace bitwright
