#pragma once

#include <cstddef>

namespace bitwright {

// Sums of dense floats in one fixed order, whatever the host: element i goes to partial sum i % 16; then partial sums 8 apart are
// added, then 4, 2 and 1 apart. The relative error of a sum of n terms of one sign is below (n / 16 + 4) * 2^-24.

float sum_f32(const float* x, std::ptrdiff_t n);
/// sum (x - center)^2
float sum_squares_f32(const float* x, std::ptrdiff_t n, float center);
/// -inf for none; NaN is passed over.
float max_f32(const float* x, std::ptrdiff_t n);

namespace reference {
float sum_f32(const float* x, std::ptrdiff_t n);
float sum_squares_f32(const float* x, std::ptrdiff_t n, float center);
}  // namespace reference

}  // namespace bitwright
