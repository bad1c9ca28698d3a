#pragma once

#include "kernels/int8.h"

namespace bitwright {

/// What the relaxed dot of this engine is, by trying it: usdot or sdot where it multiplies full 8-bit codes exactly, simd128 where
/// it saturates, is wrong (Node 20 before it optimizes), or the build has none. Cheap; ask once a session.
KernelFamily probe_kernel_family();

/// The same question of any dot of four: `dot(weight, activation)` gives the sum of four products of these bytes.
template <typename Dot>
KernelFamily kernel_family_of(Dot dot) {
  if (dot(-128, 127) != 4 * -128 * 127 || dot(127, 127) != 4 * 127 * 127 || dot(3, 5) != 60) return KernelFamily::simd128;
  const bool is_unsigned = dot(1, 0x80) == 4 * 128 && dot(-1, 0x80) == 4 * -128 && dot(127, 0xff) == 4 * 127 * 255 &&
                           dot(-128, 0xff) == 4 * -128 * 255;
  const bool is_signed =
      dot(1, 0x80) == 4 * -128 && dot(-1, 0x80) == 4 * 128 && dot(127, 0xff) == -4 * 127 && dot(-128, 0x80) == 4 * 128 * 128;
  return is_unsigned ? KernelFamily::usdot : is_signed ? KernelFamily::sdot : KernelFamily::simd128;
}

}  // namespace bitwright
