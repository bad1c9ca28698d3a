#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/simd.h"
#include "quant/scheme.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace bitwright {

/// real = scale * (code - zero_point). (Gholami et al. 2021 write Z = -zero_point; ONNX and we do not.)

struct PerTensor {
  bool operator==(const PerTensor&) const = default;
};
struct PerChannel {
  std::int64_t axis = 0;
  bool operator==(const PerChannel&) const = default;
};
/// Neighbouring channels that share a scale: a channel group.
struct PerChannelGroup {
  std::int64_t axis = 0;
  std::int64_t group_size = 1;
  bool operator==(const PerChannelGroup&) const = default;
};
struct PerBlock {
  std::int64_t axis = 0;
  std::int64_t block_size = 32;
  bool operator==(const PerBlock&) const = default;
};
/// One scale for each index along all axes but the last.
struct PerToken {
  bool operator==(const PerToken&) const = default;
};
using Granularity = std::variant<PerTensor, PerChannel, PerBlock, PerToken, PerChannelGroup>;

/// "per_tensor", "per_channel(axis=1)", "per_block(axis=0,block_size=32)", "per_token",
/// "per_channel(axis=1,channel_group=4)".
std::string to_string(const Granularity& granularity);
/// The shape of the scales for a tensor of this shape: [], [c], shape with ceil(extent/block) on the axis, shape
/// without the last axis, or [ceil(c/group_size)].
Shape scale_shape(const Granularity& granularity, const Shape& shape);

/// The codes of an integer scheme: how many bits, signed or not, narrow range or not.
struct CodeRange {
  std::int32_t qmin = 0;
  std::int32_t qmax = 255;
  bool operator==(const CodeRange&) const = default;
};
/// Throws Error{invalid_argument} unless 1 <= bits <= 16 (narrow_range needs 2).
CodeRange code_range(int bits, bool is_signed, bool narrow_range);
CodeRange code_range(DType dtype, bool narrow_range = false);

/// Where the codes of one tensor stand in the reals. scales and zero_points have as many elements as scale_shape says.
/// Invariant (checked by `check`): every scale finite and > 0, every zero_point within [qmin, qmax].
struct QuantParams {
  DType dtype = DType::u8;  // of the stored code
  CodeRange range;
  Granularity granularity = PerTensor{};
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points;
  Rounding rounding = Rounding::nearest_even;  // of whole tensors
  std::uint64_t seed = 0;                      // Rounding::stochastic
  /// Throws Error{invalid_argument} naming `tensor` where the invariant does not hold.
  void check(std::string_view tensor) const;
  bool is_symmetric() const;
};

/// What quantizing and dequantizing need of them, lent.
struct QuantParamsView {
  CodeRange range;
  const Granularity& granularity;
  std::span<const float> scales;
  std::span<const std::int32_t> zero_points;
  Rounding rounding = Rounding::nearest_even;
  std::uint64_t seed = 0;

  QuantParamsView(CodeRange r, const Granularity& g, std::span<const float> s, std::span<const std::int32_t> z)
      : range(r), granularity(g), scales(s), zero_points(z) {}
  QuantParamsView(const QuantParams& params)
      : QuantParamsView(params.range, params.granularity, params.scales, params.zero_points) {
    rounding = params.rounding;
    seed = params.seed;
  }
};

/// The widened clipping range of one group of values; always holds 0.
struct RealRange {
  float rmin = 0.0f;
  float rmax = 0.0f;
};

struct ScaleZeroPoint {
  float scale = 1.0f;
  std::int32_t zero_point = 0;
};

/// The scale and zero point of a clipping range [rmin, rmax]:
///   asymmetric: scale = (rmax - rmin) / (qmax - qmin), zero_point = round(qmin - rmin / scale), clamped to a code
///   symmetric:  scale = 2 max|r| / (qmax - qmin) (restricted range: max|r| / qmax), zero_point = 0 if signed, else 2^(bits-1)
/// The range is widened to hold 0. A range of zero width gives scale 1. A scale below the smallest that keeps
/// 1/scale finite and products normal (2^-100) is raised to it; one that takes the real of a code past the largest float is
/// lowered. Computed in double, rounded once to float.
/// Source: Gholami et al. 2021, arXiv 2103.13630, eq. 2 to 4. Throws Error{invalid_argument} for NaN or infinite ends.
ScaleZeroPoint choose_scale_zero_point(RealRange range, CodeRange codes, bool is_symmetric);

/// That of an activation. A zero point half way between two codes puts both ends of the range half way too: [-1, 1] of a tanh or of
/// a layer norm lies at -127.5 and 127.5 steps, and where many values are near the ends, the last bit of a float decides their
/// codes. One code less then puts an end onto a code: steps of 8 bits grow by 0.4 %, of fewer bits by too much.
ScaleZeroPoint choose_activation_scale(RealRange range, CodeRange codes, bool is_symmetric);

/// choose_scale_zero_point for many symmetric ranges of the same codes.
class SymmetricScale {
 public:
  explicit SymmetricScale(CodeRange codes);
  std::int32_t zero_point() const { return zero_point_; }
  /// Of [-largest, largest], which is finite.
  float operator()(double largest) const {
    const double ideal = largest == 0.0 ? 1.0 : 2.0 * largest / n_steps_;
    const double scale = ideal < kMinScale ? kMinScale : ideal;
    return static_cast<float>(scale * furthest_ > kLargestReal ? kLargestReal / furthest_ : scale);
  }
  /// Of four that are at most kPlain.
  f32x4 operator()(f32x4 largest) const {
    // Rounding the double quotient of two floats to float gives their float quotient.
    const f32x4 scales = max(largest / splat(static_cast<float>(n_steps_ * 0.5)), splat(static_cast<float>(kMinScale)));
    return select(largest == splat(0.0f), splat(1.0f), scales);
  }
  /// No real of a code comes near the largest float: no scale is lowered.
  static constexpr float kPlain = 0x1p100f;
  /// The smallest scale: 1 / scale stays finite and products of two scales, widened where needed, stay normal.
  static constexpr double kMinScale = 0x1p-100;
  /// A little less than the largest float: scale * (code - zero_point), rounded twice, stays finite.
  static constexpr double kLargestReal = static_cast<double>(std::numeric_limits<float>::max()) * (1.0 - 0x1p-22);

 private:
  std::int32_t zero_point_;
  double n_steps_;
  double furthest_;  // code from the zero point
};

}  // namespace bitwright
