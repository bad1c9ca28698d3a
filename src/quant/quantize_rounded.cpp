#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "quant/packing.h"
#include "quant/quantize.h"
#include "quant/runs.h"

namespace bitwright {

/// floor(steps + u) of the rounding's own u: a random one in [0, 1) (then the mean over seeds is exact), 0, or the mask.
void quantize_rounded(std::span<const float> values, const Shape& shape, const QuantParamsView& params, int bits,
                      std::span<const std::uint8_t> mask, std::span<std::uint8_t> bytes) {
  if (params.rounding == Rounding::nearest_even) return quantize_packed(values, shape, params, bits, bytes);
  const ScaleLayout layout = scale_layout(params.granularity, shape);
  const auto code_at = [&](std::int64_t element, std::int64_t scale) {
    const auto at = static_cast<std::size_t>(element);
    const auto zero = static_cast<double>(params.zero_points[static_cast<std::size_t>(scale)]);
    float steps = values[at] / params.scales[static_cast<std::size_t>(scale)];
    if (steps != steps) steps = 0.0f;
    double whole = static_cast<double>(steps);
    if (params.rounding == Rounding::stochastic) whole += random_unit(params.seed, static_cast<std::uint64_t>(element));
    whole = std::floor(whole);
    const bool is_up =
        params.rounding == Rounding::mask && (mask.size() == values.size() ? mask[at] != 0 : (mask[at / 8] >> at % 8 & 1) != 0);
    if (is_up) whole += 1.0;
    return static_cast<std::int32_t>(
        std::clamp(whole + zero, static_cast<double>(params.range.qmin), static_cast<double>(params.range.qmax)));
  };
  Packer packer(bytes.data(), std::min(bits, 8));
  for_each_run(layout, [&](const Run& run) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      const std::int32_t code = code_at(run.element + i, run.scale_of(i));
      const std::uint8_t both[2] = {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(code >> 8)};
      packer.append(both, bits == 16 ? 2 : 1);
    }
  });
  packer.finish();
}

}  // namespace bitwright
