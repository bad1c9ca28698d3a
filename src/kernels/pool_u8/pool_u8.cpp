#include "kernels/pool_u8/pool_u8.h"

#include <algorithm>

#include "base/parallel_for.h"

namespace bitwright {

PoolU8Kernel choose_pool_u8(PoolOperation operation, Arithmetic arithmetic, bool is_reference) {
  struct Variant {
    PoolU8Kernel run;
    PoolOperation operation;
    KernelFamily family;
    Arithmetic arithmetic;
  };
  static constexpr Variant kVariants[] = {
#define POOL_U8_KERNEL(function, operation, family, arithmetic) \
  {function, PoolOperation::operation, KernelFamily::family, Arithmetic::arithmetic},
#include "kernels/pool_u8/variants.inc"
#undef POOL_U8_KERNEL
  };
  for (const Variant& variant : kVariants)
    if (variant.operation == operation && (operation == PoolOperation::max || variant.arithmetic == arithmetic) &&
        (!is_reference || variant.family == KernelFamily::reference))
      return variant.run;
  return nullptr;
}

void pool_u8_blocked(const PoolU8& args, PoolU8Kernel kernel) {
  constexpr std::ptrdiff_t kCodesPerTask = 1 << 15;
  const std::ptrdiff_t codes = std::max<std::ptrdiff_t>(1, args.channels * args.geometry.n_taps());
  parallel_for(args.n_pixels(), std::max<std::ptrdiff_t>(1, kCodesPerTask / codes), [&](std::int64_t begin, std::int64_t end) {
    kernel(args, static_cast<std::ptrdiff_t>(begin), static_cast<std::ptrdiff_t>(end));
  });
}

}  // namespace bitwright
