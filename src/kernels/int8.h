#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/fixed_point.h"

namespace bitwright {

// Notation of the integer kernels. Activations are u8 codes, channels last, real = scale * (code - zero_point); an s8 tensor
// becomes one at the island's border by code + 128, zero_point + 128. Every buffer of codes may be read kOverReadBytes beyond
// its end; nothing is written there.
inline constexpr std::ptrdiff_t kOverReadBytes = 16;

/// fast: requantization through float (quant/requantize_f32.h). integer_only: no float instruction (quant/fixed_point.h).
enum class Arithmetic { fast, integer_only };

/// Which instruction multiplies: wasm's dot_i16x8, or the relaxed dot where the probe found it unsigned x signed, or signed x
/// signed. All give the same bits.
enum class KernelFamily { reference, simd128, usdot, sdot };

/// What becomes of int32 accumulators. Arrays are per output channel and readable up to a multiple of 8 channels and 8 further.
struct Requantize {
  const float* multipliers = nullptr;                 // fast; for f32 results the scale of an accumulator
  const std::int32_t* fixed_multipliers = nullptr;    // integer_only
  std::int32_t left_shift = 0;                        // of the fixed multipliers
  std::int32_t zero_point = 0, qmin = 0, qmax = 255;  // a fused ReLU or Clip narrows [qmin, qmax]
};

/// The result of a convolution or product: codes by either arithmetic, the accumulators, or their reals.
enum class AccResult { fast, integer_only, i32, f32 };

/// What activations are xor'ed with for instructions that take them as signed numbers; packed biases add the 128 again.
inline constexpr std::uint8_t kSignedFlip = 0x80;

}  // namespace bitwright
