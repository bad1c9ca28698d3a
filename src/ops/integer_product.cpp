#include "ops/integer_product.h"

#include <algorithm>
#include <cstring>

#include "kernels/elementwise_f32/elementwise_f32.h"
#include "kernels/probe.h"
#include "tensor/elements.h"

namespace bitwright {

struct IntegerRight final : OpState {
  std::ptrdiff_t k = 0, n = 0;
  KernelFamily family = KernelFamily::simd128;
  std::shared_ptr<Buffer> packed;
  std::size_t panel_bytes = 0;
  std::vector<std::int32_t> heads, sums;  // by column: what a packed panel begins with for a zero point of 0; sum of b
  std::vector<float> multipliers;
};

namespace {

/// The left zero point is known at the run only: the panels' heads are what it changes.
void set_zero_point(IntegerRight& b, std::int32_t zero_point) {
  for (std::size_t i = 0; i < b.heads.size(); ++i) {
    const auto head = static_cast<std::int32_t>(static_cast<std::uint32_t>(b.heads[i]) -
                                                static_cast<std::uint32_t>(zero_point) * static_cast<std::uint32_t>(b.sums[i]));
    std::memcpy(b.packed->data() + i / 8 * b.panel_bytes + i % 8 * 4, &head, sizeof(head));
  }
}

void multiply(const UnsignedCodes& a, IntegerRight& b, AccResult result, void* y) {
  set_zero_point(b, a.zero_point);
  const std::ptrdiff_t rows = b.k == 0 ? 0 : static_cast<std::ptrdiff_t>(a.codes.n_elements()) / b.k;
  ConvU8I8 product = matrix_product_u8_i8(rows, b.n, b.k);
  product.x = a.codes.bytes().data();
  product.x_zero_point = a.zero_point;
  product.packed = reinterpret_cast<const std::byte*>(b.packed->data());
  product.y = y;
  product.requantize.multipliers = b.multipliers.data();
  conv_u8_i8_blocked(product, choose_conv_u8_i8(b.family, result));
}

}  // namespace

IntegerRight* integer_right(RunContext& context, std::size_t b, std::size_t b_zero) {
  if (context.state() != nullptr) return static_cast<IntegerRight*>(context.state().get());
  const Tensor& codes = context.input(b);
  const bool has_zeros = context.has_input(b_zero);
  if (!context.is_constant(b) || codes.rank() != 2 || codes.extent(0) > kMaxConvU8I8K || codes.n_elements() == 0 ||
      (codes.dtype() != DType::u8 && codes.dtype() != DType::i8) || (has_zeros && !context.is_constant(b_zero)))
    return nullptr;
  auto made = std::make_unique<IntegerRight>();
  made->k = static_cast<std::ptrdiff_t>(codes.extent(0));
  made->n = static_cast<std::ptrdiff_t>(codes.extent(1));
  const auto n = static_cast<std::size_t>(made->n);
  std::vector<std::int32_t> zeros(n, 0);
  if (has_zeros) {
    const Tensor& given = context.input(b_zero);
    if (given.dtype() != codes.dtype() || (given.n_elements() != 1 && given.n_elements() != codes.extent(1))) return nullptr;
    for (std::size_t i = 0; i < n; ++i)
      zeros[i] = static_cast<std::int32_t>(element_i64(given, given.n_elements() == 1 ? 0 : static_cast<std::int64_t>(i)));
  }
  const KernelFamily probed = probe_kernel_family();
  for (const KernelFamily family : {probed, KernelFamily::simd128})
    if (choose_conv_u8_i8(family, AccResult::i32) != nullptr && choose_conv_u8_i8(family, AccResult::f32) != nullptr) {
      made->family = family;
      break;
    }
  const ConvWeightsU8I8 weights{.w = codes.bytes().data(),
                                .is_unsigned = codes.dtype() == DType::u8,
                                .channels = made->k,
                                .out_channels = made->n,
                                .column_stride = 1,
                                .channel_stride = made->n,
                                .zero_points = zeros.data()};
  const std::size_t packed_bytes = packed_conv_u8_i8_bytes(made->family, weights);
  made->packed = allocate_buffer(packed_bytes);
  made->panel_bytes = packed_bytes / ((n + 7) / 8);
  pack_conv_u8_i8(made->family, weights, reinterpret_cast<std::byte*>(made->packed->data()));
  made->heads.resize(n);
  made->sums.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::memcpy(&made->heads[i], made->packed->data() + i / 8 * made->panel_bytes + i % 8 * 4, 4);
    made->sums[i] = -zeros[i] * static_cast<std::int32_t>(made->k);
  }
  const std::span<const std::uint8_t> bytes = codes.bytes();
  for (std::size_t i = 0; i < bytes.size(); ++i)
    made->sums[i % n] += weights.is_unsigned ? bytes[i] : static_cast<std::int8_t>(bytes[i]);
  made->multipliers.resize((n + 7) / 8 * 8 + 8, 0.0f);
  context.state() = std::move(made);
  return static_cast<IntegerRight*>(context.state().get());
}

std::optional<UnsignedCodes> unsigned_codes(RunContext& context, std::size_t a, std::size_t a_zero) {
  const Tensor& codes = context.input(a);
  if (codes.dtype() != DType::u8 && codes.dtype() != DType::i8) return std::nullopt;
  UnsignedCodes result{codes, 0};
  if (context.has_input(a_zero)) {
    if (context.input(a_zero).dtype() != codes.dtype() || context.input(a_zero).n_elements() != 1) return std::nullopt;
    result.zero_point = static_cast<std::int32_t>(element_i64(context.input(a_zero), 0));
  }
  if (codes.dtype() == DType::i8) {
    result.codes = Tensor(DType::u8, codes.shape(), context.allocator());
    result.zero_point += 128;
    const std::span<const std::uint8_t> from = codes.bytes();
    std::transform(from.begin(), from.end(), result.codes.bytes().begin(),
                   [](std::uint8_t code) { return static_cast<std::uint8_t>(code ^ 0x80); });
  }
  return result;
}

void multiply_i32(const UnsignedCodes& a, IntegerRight& b, std::int32_t* y) { multiply(a, b, AccResult::i32, y); }

void multiply_f32(const UnsignedCodes& a, IntegerRight& b, float a_scale, const std::vector<float>& b_scale,
                  const std::vector<float>& bias, float* y) {
  for (std::size_t i = 0; i < b.sums.size(); ++i) b.multipliers[i] = a_scale * b_scale[b_scale.size() == 1 ? 0 : i];
  multiply(a, b, AccResult::f32, y);
  if (bias.empty()) return;
  for (std::int64_t row = a.codes.n_elements() / b.k; row > 0; --row, y += b.n) zip_f32__add(y, 1, bias.data(), 1, y, b.n);
}

}  // namespace bitwright
