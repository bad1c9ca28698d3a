#include "ops/dynamic_codes.h"

#include <algorithm>

#include "quant/quantize.h"
#include "quant/rounding.h"

namespace bitwright {

DynamicCodes quantize_dynamic(const Tensor& x, Allocator& allocator) {
  const RealRange range = scan_min_max(x.data<float>()).range();
  DynamicCodes result{Tensor(DType::u8, x.shape(), allocator), 1.0f, 0};
  if (range.rmax > range.rmin) result.scale = (range.rmax - range.rmin) / 255.0f;
  if (result.scale == 0.0f) result.scale = 1.0f;  // a range below the smallest float
  const double steps = round_half_even(static_cast<double>(0.0f - range.rmin / result.scale));
  result.zero_point = static_cast<std::uint8_t>(std::clamp(steps, 0.0, 255.0));
  QuantParams params;
  params.dtype = DType::u8;
  params.range = code_range(DType::u8);
  params.scales = {result.scale};
  params.zero_points = {result.zero_point};
  quantize(x.data<float>(), x.shape(), params, result.codes.bytes());
  return result;
}

}  // namespace bitwright
