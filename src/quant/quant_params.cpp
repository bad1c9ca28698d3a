#include "quant/quant_params.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "quant/rounding.h"

namespace bitwright {

namespace {

template <class... Visitors>
struct Overload : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overload(Visitors...) -> Overload<Visitors...>;

/// The code of real 0 of a symmetric scheme: 0 if signed, else the middle, 2^(bits-1).
std::int32_t symmetric_zero_point(CodeRange codes) {
  if (codes.qmin < 0) return 0;
  return static_cast<std::int32_t>((std::int64_t{codes.qmin} + codes.qmax + 1) / 2);
}

}  // namespace

std::string to_string(const Granularity& granularity) {
  return std::visit(Overload{[](const PerTensor&) { return std::string("per_tensor"); },
                             [](const PerChannel& g) {
                               return concat({"per_channel(axis=", g.axis, ")"});
                             },
                             [](const PerBlock& g) {
                               return concat({"per_block(axis=", g.axis, ",block_size=", g.block_size, ")"});
                             },
                             [](const PerToken&) { return std::string("per_token"); },
                             [](const PerChannelGroup& g) {
                               return concat({"per_channel(axis=", g.axis, ",channel_group=", g.group_size, ")"});
                             }},
                    granularity);
}

Shape scale_shape(const Granularity& granularity, const Shape& shape) {
  const auto axis_of = [&](std::int64_t axis) { return static_cast<std::size_t>(normalized_axis(axis, shape.size())); };
  const auto pieces = [](std::int64_t extent, std::int64_t size) {
    if (size < 1) throw_error(ErrorCode::invalid_argument, {"a block of ", size, " elements is not possible; give 1 or more"});
    return extent / size + (extent % size != 0 ? 1 : 0);
  };
  return std::visit(
      Overload{[](const PerTensor&) { return Shape{}; }, [&](const PerChannel& g) { return Shape{shape[axis_of(g.axis)]}; },
               [&](const PerBlock& g) {
                 Shape scales = shape;
                 std::int64_t& extent = scales[axis_of(g.axis)];
                 extent = pieces(extent, g.block_size);
                 return scales;
               },
               [&](const PerToken&) {
                 if (shape.empty()) throw_error(ErrorCode::invalid_argument, {"per_token needs a tensor with at least one axis"});
                 return Shape(shape.begin(), shape.end() - 1);
               },
               [&](const PerChannelGroup& g) { return Shape{pieces(shape[axis_of(g.axis)], g.group_size)}; }},
      granularity);
}

CodeRange code_range(int bits, bool is_signed, bool narrow_range) {
  if (bits < 1 || bits > 16)
    throw_error(ErrorCode::invalid_argument, {"codes of ", bits, " bits are not possible; give 1 to 16"});
  if (narrow_range && bits < 2) throw_error(ErrorCode::invalid_argument, {"a narrow range needs codes of at least 2 bits"});
  const std::int32_t n_codes = std::int32_t{1} << bits;
  const std::int32_t qmin = is_signed ? -n_codes / 2 : 0;
  return {qmin + (narrow_range ? 1 : 0), qmin + n_codes - 1};
}

CodeRange code_range(DType dtype, bool narrow_range) {
  if (dtype == DType::i32)
    return {std::numeric_limits<std::int32_t>::min() + (narrow_range ? 1 : 0), std::numeric_limits<std::int32_t>::max()};
  if (!is_integer(dtype) || dtype_bits(dtype) > 16)
    throw_error(ErrorCode::invalid_argument, {"elements of ", dtype_name(dtype), " are no codes of an integer scheme"});
  return code_range(dtype_bits(dtype), is_signed(dtype), narrow_range);
}

void QuantParams::check(std::string_view tensor) const {
  const auto fail = [&](const std::string& finding) {
    throw_error(ErrorCode::invalid_argument, {"tensor ", in_quotes(tensor), ": ", finding}, std::string(tensor));
  };
  if (zero_points.size() != scales.size()) fail(concat({scales.size(), " scales, but ", zero_points.size(), " zero points"}));
  for (std::size_t i = 0; i < scales.size(); ++i) {
    if (!std::isfinite(scales[i]) || !(scales[i] > 0.0f)) fail(concat({"scale ", i, " is not finite and positive"}));
    if (zero_points[i] < range.qmin || zero_points[i] > range.qmax)
      fail(concat({"zero point ", i, " is no code of [", range.qmin, ", ", range.qmax, "]"}));
  }
}

bool QuantParams::is_symmetric() const {
  const std::int32_t zero_point = symmetric_zero_point(range);
  return std::all_of(zero_points.begin(), zero_points.end(), [=](std::int32_t z) { return z == zero_point; });
}

namespace {

/// How far codes reach from the zero point; 1 at least.
double furthest_code(CodeRange codes, std::int32_t zero_point) {
  return std::max(
      {static_cast<double>(codes.qmax) - zero_point, static_cast<double>(zero_point) - static_cast<double>(codes.qmin), 1.0});
}
double steps_of(CodeRange codes) { return static_cast<double>(codes.qmax) - static_cast<double>(codes.qmin); }

}  // namespace

SymmetricScale::SymmetricScale(CodeRange codes)
    : zero_point_(symmetric_zero_point(codes)), n_steps_(steps_of(codes)), furthest_(furthest_code(codes, zero_point_)) {}

ScaleZeroPoint choose_scale_zero_point(RealRange range, CodeRange codes, bool is_symmetric) {
  if (!std::isfinite(range.rmin) || !std::isfinite(range.rmax))
    throw_error(ErrorCode::invalid_argument, {"a clipping range needs finite ends"});
  const double rmin = std::min(0.0, static_cast<double>(range.rmin));
  const double rmax = std::max(0.0, static_cast<double>(range.rmax));
  if (is_symmetric) {
    const SymmetricScale scale(codes);
    return {scale(std::max(-rmin, rmax)), scale.zero_point()};
  }
  const bool is_empty = rmax == rmin;
  double scale = is_empty ? 1.0 : std::max((rmax - rmin) / steps_of(codes), SymmetricScale::kMinScale);
  ScaleZeroPoint chosen;
  const double zero_point = round_half_even(static_cast<double>(codes.qmin) - rmin / scale);
  chosen.zero_point =
      static_cast<std::int32_t>(std::clamp(zero_point, static_cast<double>(codes.qmin), static_cast<double>(codes.qmax)));
  if (is_empty && codes.qmin <= 0) chosen.zero_point = 0;
  const double furthest = furthest_code(codes, chosen.zero_point);
  if (scale * furthest > SymmetricScale::kLargestReal) scale = SymmetricScale::kLargestReal / furthest;
  chosen.scale = static_cast<float>(scale);
  return chosen;
}

ScaleZeroPoint choose_activation_scale(RealRange range, CodeRange codes, bool is_symmetric) {
  constexpr double kNearHalf = 1.0 / 256.0;
  constexpr std::int32_t kLeastSteps = 255;
  ScaleZeroPoint chosen = choose_scale_zero_point(range, codes, is_symmetric);
  if (is_symmetric || codes.qmax - codes.qmin < kLeastSteps || !(range.rmin < 0.0f) || !(range.rmax > 0.0f)) return chosen;
  const double below = -static_cast<double>(range.rmin) / static_cast<double>(chosen.scale);  // steps of the zero point
  const double whole = std::floor(below);
  if (std::abs(below - whole - 0.5) > kNearHalf) return chosen;
  const double steps_below = whole + 1.0, steps_above = codes.qmax - codes.qmin - steps_below;
  if (steps_above < 1.0) return chosen;
  chosen.scale =
      static_cast<float>(std::max(-static_cast<double>(range.rmin) / steps_below, static_cast<double>(range.rmax) / steps_above));
  chosen.zero_point = codes.qmin + static_cast<std::int32_t>(steps_below);
  return chosen;
}

}  // namespace bitwright
