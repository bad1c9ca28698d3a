#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "kernels/int8.h"
#include "ops/op.h"

namespace bitwright {

// The operators of integer islands (domain kInternalDomain), which the pass fuse_integer puts in. They work on u8 codes, channels
// last where an operator has spatial axes, and only prepare. Attributes, as the pass writes them:
//   x_scale, x_zero_point, y_scale, y_zero_point ...   where the codes stand in the reals, by the letter of the operand
//   qmin, qmax                                         what a fused Relu or Clip leaves of the codes
//   integer_only                                       1: requantize by fixed point; else by float
//   family                                             a KernelFamily, where tests force one

struct CodeParams {
  float scale = 1.0f;
  std::int32_t zero_point = 0;
};
CodeParams code_params(const Node& node, char operand);

Arithmetic arithmetic_of(const Node& node);
/// The best family of this build on this machine.
KernelFamily probed_family();
/// What the attribute says, else what the probe found on this machine.
KernelFamily family_of(const Node& node);

/// Per-channel multipliers and where the results go, kept as long as a Requantize points to them.
struct Requantizer {
  std::vector<float> multipliers;
  std::vector<std::int32_t> fixed_multipliers;
  Requantize requantize;
};
/// Scales of the accumulators over the scale of the result. `accumulator_scales` in float as onnxruntime multiplies them.
/// Throws Error{unsupported} naming the node where fixed point cannot say them.
Requantizer make_requantizer(const Node& node, const std::vector<float>& accumulator_scales);

/// Throws Error{shape_mismatch} where the input is of another type: what stands in a file for codes may be anything.
void require_type(const InferContext& context, std::size_t input, std::initializer_list<DType> types = {DType::u8});

/// A prepared call whose arguments are a T with `void run() const`.
template <typename T>
PreparedCall prepared(std::shared_ptr<const T> args, std::string kernel) {
  return {[](const void* a) { static_cast<const T*>(a)->run(); }, std::move(args), std::move(kernel)};
}

/// [n, spatial..., c] of [n, c, spatial...] and back.
Shape channels_last_shape(const Shape& shape);
Shape channels_first_shape(const Shape& shape);

inline constexpr std::int64_t kFusedSince[] = {1};

/// Products of two codes of the run that one output may sum, so that no partial sum leaves int32: 2 * 255 * 255 * k.
inline constexpr std::int64_t kMaxMatMulK = 16512;

}  // namespace bitwright
