#include <algorithm>

#include "base/parallel_for.h"
#include "kernels/lookup_u8/lookup_u8.h"

namespace bitwright {

void lookup_u8__reference(const LookupU8& args, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for (std::ptrdiff_t row = first_row; row < last_row; ++row)
    for (std::ptrdiff_t i = 0; i < args.n; ++i)
      args.y[row * args.y_row_stride + i] = args.table[args.x[row * args.x_row_stride + i]];
}

void lookup_u8_blocked(const LookupU8& args) {
  constexpr std::ptrdiff_t kCodesPerTask = 1 << 15;
  if (args.n <= 0) return;
  if (args.rows == 1) {
    parallel_for(args.n, kCodesPerTask, [&](std::int64_t begin, std::int64_t end) {
      LookupU8 part = args;
      part.x += begin;
      part.y += begin;
      part.n = static_cast<std::ptrdiff_t>(end - begin);
      lookup_u8__simd128(part, 0, 1);
    });
    return;
  }
  parallel_for(args.rows, std::max<std::ptrdiff_t>(1, kCodesPerTask / args.n), [&](std::int64_t begin, std::int64_t end) {
    lookup_u8__simd128(args, static_cast<std::ptrdiff_t>(begin), static_cast<std::ptrdiff_t>(end));
  });
}

}  // namespace bitwright
