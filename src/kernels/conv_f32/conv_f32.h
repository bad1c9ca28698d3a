#pragma once

#include <array>
#include <cstddef>

#include "kernels/gemm_f32/gemm_f32.h"

namespace bitwright {

using Extents3f = std::array<std::ptrdiff_t, 3>;

/// Depth, height, width. Output pixel o takes input o * stride - pad_begin + tap * dilation; taps outside the input read 0.
struct ConvGeometry {
  Extents3f input{1, 1, 1}, output{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad_begin{0, 0, 0};

  std::ptrdiff_t n_inputs() const { return input[0] * input[1] * input[2]; }
  std::ptrdiff_t n_outputs() const { return output[0] * output[1] * output[2]; }
  std::ptrdiff_t n_taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

/// One image and one group of a convolution in float, channels first:
///   y[o][pixel] = sum over channel, tap (in that order, taps row-major) of w[o][channel][tap] * x[channel][pixel's tap]  + bias[o]
/// Order and rounding as gemm_f32: the weights are the left operand, patches of the input the packed right one.
struct ConvF32 {
  ConvGeometry geometry;
  std::ptrdiff_t channels = 0;      // of the group
  std::ptrdiff_t out_channels = 0;  // of the group
  const float* x = nullptr;
  const float* w = nullptr;
  const float* bias = nullptr;  // or nullptr
  float* y = nullptr;
};

void conv_f32__reference(const ConvF32& conv);

/// Floats of scratch that conv_f32_blocked wants: whole panels of patches, a cache-sized block of them.
std::ptrdiff_t conv_f32_scratch_floats(const ConvF32& conv);
/// By packed GEMM over blocks of pixels, shared out over the threads of the scope. Bits equal to the reference for finite weights.
void conv_f32_blocked(const ConvF32& conv, float* scratch, GemmF32Kernel kernel);

/// Patches of output pixels [8 * first_panel, 8 * last_panel), as panels [panel][channel][tap][8], zeros beyond the last pixel.
/// `packed` is where panel `first_panel` stands.
void pack_patches_f32(const ConvGeometry& geometry, std::ptrdiff_t channels, const float* x, std::ptrdiff_t first_panel, std::ptrdiff_t last_panel,
                      float* packed);

}  // namespace bitwright
