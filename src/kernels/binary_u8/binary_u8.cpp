#include "kernels/binary_u8/binary_u8.h"

#include <algorithm>
#include <cmath>

#include "base/parallel_for.h"

namespace bitwright {

#define BINARY_U8_KERNEL(function, operation, family, arithmetic) \
  {#function, function, BinaryOperation::operation, KernelFamily::family, Arithmetic::arithmetic},
std::span<const BinaryU8Variant> binary_u8_variants() {
  static constexpr BinaryU8Variant kVariants[] = {
#include "kernels/binary_u8/variants.inc"
  };
  return kVariants;
}

std::span<const BinaryU8Variant> binary_u8_references() {
  static constexpr BinaryU8Variant kReferences[] = {
#include "kernels/binary_u8/references.inc"
  };
  return kReferences;
}
#undef BINARY_U8_KERNEL

BinaryU8Kernel choose_binary_u8(BinaryOperation operation, Arithmetic arithmetic) {
  for (const BinaryU8Variant& variant : binary_u8_variants())
    if (variant.operation == operation && variant.arithmetic == arithmetic) return variant.run;
  return nullptr;
}

void binary_u8_blocked(const BinaryU8& args, BinaryU8Kernel kernel) {
  constexpr std::ptrdiff_t kCodesPerTask = 1 << 14;
  if (args.n <= 0) return;
  if (args.rows == 1 && args.n > 2 * kCodesPerTask) {  // one long row is cut instead
    parallel_for((args.n + kCodesPerTask - 1) / kCodesPerTask, 1, [&](std::int64_t begin, std::int64_t end) {
      const auto from = static_cast<std::ptrdiff_t>(begin) * kCodesPerTask;
      BinaryU8 part = args;
      part.n = std::min(args.n, static_cast<std::ptrdiff_t>(end) * kCodesPerTask) - from;
      part.a += from * args.a_step;
      part.b += from * args.b_step;
      part.y += from;
      kernel(part, 0, 1);
    });
    return;
  }
  parallel_for(args.rows, std::max<std::ptrdiff_t>(1, kCodesPerTask / args.n), [&](std::int64_t begin, std::int64_t end) {
    kernel(args, static_cast<std::ptrdiff_t>(begin), static_cast<std::ptrdiff_t>(end));
  });
}

bool set_add_multipliers(BinaryU8& add, double a_ratio, double b_ratio) {
  const double largest = std::max(a_ratio, b_ratio);
  if (!(std::min(a_ratio, b_ratio) > 0.0 && largest < 0x1p20)) return false;
  int exponent = 0;
  std::frexp(largest, &exponent);
  const int shift = std::min(21 - exponent, 30);
  add.right_shift = shift;
  add.a_multiplier = static_cast<std::int32_t>(std::ldexp(a_ratio, shift) + 0.5);
  add.b_multiplier = static_cast<std::int32_t>(std::ldexp(b_ratio, shift) + 0.5);
  return true;
}

}  // namespace bitwright
