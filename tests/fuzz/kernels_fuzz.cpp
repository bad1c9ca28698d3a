// Vector kernels give the bits of the reference, for whatever sizes, strides and values (NaN and infinities included) are drawn.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>

#include "fuzz/fuzz_model.h"
#include "kernels/conv_f32/conv_f32.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/pool_f32/pool_f32.h"
#include "kernels/reduce_f32/reduce_f32.h"

using namespace bitwright;

namespace {

/// Takes numbers from the input in order; zeros when it is used up.
class Numbers {
 public:
  explicit Numbers(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::ptrdiff_t below(std::ptrdiff_t n) { return static_cast<std::ptrdiff_t>(next() % static_cast<std::uint32_t>(n)); }
  /// Exactly as long as asked, so that the address sanitizer sees every element too far; one for none, as a pointer is needed.
  std::vector<float> floats(std::ptrdiff_t n) {
    std::vector<float> values(static_cast<std::size_t>(std::max<std::ptrdiff_t>(n, 1)));
    for (float& value : values) value = special(next());
    return values;
  }

 private:
  std::uint32_t next() {
    std::uint32_t value = 0;
    for (int i = 0; i < 2 && at_ < bytes_.size(); ++i) value = value << 8 | bytes_[at_++];
    return value;
  }
  /// The bytes as a half-precision pattern widened: every magnitude, sign, NaN and infinity occurs.
  static float special(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// Equal bits, where any NaN equals any NaN.
void expect_same(std::span<const float> found, std::span<const float> wanted, std::string_view kernel) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (std::isnan(found[i]) && std::isnan(wanted[i])) continue;
    if (std::bit_cast<std::uint32_t>(found[i]) == std::bit_cast<std::uint32_t>(wanted[i])) continue;
    std::fprintf(stderr, "%.*s: element %zu is %a, the reference says %a\n", static_cast<int>(kernel.size()), kernel.data(), i,
                 static_cast<double>(found[i]), static_cast<double>(wanted[i]));
    std::abort();
  }
}

void try_gemm(Numbers& numbers) {
  const std::ptrdiff_t m = numbers.below(20), n = numbers.below(40), k = numbers.below(24);
  const bool is_transposed = numbers.below(2) == 1;
  const std::vector<float> a = numbers.floats(m * k), b = numbers.floats(k * n), bias = numbers.floats(m + n);
  std::vector<float> packed(static_cast<std::size_t>(std::max<std::ptrdiff_t>(packed_b_floats(k, n), 1)));
  pack_b_f32(b.data(), n, 1, k, n, 0, (n + 7) / 8, packed.data());
  GemmF32 product{.m = m,
                  .n = n,
                  .k = k,
                  .a = a.data(),
                  .a_row_stride = is_transposed ? 1 : k,
                  .a_k_stride = is_transposed ? m : 1,
                  .b = packed.data(),
                  .b_panel_stride = 8 * k,
                  .b_k_stride = 8,
                  .c_row_stride = n};
  if (numbers.below(2) == 1) product.row_bias = bias.data();
  if (numbers.below(2) == 1) product.column_bias = bias.data() + m;
  std::vector<float> wanted(static_cast<std::size_t>(std::max<std::ptrdiff_t>(m * n, 1))), found(wanted.size());
  product.c = wanted.data();
  gemm_f32__reference(product);
  product.c = found.data();
  for (const GemmF32Variant& variant : gemm_f32_variants()) {
    if (!variant.is_deterministic) continue;
    variant.run(product);
    expect_same(found, wanted, variant.name);
    gemm_f32_blocked(product, variant.run);
    expect_same(found, wanted, "gemm_f32_blocked");
  }
}

/// Windows over an input of the given rank, with at least one output pixel on each axis.
ConvGeometry draw_geometry(Numbers& numbers) {
  ConvGeometry g;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    g.input[axis] = 1 + numbers.below(axis == 0 ? 3 : 20);
    g.kernel[axis] = 1 + numbers.below(4);
    g.stride[axis] = 1 + numbers.below(4);
    g.dilation[axis] = 1 + numbers.below(3);
    g.pad_begin[axis] = numbers.below(4);
    const std::ptrdiff_t reach = (g.kernel[axis] - 1) * g.dilation[axis] + 1;
    const std::ptrdiff_t padded = std::max(g.input[axis] + g.pad_begin[axis] + numbers.below(4), reach);
    g.output[axis] = (padded - reach) / g.stride[axis] + 1;
  }
  return g;
}

void try_conv(Numbers& numbers) {
  ConvF32 conv{.geometry = draw_geometry(numbers), .channels = 1 + numbers.below(4), .out_channels = 1 + numbers.below(7)};
  const std::vector<float> x = numbers.floats(conv.channels * conv.geometry.n_inputs());
  std::vector<float> w = numbers.floats(conv.out_channels * conv.channels * conv.geometry.n_taps());
  for (float& value : w)
    if (!std::isfinite(value)) value = 1.0f;  // the contract: finite weights
  const std::vector<float> bias = numbers.floats(conv.out_channels);
  conv.x = x.data();
  conv.w = w.data();
  conv.bias = bias.data();
  std::vector<float> wanted(static_cast<std::size_t>(conv.out_channels * conv.geometry.n_outputs())), found(wanted.size());
  conv.y = wanted.data();
  conv_f32__reference(conv);
  std::vector<float> scratch(static_cast<std::size_t>(conv_f32_scratch_floats(conv)));
  conv.y = found.data();
  conv_f32_blocked(conv, scratch.data(), choose_gemm_f32());
  expect_same(found, wanted, "conv_f32_blocked");
}

void try_pool(Numbers& numbers) {
  PoolF32 pool{.kind = numbers.below(2) == 0 ? PoolF32::Kind::maximum : PoolF32::Kind::sum, .geometry = draw_geometry(numbers)};
  const std::vector<float> x = numbers.floats(pool.geometry.n_inputs());
  std::vector<float> wanted(static_cast<std::size_t>(pool.geometry.n_outputs())), found(wanted.size());
  pool.x = x.data();
  pool.y = wanted.data();
  pool_f32__reference(pool);
  pool.y = found.data();
  for (const PoolF32Variant& variant : pool_f32_variants()) {
    variant.run(pool);
    expect_same(found, wanted, variant.name);
  }
}

void try_depthwise(Numbers& numbers) {
  DepthwiseF32 d{.out_height = 1 + numbers.below(6),
                 .out_width = 1 + numbers.below(20),
                 .kernel_height = 1 + numbers.below(4),
                 .kernel_width = 1 + numbers.below(5),
                 .stride_y = 1 + numbers.below(3),
                 .stride_x = 1 + numbers.below(3),
                 .dilation_y = 1 + numbers.below(2),
                 .dilation_x = 1 + numbers.below(2)};
  d.x_row_stride = depthwise_f32_row_floats(d) + numbers.below(3);
  const std::vector<float> x = numbers.floats(depthwise_f32_rows(d) * d.x_row_stride);
  const std::vector<float> w = numbers.floats(d.kernel_height * d.kernel_width);
  std::vector<float> wanted(static_cast<std::size_t>(d.out_height * d.out_width)), found(wanted.size());
  d.x = x.data();
  d.w = w.data();
  d.bias = numbers.floats(1)[0];
  const DepthwiseF32Variant& reference = depthwise_f32_variants().back();
  d.y = wanted.data();
  reference.run(d);
  d.y = found.data();
  for (const DepthwiseF32Variant& variant : depthwise_f32_variants()) {
    variant.run(d);
    expect_same(found, wanted, variant.name);
  }
}

void try_sums(Numbers& numbers) {
  const std::vector<float> x = numbers.floats(numbers.below(70));
  const float center = numbers.floats(1)[0];
  const auto n = static_cast<std::ptrdiff_t>(x.size());
  const float found[] = {sum_f32(x.data(), n), sum_squares_f32(x.data(), n, center)};
  const float wanted[] = {reference::sum_f32(x.data(), n), reference::sum_squares_f32(x.data(), n, center)};
  expect_same(found, wanted, "reduce_f32");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  Numbers numbers({data, n_bytes});
  switch (numbers.below(5)) {
    case 0:
      try_gemm(numbers);
      break;
    case 1:
      try_conv(numbers);
      break;
    case 2:
      try_pool(numbers);
      break;
    case 3:
      try_depthwise(numbers);
      break;
    default:
      try_sums(numbers);
  }
  return 0;
}
