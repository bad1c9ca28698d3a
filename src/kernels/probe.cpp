#include "kernels/probe.h"

#include "base/simd_int.h"

namespace bitwright {

namespace {

#if defined(BITWRIGHT_RELAXED)
/// Operands the compiler cannot see through: it would compute the dot itself, its own way.
[[gnu::noinline]] std::int32_t relaxed_dot(std::int32_t weight, std::int32_t activation) {
  v128_t w = wasm_i8x16_splat(static_cast<std::int8_t>(weight)), a = wasm_i8x16_splat(static_cast<std::int8_t>(activation));
  asm volatile("" : "+r"(w), "+r"(a));
  return wasm_i32x4_extract_lane(wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w, a, wasm_i32x4_const_splat(0)), 0);
}
#endif

}  // namespace

KernelFamily probe_kernel_family() {
#if defined(BITWRIGHT_RELAXED)
  return kernel_family_of(relaxed_dot);
#else
  return KernelFamily::simd128;
#endif
}

}  // namespace bitwright
