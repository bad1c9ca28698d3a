#include "kernels/normalize_u8/normalize_u8.h"

#include <algorithm>
#include <bit>

namespace bitwright {

void softmax_u8(const SoftmaxU8& s, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for (std::ptrdiff_t row = first_row; row < last_row; ++row) {
    const std::uint8_t* x = s.x + row * s.n;
    std::uint8_t* y = s.y + row * s.n;
    const std::uint32_t* table = s.table + 255 - *std::max_element(x, x + s.n);
    std::uint64_t sum = 0;
    for (std::ptrdiff_t i = 0; i < s.n; ++i) sum += table[x[i]];
    // e / (sum y_scale) = e * quotient / 2^46; the largest e is in the sum, so that e * quotient < 2^16 / y_scale * 2^30 <= 2^63.
    const std::uint64_t quotient = (s.inverse_y_scale << 30) / sum;
    for (std::ptrdiff_t i = 0; i < s.n; ++i) {
      const std::uint64_t steps = (table[x[i]] * quotient + (std::uint64_t{1} << 45)) >> 46;
      y[i] = static_cast<std::uint8_t>(std::min<std::int64_t>(static_cast<std::int64_t>(steps) + s.zero_point, 255));
    }
  }
}

std::uint64_t square_root(std::uint64_t v) {
  if (v == 0) return 0;
  std::uint64_t root = std::uint64_t{1} << (std::bit_width(v) + 1) / 2;
  while (true) {
    const std::uint64_t next = (root + v / root) / 2;
    if (next >= root) return root;
    root = next;
  }
}

void layer_norm_u8(const LayerNormU8& l, std::ptrdiff_t first_row, std::ptrdiff_t last_row) {
  for (std::ptrdiff_t row = first_row; row < last_row; ++row) {
    const std::uint8_t* x = l.x + row * l.n;
    std::uint8_t* y = l.y + row * l.n;
    std::int64_t sum = 0, squares = 0;
    for (std::ptrdiff_t i = 0; i < l.n; ++i) {
      sum += x[i];
      squares += x[i] * x[i];
    }
    // sum of (n x - sum)^2 = n (n squares - sum^2)
    const auto variance = static_cast<std::uint64_t>(l.n * squares - sum * sum) + l.epsilon;
    const std::uint64_t root = square_root(variance << 16);
    const auto inverse = static_cast<std::int64_t>((std::uint64_t{1} << 52) / root);
    for (std::ptrdiff_t i = 0; i < l.n; ++i) {
      const std::int64_t quotient = ((l.n * x[i] - sum) * inverse) >> 24;  // |quotient| < 2^20 sqrt(n)
      const std::int64_t steps = (quotient * l.gamma[i] + l.beta[i] + (std::int64_t{1} << 33)) >> 34;
      y[i] = static_cast<std::uint8_t>(std::clamp<std::int64_t>(steps + l.zero_point, 0, 255));
    }
  }
}

}  // namespace bitwright
