#include "kernels/reduce_f32/reduce_f32.h"

namespace bitwright::reference {

namespace {

template <typename Term>
float sum_of(std::ptrdiff_t n, Term term) {
  float partial[16] = {};
  for (std::ptrdiff_t i = 0; i < n; ++i) partial[i % 16] += term(i);
  for (int apart = 8; apart > 0; apart /= 2)
    for (int lane = 0; lane < apart; ++lane) partial[lane] += partial[lane + apart];
  return partial[0];
}

}  // namespace

float sum_f32(const float* x, std::ptrdiff_t n) {
  return sum_of(n, [x](std::ptrdiff_t i) { return x[i]; });
}

float sum_squares_f32(const float* x, std::ptrdiff_t n, float center) {
  return sum_of(n, [x, center](std::ptrdiff_t i) { return (x[i] - center) * (x[i] - center); });
}

}  // namespace bitwright::reference
