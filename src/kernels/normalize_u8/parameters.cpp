#include <algorithm>
#include <cmath>

#include "base/math.h"
#include "kernels/normalize_u8/normalize_u8.h"

namespace bitwright {

bool set_softmax_u8(SoftmaxU8& softmax, float x_scale, float y_scale, std::span<std::uint32_t, 256> table) {
  if (!(x_scale > 0.0f && x_scale < 0x1p20f && y_scale >= 0x1p-17f && y_scale < 0x1p20f) || softmax.n > 1 << 23) return false;
  const double top = std::min(4294967295.0 / static_cast<double>(std::max<std::ptrdiff_t>(softmax.n, 1)), 8388607.0);
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<std::uint32_t>(top * exp(static_cast<double>(i) * x_scale - 255.0 * x_scale) + 0.5);
  softmax.table = table.data();
  softmax.inverse_y_scale = static_cast<std::uint64_t>(65536.0 / y_scale + 0.5);
  return true;
}

bool set_layer_norm_u8(LayerNormU8& norm, float x_scale, float y_scale, float epsilon, std::span<const float> gamma,
                       std::span<const float> beta, std::span<std::int32_t> fixed_gamma, std::span<std::int64_t> fixed_beta) {
  if (norm.n > kMaxLayerNormU8) return false;
  const double n = static_cast<double>(norm.n), wide = n * n * epsilon / (static_cast<double>(x_scale) * x_scale);
  if (!(wide >= 0.0 && wide < 0x1p44)) return false;
  norm.epsilon = static_cast<std::uint64_t>(std::max(1.0, wide + 0.5));
  for (std::size_t i = 0; i < gamma.size(); ++i) {
    const double g = gamma[i] / static_cast<double>(y_scale) * 0x1p14, b = beta[i] / static_cast<double>(y_scale) * 0x1p34;
    if (!(std::fabs(g) < 0x1p31 && std::fabs(b) < 0x1p61)) return false;
    fixed_gamma[i] = static_cast<std::int32_t>(std::floor(g + 0.5));
    fixed_beta[i] = static_cast<std::int64_t>(std::floor(b + 0.5));
  }
  norm.gamma = fixed_gamma.data();
  norm.beta = fixed_beta.data();
  return true;
}

}  // namespace bitwright
