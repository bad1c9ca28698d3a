#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/geometry.h"
#include "kernels/int8.h"

namespace bitwright {

/// Pooling of u8 codes, channels last. Pixels stand as in ConvU8I8; padding is never read.
///   max       y = the largest code of the window, clamped to [qmin, qmax]; a window of padding alone gives qmin
///   average   y = requantize of the sum of (x - x_zero_point), by the multiplier [n of pixels in the window]: the caller divides
///             by them; count_include_pad is a table whose entries are all alike
/// A global pooling is a window as large as the input.
struct PoolU8 {
  ConvGeometry geometry{};
  std::ptrdiff_t images = 1, channels = 0;
  const std::uint8_t* x = nullptr;
  std::ptrdiff_t x_pixel_stride = 0;
  std::int32_t x_zero_point = 0;
  std::uint8_t* y = nullptr;
  std::ptrdiff_t y_pixel_stride = 0;
  Requantize requantize{};  // multipliers: [1 + n_taps], the first unused; max: only qmin and qmax

  std::ptrdiff_t n_pixels() const { return images * geometry.n_outputs(); }
};

enum class PoolOperation { max, average };
using PoolU8Kernel = void (*)(const PoolU8&, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel);
/// max is the same in both arithmetics.
PoolU8Kernel choose_pool_u8(PoolOperation operation, Arithmetic arithmetic);
PoolU8Kernel reference_pool_u8(PoolOperation operation, Arithmetic arithmetic);
/// Runs it whole, shared out over the threads of the scope.
void pool_u8_blocked(const PoolU8& args, PoolU8Kernel kernel);

#define POOL_U8_KERNEL(function, operation, family, arithmetic) \
  void function(const PoolU8&, std::ptrdiff_t first_pixel, std::ptrdiff_t last_pixel);
#include "kernels/pool_u8/references.inc"
#include "kernels/pool_u8/variants.inc"
#undef POOL_U8_KERNEL

}  // namespace bitwright
