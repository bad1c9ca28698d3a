#include "kernels/conv_u8_i8/conv_u8_i8.h"

#include <algorithm>
#include <functional>

#include "base/parallel_for.h"

namespace bitwright {

std::span<const ConvU8I8Variant> conv_u8_i8_variants() {
  static constexpr ConvU8I8Variant kVariants[] = {
#define CONV_U8_I8_KERNEL(function, family, result) {#function, function, KernelFamily::family, AccResult::result},
#include "kernels/conv_u8_i8/variants.inc"
#undef CONV_U8_I8_KERNEL
  };
  return kVariants;
}

ConvU8I8Kernel choose_conv_u8_i8(KernelFamily family, AccResult result) {
  for (const ConvU8I8Variant& variant : conv_u8_i8_variants())
    if (variant.family == family && variant.result == result) return variant.run;
  return nullptr;
}

ConvU8I8 matrix_product_u8_i8(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t k) {
  return {.geometry = {.input = {1, 1, m}, .output = {1, 1, m}},
          .channels = k,
          .out_channels = n,
          .x_pixel_stride = k,
          .y_image_stride = m * n,
          .y_strides = {m * n, m * n, n}};
}

namespace {

/// The pixels that a kernel computes together: tasks of whole tiles waste nothing.
std::ptrdiff_t tile_rows(ConvU8I8Kernel kernel) {
  for (const ConvU8I8Variant& variant : conv_u8_i8_variants())
    if (variant.run == kernel) return variant.family == KernelFamily::usdot || variant.family == KernelFamily::sdot ? 6 : 5;
  return 1;
}

}  // namespace

void conv_u8_i8_blocked(const ConvU8I8& conv, ConvU8I8Kernel kernel) {
  constexpr std::ptrdiff_t kPanelBytesInCache = 256 * 1024, kProductsPerTask = 1 << 18;
  const std::ptrdiff_t pixels = conv.n_pixels(), panels = conv.n_panels() * conv.groups;
  if (pixels <= 0 || panels <= 0) return;
  const std::ptrdiff_t k = std::max<std::ptrdiff_t>(conv.k(), 1);
  const std::ptrdiff_t columns = std::min(panels, std::max<std::ptrdiff_t>(kPanelBytesInCache / (16 * k), 4));
  const std::ptrdiff_t tile = tile_rows(kernel);
  const std::ptrdiff_t rows = (std::min(kProductsPerTask / (8 * k * columns), pixels - 1) / tile + 1) * tile;
  const std::ptrdiff_t row_blocks = (pixels + rows - 1) / rows, column_blocks = (panels + columns - 1) / columns;
  const auto work = [&](std::int64_t begin, std::int64_t end) {
    // Neighbouring row blocks of one column block run as one: its panels stay in cache.
    for (auto task = static_cast<std::ptrdiff_t>(begin); task < static_cast<std::ptrdiff_t>(end);) {
      const std::ptrdiff_t row = task % row_blocks, column = task / row_blocks * columns;
      const std::ptrdiff_t n = std::min(row_blocks - row, static_cast<std::ptrdiff_t>(end) - task);
      kernel(conv, {.first_pixel = row * rows,
                    .last_pixel = std::min((row + n) * rows, pixels),
                    .first_panel = column,
                    .last_panel = std::min(column + columns, panels)});
      task += n;
    }
  };
  parallel_for(row_blocks * column_blocks, 1, work);
}

}  // namespace bitwright
