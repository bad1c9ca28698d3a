#include <algorithm>

#include "base/parallel_for.h"
#include "kernels/gemm_f32/gemm_f32.h"

namespace bitwright {

void gemm_f32_blocked(const GemmF32& g, GemmF32Kernel kernel) {
  if (g.m <= 0 || g.n <= 0) return;
  constexpr std::ptrdiff_t kPanelBytesInCache = 512 * 1024;
  constexpr std::ptrdiff_t kProductsPerTask = 1 << 21;
  const std::ptrdiff_t k = std::max<std::ptrdiff_t>(g.k, 1);
  const std::ptrdiff_t n_panels = (g.n + 7) / 8;
  const std::ptrdiff_t panels =
      std::clamp<std::ptrdiff_t>(kPanelBytesInCache / (32 * k), 4, std::max<std::ptrdiff_t>(n_panels, 4));
  const std::ptrdiff_t columns = std::min(panels, n_panels) * 8;
  constexpr std::ptrdiff_t kTileRows = 5 * 6;  // whole tiles of kernels of 5 rows and of 6
  const std::ptrdiff_t rows = (std::min(kProductsPerTask / k / columns, g.m) / kTileRows + 1) * kTileRows;
  const std::ptrdiff_t row_blocks = (g.m + rows - 1) / rows;
  const std::ptrdiff_t column_blocks = (g.n + columns - 1) / columns;
  parallel_for(row_blocks * column_blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      // Row blocks innermost: the panels of one column block stay in cache.
      const auto i = static_cast<std::ptrdiff_t>(task) % row_blocks * rows;
      const auto j = static_cast<std::ptrdiff_t>(task) / row_blocks * columns;
      GemmF32 block = g;
      block.m = std::min(rows, g.m - i);
      block.n = std::min(columns, g.n - j);
      block.a += i * g.a_row_stride;
      block.b += j / 8 * g.b_panel_stride;
      block.c += i * g.c_row_stride + j;
      if (g.row_bias != nullptr) block.row_bias += i;
      if (g.column_bias != nullptr) block.column_bias += j;
      kernel(block);
    }
  });
}

}  // namespace bitwright
