#include <algorithm>

#include "base/parallel_for.h"
#include "base/simd.h"
#include "kernels/conv_f32/conv_f32.h"

namespace bitwright {

namespace {

constexpr std::ptrdiff_t kOutside = -1;

/// Copies, for every channel, the 8 values at `places` (kOutside: 0) of one tap into the panel.
void gather_tap(const float* x, std::ptrdiff_t channel_stride, std::ptrdiff_t channels, const std::ptrdiff_t (&places)[8],
                std::ptrdiff_t to_stride, float* to) {
  bool is_run = places[0] != kOutside;
  bool is_empty = true;
  for (int i = 0; i < 8; ++i) {
    is_run = is_run && places[i] == places[0] + i;
    is_empty = is_empty && places[i] == kOutside;
  }
  if (is_run || is_empty) {
    const float* from = x + places[0];
    for (std::ptrdiff_t c = 0; c < channels; ++c, from += channel_stride, to += to_stride) {
      store_f32x4(to, is_empty ? f32x4{} : load_f32x4(from));
      store_f32x4(to + 4, is_empty ? f32x4{} : load_f32x4(from + 4));
    }
    return;
  }
  for (std::ptrdiff_t c = 0; c < channels; ++c, x += channel_stride, to += to_stride)
    for (int i = 0; i < 8; ++i) to[i] = places[i] != kOutside ? x[places[i]] : 0.0f;
}

bool is_plain(const ConvGeometry& g) {
  return g.n_taps() == 1 && g.input == g.output && g.stride == Extents3f{1, 1, 1} && g.pad_begin == Extents3f{0, 0, 0};
}

std::ptrdiff_t panels_per_block(const ConvF32& conv) {
  constexpr std::ptrdiff_t kBlockFloats = 256 * 1024;
  const std::ptrdiff_t k = std::max<std::ptrdiff_t>(1, conv.channels * conv.geometry.n_taps());
  const std::ptrdiff_t n_panels = (conv.geometry.n_outputs() + 7) / 8;
  return std::clamp<std::ptrdiff_t>(kBlockFloats / (8 * k), 1, std::max<std::ptrdiff_t>(n_panels, 1));
}

}  // namespace

void pack_patches_f32(const ConvGeometry& g, std::ptrdiff_t channels, const float* x, std::ptrdiff_t first_panel,
                      std::ptrdiff_t last_panel, float* packed) {
  const std::ptrdiff_t n_pixels = g.n_outputs();
  const std::ptrdiff_t panel_floats = channels * g.n_taps() * 8;
  if (is_plain(g)) {
    pack_b_f32(x, g.n_inputs(), 1, channels, n_pixels, first_panel, last_panel, packed - first_panel * panel_floats);
    return;
  }
  for (std::ptrdiff_t panel = first_panel; panel < last_panel; ++panel, packed += panel_floats) {
    Extents3f at[8];
    for (std::ptrdiff_t i = 0; i < 8; ++i) {
      const std::ptrdiff_t pixel = panel * 8 + i;
      at[i] = {pixel / (g.output[2] * g.output[1]), pixel / g.output[2] % g.output[1], pixel % g.output[2]};
      for (std::size_t axis = 0; axis < 3; ++axis) at[i][axis] = at[i][axis] * g.stride[axis] - g.pad_begin[axis];
    }
    std::ptrdiff_t tap = 0;
    for (std::ptrdiff_t kz = 0; kz < g.kernel[0]; ++kz)
      for (std::ptrdiff_t ky = 0; ky < g.kernel[1]; ++ky)
        for (std::ptrdiff_t kx = 0; kx < g.kernel[2]; ++kx, ++tap) {
          std::ptrdiff_t places[8];
          for (std::ptrdiff_t i = 0; i < 8; ++i) {
            const std::ptrdiff_t z = at[i][0] + kz * g.dilation[0], y = at[i][1] + ky * g.dilation[1],
                                 w = at[i][2] + kx * g.dilation[2];
            const bool is_inside =
                panel * 8 + i < n_pixels && z >= 0 && z < g.input[0] && y >= 0 && y < g.input[1] && w >= 0 && w < g.input[2];
            places[i] = is_inside ? (z * g.input[1] + y) * g.input[2] + w : kOutside;
          }
          gather_tap(x, g.n_inputs(), channels, places, g.n_taps() * 8, packed + tap * 8);
        }
  }
}

std::ptrdiff_t conv_f32_scratch_floats(const ConvF32& conv) {
  return panels_per_block(conv) * 8 * conv.channels * conv.geometry.n_taps();
}

void conv_f32_blocked(const ConvF32& conv, float* scratch, GemmF32Kernel kernel) {
  const ConvGeometry& g = conv.geometry;
  const std::ptrdiff_t k = conv.channels * g.n_taps();
  const std::ptrdiff_t n_pixels = g.n_outputs(), n_panels = (n_pixels + 7) / 8, block = panels_per_block(conv);
  for (std::ptrdiff_t first = 0; first < n_panels; first += block) {
    const std::ptrdiff_t panels = std::min(block, n_panels - first);
    parallel_for(panels, std::max<std::ptrdiff_t>(1, 4096 / std::max<std::ptrdiff_t>(k, 1)),
                 [&](std::int64_t begin, std::int64_t end) {
                   const auto from = static_cast<std::ptrdiff_t>(begin), to = static_cast<std::ptrdiff_t>(end);
                   pack_patches_f32(g, conv.channels, conv.x, first + from, first + to, scratch + from * 8 * k);
                 });
    gemm_f32_blocked({.m = conv.out_channels,
                      .n = std::min(panels * 8, n_pixels - first * 8),
                      .k = k,
                      .a = conv.w,
                      .a_row_stride = k,
                      .a_k_stride = 1,
                      .b = scratch,
                      .b_panel_stride = 8 * k,
                      .b_k_stride = 8,
                      .c = conv.y + first * 8,
                      .c_row_stride = n_pixels,
                      .row_bias = conv.bias,
                      .column_bias = nullptr,
                      .clamp = conv.clamp},
                     kernel);
  }
}

}  // namespace bitwright
