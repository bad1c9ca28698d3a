#pragma once

#include <cstddef>

#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/geometry.h"

namespace bitwright {

/// One image and one group of a convolution in float, channels first:
///   y[o][pixel] = sum over channel, tap (in that order, taps row-major) of w[o][channel][tap] * x[channel][pixel's tap]  + bias[o],  clamped
/// Taps outside the input read 0. Order and rounding as gemm_f32: the weights are the left operand, patches of the input the packed right one.
struct ConvF32 {
  ConvGeometry geometry;
  std::ptrdiff_t channels = 0;      // of the group
  std::ptrdiff_t out_channels = 0;  // of the group
  const float* x = nullptr;
  const float* w = nullptr;
  const float* bias = nullptr;  // or nullptr
  float* y = nullptr;
  ClampF32 clamp{};
};

void conv_f32__reference(const ConvF32& conv);

/// Floats of scratch that conv_f32_blocked wants: whole panels of patches, a cache-sized block of them.
std::ptrdiff_t conv_f32_scratch_floats(const ConvF32& conv);
/// By packed GEMM over blocks of pixels, shared out over the threads of the scope. Bits equal to the reference for finite weights.
void conv_f32_blocked(const ConvF32& conv, float* scratch, GemmF32Kernel kernel);

/// Patches of output pixels [8 * first_panel, 8 * last_panel), as panels [panel][channel][tap][8], zeros beyond the last pixel.
/// `packed` is where panel `first_panel` stands.
void pack_patches_f32(const ConvGeometry& geometry, std::ptrdiff_t channels, const float* x, std::ptrdiff_t first_panel,
                      std::ptrdiff_t last_panel, float* packed);

}  // namespace bitwright
