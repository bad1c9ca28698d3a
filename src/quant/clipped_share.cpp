#include <cmath>

#include "base/sorted_order.h"
#include "quant/quantize.h"
#include "quant/runs.h"

namespace bitwright {

double clipped_share(std::span<const float> values, const Shape& shape, const QuantParams& params,
                     std::span<const float> levels) {
  const bool is_uniform = levels.empty();
  if (values.empty() || params.scales.empty() || (is_uniform && params.zero_points.empty())) return 0.0;
  double low = params.range.qmin - 0.5, high = params.range.qmax + 0.5;  // in steps
  if (!is_uniform) {
    std::vector<float> finite(levels.begin(), levels.end());
    std::erase_if(finite, [](float level) { return !std::isfinite(level); });
    sort_floats(finite);
    const auto middle = [](double end, double next) { return end + (end - next) / 2; };
    low = middle(finite[0], finite[1]);
    high = middle(finite.back(), finite[finite.size() - 2]);
  }
  std::uint64_t n_clipped = 0;
  for_each_run(scale_layout(params.granularity, shape), [&](const Run& run) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      const auto group = static_cast<std::size_t>(run.scale_of(i));
      const double zero_point = is_uniform ? params.zero_points[group] : 0;
      const double place =
          values[static_cast<std::size_t>(run.element + i)] / static_cast<double>(params.scales[group]) + zero_point;
      n_clipped += place < low || place > high;
    }
  });
  return static_cast<double>(n_clipped) / static_cast<double>(values.size());
}

}  // namespace bitwright
