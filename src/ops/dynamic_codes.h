#pragma once

#include "tensor/tensor.h"

namespace bitwright {

struct DynamicCodes {
  Tensor codes;  // u8
  float scale = 1.0f;
  std::uint8_t zero_point = 0;
};

/// DynamicQuantizeLinear: the range of the values, widened to 0, over 255 steps; all in float.
DynamicCodes quantize_dynamic(const Tensor& x, Allocator& allocator);

}  // namespace bitwright
