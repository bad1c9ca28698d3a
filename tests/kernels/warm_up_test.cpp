#include "kernels/warm_up.h"

#include <doctest/doctest.h>

#include "kernels/conv_u8_i8/conv_u8_i8.h"

using namespace bitwright;

TEST_CASE("warm_up: every family and arithmetic stays within its memory; a family that is not there does nothing") {
  for (const KernelFamily family : {KernelFamily::reference, KernelFamily::simd128, KernelFamily::usdot, KernelFamily::sdot})
    for (const Arithmetic arithmetic : {Arithmetic::fast, Arithmetic::integer_only})
      CHECK_NOTHROW(warm_up_integer_kernels(family, arithmetic));
  const bool has_kernel = choose_conv_u8_i8(KernelFamily::simd128, AccResult::fast) != nullptr;
  CHECK(has_kernel);
}
