#include "kernels/pool_u8/pool_u8.h"

#include <algorithm>

#include "base/parallel_for.h"

namespace bitwright {

namespace {

struct Variant {
  PoolU8Kernel run;
  PoolOperation operation;
  Arithmetic arithmetic;
};

template <std::size_t n>
PoolU8Kernel find(const Variant (&variants)[n], PoolOperation operation, Arithmetic arithmetic) {
  for (const Variant& variant : variants)
    if (variant.operation == operation && (operation == PoolOperation::max || variant.arithmetic == arithmetic))
      return variant.run;
  return nullptr;
}

}  // namespace

#define POOL_U8_KERNEL(function, operation, family, arithmetic) {function, PoolOperation::operation, Arithmetic::arithmetic},
PoolU8Kernel choose_pool_u8(PoolOperation operation, Arithmetic arithmetic) {
  static constexpr Variant kVariants[] = {
#include "kernels/pool_u8/variants.inc"
  };
  return find(kVariants, operation, arithmetic);
}

PoolU8Kernel reference_pool_u8(PoolOperation operation, Arithmetic arithmetic) {
  static constexpr Variant kReferences[] = {
#include "kernels/pool_u8/references.inc"
  };
  return find(kReferences, operation, arithmetic);
}
#undef POOL_U8_KERNEL

void pool_u8_blocked(const PoolU8& args, PoolU8Kernel kernel) {
  constexpr std::ptrdiff_t kCodesPerTask = 1 << 15;
  const std::ptrdiff_t codes = std::max<std::ptrdiff_t>(1, args.channels * args.geometry.n_taps());
  parallel_for(args.n_pixels(), std::max<std::ptrdiff_t>(1, kCodesPerTask / codes), [&](std::int64_t begin, std::int64_t end) {
    kernel(args, static_cast<std::ptrdiff_t>(begin), static_cast<std::ptrdiff_t>(end));
  });
}

}  // namespace bitwright
