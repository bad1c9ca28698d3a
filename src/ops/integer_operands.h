#pragma once

#include <cstdint>
#include <vector>

#include "ops/op.h"

namespace bitwright {

// Operators on 8-bit codes compute exactly: codes less zero points are small integers held as floats, sums go to int32.

/// codes - zero point as floats, in the shape of the codes. The zero point input may be left out (0) or hold one value; else one for
/// each index of `axis` (negative: from the end), or one for each row of the last axis where `axis` is -2 and there are batches.
/// Throws Error{shape_mismatch} for other counts and Error{unsupported} for codes of more than 8 bits.
Tensor centered_codes(RunContext& context, std::size_t codes, std::size_t zero_point, std::int64_t axis);

/// The zero points of codes of this type, which has 8 or 16 bits. Throws Error{bad_graph} where they have another type, as
/// their arithmetic is exact for codes only, and Error{shape_mismatch} where there are none.
std::vector<float> zero_points_of(RunContext& context, std::size_t input, DType codes);
/// A bias of integer sums. Throws Error{bad_graph} for another type than int32.
std::vector<std::int64_t> bias_of_sums(RunContext& context, std::size_t input);

/// The only value of an input. Throws Error{shape_mismatch} where there are more, or none.
float only_value(RunContext& context, std::size_t input);

/// All values of an input as float.
std::vector<float> float_values(const Tensor& tensor);

/// c[m, n] = a[m, k] b[k, n], batch by batch as MatMul has it, in int32. Both hold centered codes.
Tensor matmul_i32(const Node& node, const Tensor& a, const Tensor& b, Allocator& allocator);

/// saturate(round_half_even(x) + zero_point) as a code of the type, 8 bits.
std::int32_t rounded_code(float steps, std::int32_t zero_point, DType dtype);

}  // namespace bitwright
