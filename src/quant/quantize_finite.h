#pragma once

#include <cstdint>

#include "quant/quantize.h"

// The steps of schemes whose scale follows from the largest magnitude, each for many groups of values that stand side by side, so that
// no group waits for the one before. Functions of their own, with few variables beside those of the inner loop: within a larger
// one V8 keeps them in memory, and a block of 32 values takes twice as long.

namespace bitwright {

/// The bits of an infinity: the least of what is not finite.
inline constexpr std::int32_t kNotFinite = 0x7f800000;

/// The bits of the largest |x| of each of n_groups groups of `length` values, at least kNotFinite where an infinity or NaN is among
/// them; returns the largest of all.
std::int32_t largest_magnitudes(const float* x, std::int64_t length, std::int64_t n_groups, std::int32_t* bits);

/// The scales that follow from them, times `ratio`; of those that are not finite any number.
void scales_of(const SymmetricScale& scale, const std::int32_t* bits, std::int64_t n_groups, float ratio, float* scales);

/// As quantize_run for each group, for finite values with |x / scale| < 2^20: nothing is left to be saturated but codes.
void quantize_finite(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                     const std::int32_t* zero_points, CodeRange range, std::uint8_t* codes);

/// The same for groups of whole 32 values and codes of 4 bits, which are packed: two in a byte, the first in its low half.
void quantize_finite_to_nibbles(const float* x, std::int64_t length, std::int64_t n_groups, const float* scales,
                                const std::int32_t* zero_points, CodeRange range, std::uint8_t* nibbles);

}  // namespace bitwright
