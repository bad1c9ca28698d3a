#include "quant/encodings/stored_scales.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "base/float8.h"
#include "quant/rounding.h"

namespace bitwright {

namespace {

constexpr float kSmallestF16 = 0x1p-24f;
constexpr float kLargestF16 = 65504.0f;
constexpr float kSmallestF8 = 0x1p-9f;
/// The smallest and largest exponent of a power of two that is a normal float with room for products.
constexpr int kMinExponent = -100;
constexpr int kMaxExponent = 127;

float as_f16(float value) { return f16_to_f32(f32_to_f16(std::clamp(value, kSmallestF16, kLargestF16))); }

}  // namespace

StoredScales::StoredScales(ScaleForm form, const ScaleLayout& layout, double largest_level, std::vector<float>& super_scales)
    : form_(form), layout_(layout), largest_level_(largest_level), super_scales_(super_scales) {
  if (form == ScaleForm::f8e4m3fn) super_scales.resize(1);
  if (form == ScaleForm::u6) super_scales.resize(static_cast<std::size_t>(layout.outer * n_super_blocks() * layout.inner));
}

void StoredScales::include(float ideal, std::int64_t index) {
  float& super = super_scales_[super_index(index)];
  super = std::max(super, ideal);
}

void StoredScales::settle_super_scales() {
  for (float& scale : super_scales_) {
    if (form_ == ScaleForm::u6)
      scale = as_f16(scale / static_cast<float>(kMaxScaleCode));
    else
      scale = std::max(scale / kF8e4m3fn.largest, 0x1p-100f);
  }
}

std::int64_t StoredScales::n_super_blocks() const { return (layout_.n_blocks() + kSuperBlock - 1) / kSuperBlock; }

std::size_t StoredScales::super_index(std::int64_t index) const {
  if (form_ == ScaleForm::f8e4m3fn) return 0;
  const std::int64_t block = index / layout_.inner % layout_.n_blocks();
  const std::int64_t outer = index / layout_.inner / layout_.n_blocks();
  return static_cast<std::size_t>((outer * n_super_blocks() + block / kSuperBlock) * layout_.inner + index % layout_.inner);
}

StoredScales::Stored StoredScales::round(float ideal, double reach, std::int64_t index) const {
  switch (form_) {
    case ScaleForm::f32:
      break;
    case ScaleForm::f16:
      return {as_f16(ideal), 0};
    case ScaleForm::e8m0: {
      const int wanted = reach > 0.0 ? std::ilogb(reach) - std::ilogb(largest_level_) : 0;
      // The product with any level stays finite.
      const int exponent = std::clamp(wanted, kMinExponent, kMaxExponent - std::ilogb(largest_level_) - 1);
      return {std::ldexp(1.0f, exponent), static_cast<std::uint8_t>(exponent + 127)};
    }
    case ScaleForm::f8e4m3fn: {
      const float super = super_scales_[0];
      const std::uint8_t code = f32_to_small_float(kF8e4m3fn, std::max(ideal / super, kSmallestF8));
      return {super * small_float_to_f32(kF8e4m3fn, code), code};
    }
    case ScaleForm::u6: {
      const float super = super_scales_[super_index(index)];
      const double code = std::clamp(round_half_even(static_cast<double>(ideal) / static_cast<double>(super)), 1.0,
                                     static_cast<double>(kMaxScaleCode));
      return {super * static_cast<float>(code), static_cast<std::uint8_t>(code)};
    }
  }
  return {ideal, 0};
}

}  // namespace bitwright
