#include "ops/fused.h"

#include <algorithm>
#include <string>

#include "base/text.h"
#include "kernels/probe.h"
#include "ops/refusal.h"

namespace bitwright {

CodeParams code_params(const Node& node, char operand) {
  const std::string letter(1, operand);
  return {node.attr_f(concat({letter, "_scale"}), 1.0f),
          static_cast<std::int32_t>(node.attr_i(concat({letter, "_zero_point"}), 0))};
}

void require_type(const InferContext& context, std::size_t input, std::initializer_list<DType> types) {
  if (!context.has_input(input)) return;
  const DType dtype = context.input(input).dtype;
  require_shape(dtype == DType::undefined || std::find(types.begin(), types.end(), dtype) != types.end(), context.node(),
                "an input is of another element type than its kernel takes");
}

Arithmetic arithmetic_of(const Node& node) {
  return node.attr_i("integer_only", 0) != 0 ? Arithmetic::integer_only : Arithmetic::fast;
}

KernelFamily probed_family() {
  static const KernelFamily family = probe_kernel_family();
  return family;
}

KernelFamily family_of(const Node& node) {
  return static_cast<KernelFamily>(node.attr_i("family", static_cast<std::int64_t>(probed_family())));
}

Requantizer make_requantizer(const Node& node, const std::vector<float>& accumulator_scales) {
  constexpr std::size_t kReadableBeyond = 8;
  const CodeParams y = code_params(node, 'y');
  const std::size_t n = accumulator_scales.size(), readable = (n + 7) / 8 * 8 + kReadableBeyond;
  Requantizer made;
  made.requantize.zero_point = y.zero_point;
  made.requantize.qmin = static_cast<std::int32_t>(node.attr_i("qmin", 0));
  made.requantize.qmax = static_cast<std::int32_t>(node.attr_i("qmax", 255));
  if (arithmetic_of(node) == Arithmetic::fast) {
    made.multipliers.assign(readable, 0.0f);
    for (std::size_t i = 0; i < n; ++i) made.multipliers[i] = accumulator_scales[i] / y.scale;
    made.requantize.multipliers = made.multipliers.data();
    return made;
  }
  std::vector<double> scales(n);
  for (std::size_t i = 0; i < n; ++i) scales[i] = static_cast<double>(accumulator_scales[i]) / static_cast<double>(y.scale);
  const std::optional<FixedPoint> fixed = fixed_point(scales);
  if (!fixed)
    refuse(node, "its scales cannot be said in fixed point; use arithmetic 'fast' or exclude it", ErrorCode::unsupported);
  made.fixed_multipliers = fixed->multipliers;
  made.fixed_multipliers.resize(readable, 0);
  made.requantize.fixed_multipliers = made.fixed_multipliers.data();
  made.requantize.left_shift = fixed->left_shift;
  return made;
}

Shape channels_last_shape(const Shape& shape) {
  Shape last = shape;
  if (last.size() > 2) std::rotate(last.begin() + 1, last.begin() + 2, last.end());
  return last;
}

Shape channels_first_shape(const Shape& shape) {
  Shape first = shape;
  if (first.size() > 2) std::rotate(first.begin() + 1, first.end() - 1, first.end());
  return first;
}

}  // namespace bitwright
