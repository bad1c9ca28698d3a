// The kernels that pass through codes element by element: sums and products, tables, pools, borders.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "kernels/binary_u8/binary_u8.h"
#include "kernels/border_u8/border_u8.h"
#include "kernels/codes.h"
#include "kernels/lookup_u8/lookup_u8.h"
#include "kernels/pool_u8/pool_u8.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

BinaryU8 binary(std::ptrdiff_t rows, std::ptrdiff_t n, bool is_add) {
  BinaryU8 args{.rows = rows,
                .n = n,
                .a_row_stride = n,
                .b_row_stride = n,
                .y_row_stride = n,
                .a_zero_point = 100,
                .b_zero_point = 131,
                .y_zero_point = is_add ? 117 : 60,
                .qmin = 4,
                .qmax = 253,
                .a_scale = 0.021f,
                .b_scale = 0.047f,
                .y_scale = is_add ? 0.05f : 0.03f};
  if (is_add) {
    REQUIRE(set_add_multipliers(args, 0.021 / 0.05, 0.047 / 0.05));
  } else {
    const double scale = 0.021 * 0.047 / 0.03;
    const FixedPoint fixed = fixed_point(std::span(&scale, 1)).value();
    args.a_multiplier = fixed.multipliers[0];
    args.left_shift = fixed.left_shift;
  }
  return args;
}

std::int32_t expected_binary(const BinaryU8& args, BinaryOperation operation, Arithmetic arithmetic, std::int32_t a,
                             std::int32_t b) {
  const Requantize r{.left_shift = args.left_shift, .zero_point = args.y_zero_point, .qmin = args.qmin, .qmax = args.qmax};
  if (arithmetic == Arithmetic::integer_only) {
    if (operation == BinaryOperation::mul) return expected_integer_only(a * b, args.a_multiplier, r);
    const double exact = (static_cast<double>(a) * args.a_multiplier + static_cast<double>(b) * args.b_multiplier) /
                         std::ldexp(1.0, args.right_shift);
    return static_cast<std::int32_t>(
        clamped(static_cast<std::int64_t>(std::floor(exact + 0.5)) + args.y_zero_point, args.qmin, args.qmax));
  }
  const float x = args.a_scale * static_cast<float>(a), y = args.b_scale * static_cast<float>(b);
  const float steps = (operation == BinaryOperation::add ? x + y : x * y) / args.y_scale;
  const float sum = steps + static_cast<float>(args.y_zero_point);
  return static_cast<std::int32_t>(clamped(std::lround(std::nearbyint(static_cast<double>(sum))), args.qmin, args.qmax));
}

/// References too.
std::vector<BinaryU8Variant> all_of_binary_u8() {
  std::vector<BinaryU8Variant> all(binary_u8_variants().begin(), binary_u8_variants().end());
  all.insert(all.end(), binary_u8_references().begin(), binary_u8_references().end());
  return all;
}

}  // namespace

TEST_CASE("binary_u8: every variant, broadcast along rows and columns") {
  for (const BinaryU8Variant& variant : all_of_binary_u8())
    for (const std::ptrdiff_t n : {1, 7, 8, 9, 15, 16, 17, 33})
      for (const int broadcast : {0, 1, 2, 3}) {
        CAPTURE(variant.name);
        CAPTURE(n);
        CAPTURE(broadcast);
        const std::ptrdiff_t rows = 5;
        BinaryU8 args = binary(rows, n, variant.operation == BinaryOperation::add);
        if (broadcast == 1) args.b_row_stride = 0;
        if (broadcast == 2) args.b_step = 0, args.b_row_stride = 1;
        if (broadcast == 3) args.a_step = 0, args.a_row_stride = 0;
        const auto a = random_activations(rows * n, 1), b = random_activations(rows * n, 2);
        std::vector<std::uint8_t> y(static_cast<std::size_t>(rows * n + 1), 99);
        args.a = a.data();
        args.b = b.data();
        args.y = y.data();
        binary_u8_blocked(args, variant.run);
        std::int64_t n_wrong = 0;
        for (std::ptrdiff_t row = 0; row < rows; ++row)
          for (std::ptrdiff_t i = 0; i < n; ++i)
            n_wrong +=
                y[static_cast<std::size_t>(row * n + i)] !=
                expected_binary(args, variant.operation, variant.arithmetic,
                                a[static_cast<std::size_t>(row * args.a_row_stride + i * args.a_step)] - args.a_zero_point,
                                b[static_cast<std::size_t>(row * args.b_row_stride + i * args.b_step)] - args.b_zero_point);
        CHECK(n_wrong == 0);
        CHECK(y.back() == 99);
      }
}

TEST_CASE("binary_u8: a tie takes the even code, as onnxruntime's QLinearAdd does") {
  BinaryU8 args{.n = 2, .a_scale = 1.0f, .b_scale = 1.0f, .y_scale = 2.0f};
  const std::uint8_t a[] = {1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, b[18] = {};
  std::uint8_t y[2] = {};
  args.a = a;
  args.b = b;
  args.y = y;
  args.y_zero_point = 1;
  for (const BinaryU8Variant& variant : all_of_binary_u8()) {
    if (variant.operation != BinaryOperation::add || variant.arithmetic != Arithmetic::fast) continue;
    variant.run(args, 0, 1);
    CHECK(y[0] == 2);  // 1 / 2 + 1 = 1.5
    CHECK(y[1] == 2);
  }
}

TEST_CASE("binary_u8: one long row is shared out") {
  const std::ptrdiff_t n = 100000;
  BinaryU8 args = binary(1, n, true);
  const auto a = random_activations(n, 1), b = random_activations(n, 2);
  std::vector<std::uint8_t> y(static_cast<std::size_t>(n)), expected(y.size());
  args.a = a.data();
  args.b = b.data();
  args.y = expected.data();
  add_u8__reference_fast(args, 0, 1);
  args.y = y.data();
  binary_u8_blocked(args, choose_binary_u8(BinaryOperation::add, Arithmetic::fast));
  CHECK(y == expected);
}

TEST_CASE("lookup_u8: every code takes the table's entry, in place too") {
  const auto table = random_codes<std::uint8_t>(256, 9, 0, 255);
  for (const std::ptrdiff_t n : {1, 15, 16, 17, 64, 70001}) {
    const auto x = random_activations(2 * (n + 3), 1);
    std::vector<std::uint8_t> y = x;
    LookupU8 args{
        .rows = 2, .n = n, .x = y.data(), .y = y.data(), .x_row_stride = n + 3, .y_row_stride = n + 3, .table = table.data()};
    lookup_u8_blocked(args);
    std::int64_t n_wrong = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const bool is_inside = static_cast<std::ptrdiff_t>(i) % (n + 3) < n && static_cast<std::ptrdiff_t>(i) < 2 * (n + 3);
      n_wrong += y[i] != (is_inside ? table[x[i]] : x[i]);
    }
    CHECK(n_wrong == 0);
    args.rows = 1;
    std::vector<std::uint8_t> row(static_cast<std::size_t>(n));
    args.x = x.data();
    args.y = row.data();
    lookup_u8_blocked(args);
    CHECK(row[static_cast<std::size_t>(n - 1)] == table[x[static_cast<std::size_t>(n - 1)]]);
  }
}

TEST_CASE("gather_u8: pixels move by index, and fill where there is none") {
  const std::uint8_t x[] = {1, 2, 3, 4, 5, 6};
  const std::int32_t index[] = {2, -1, 0};
  std::uint8_t y[6] = {};
  gather_u8({.n = 3, .bytes = 2, .x = x, .x_stride = 2, .index = index, .fill = 9, .y = y, .y_stride = 2}, 0, 3);
  CHECK(std::vector<std::uint8_t>(y, y + 6) == std::vector<std::uint8_t>{5, 6, 9, 9, 1, 2});
}

TEST_CASE("gather_u8: pixels longer than a vector") {
  for (const std::ptrdiff_t bytes : {1, 15, 16, 17, 40}) {
    const std::ptrdiff_t stride = bytes + 2;
    const auto x = random_activations(5 * stride, 8);
    const std::int32_t index[] = {4, 0, -1, 3};
    std::vector<std::uint8_t> y(static_cast<std::size_t>(4 * stride), 99), expected = y;
    for (std::ptrdiff_t i = 0; i < 4; ++i)
      for (std::ptrdiff_t j = 0; j < bytes; ++j)
        expected[static_cast<std::size_t>(i * stride + j)] =
            index[i] < 0 ? 7 : x[static_cast<std::size_t>(index[i] * stride + j)];
    gather_u8(
        {.n = 4, .bytes = bytes, .x = x.data(), .x_stride = stride, .index = index, .fill = 7, .y = y.data(), .y_stride = stride},
        0, 4);
    CHECK(y == expected);
  }
}

TEST_CASE("pool_u8: every variant against the window as the contract says it") {
  for (const PoolOperation operation : {PoolOperation::max, PoolOperation::average})
    for (const Arithmetic arithmetic : {Arithmetic::fast, Arithmetic::integer_only})
      for (const bool is_reference : {true, false})
        for (const std::ptrdiff_t channels : {1, 7, 16, 17, 40})
          for (const bool is_global : {true, false}) {
            CAPTURE(channels);
            CAPTURE(is_global);
            const std::ptrdiff_t height = 7, width = 9;
            PoolU8 args{.geometry = {.input = {1, height, width},
                                     .output = {1, 4, 5},
                                     .kernel = {1, 3, 3},
                                     .stride = {1, 2, 2},
                                     .pad_begin = {0, 1, 1}},
                        .images = 2,
                        .channels = channels,
                        .x_pixel_stride = channels + 1,
                        .x_zero_point = 90,
                        .y_pixel_stride = channels + 2};
            if (is_global) args.geometry = {.input = {1, height, width}, .output = {1, 1, 1}, .kernel = {1, height, width}};
            const ConvGeometry& g = args.geometry;
            const auto x = random_activations(args.images * g.n_inputs() * args.x_pixel_stride, 3);
            std::vector<std::uint8_t> y(static_cast<std::size_t>(args.n_pixels() * args.y_pixel_stride), 99);
            std::vector<float> multipliers{0.0f};
            std::vector<double> scales;
            for (std::ptrdiff_t i = 1; i <= g.n_taps(); ++i) {
              scales.push_back(1.3 / static_cast<double>(i));
              multipliers.push_back(static_cast<float>(scales.back()));
            }
            const FixedPoint fixed = fixed_point(scales).value();
            std::vector<std::int32_t> fixed_multipliers{0};
            fixed_multipliers.insert(fixed_multipliers.end(), fixed.multipliers.begin(), fixed.multipliers.end());
            args.x = x.data();
            args.y = y.data();
            args.requantize = {multipliers.data(), fixed_multipliers.data(), fixed.left_shift, 70, 5, 240};
            pool_u8_blocked(args, (is_reference ? reference_pool_u8 : choose_pool_u8)(operation, arithmetic));
            std::int64_t n_wrong = 0;
            for (std::ptrdiff_t pixel = 0; pixel < args.n_pixels(); ++pixel)
              for (std::ptrdiff_t c = 0; c < args.y_pixel_stride; ++c) {
                const std::int32_t code = y[static_cast<std::size_t>(pixel * args.y_pixel_stride + c)];
                if (c >= channels) {
                  n_wrong += code != 99;
                  continue;
                }
                std::int32_t largest = 5, sum = 0;
                std::size_t n = 0;
                for (std::ptrdiff_t t = 0; t < g.n_taps(); ++t) {
                  const std::ptrdiff_t from = g.input_of(pixel % g.n_outputs(), t);
                  if (from == ConvGeometry::kPadding) continue;
                  const std::int32_t code_at =
                      x[static_cast<std::size_t>((pixel / g.n_outputs() * g.n_inputs() + from) * args.x_pixel_stride + c)];
                  largest = std::max(largest, code_at);
                  sum += code_at - 90;
                  ++n;
                }
                const std::int32_t expected = operation == PoolOperation::max ? std::min(largest, 240)
                                              : arithmetic == Arithmetic::fast
                                                  ? expected_fast(sum, multipliers[n], args.requantize)
                                                  : expected_integer_only(sum, fixed_multipliers[n], args.requantize);
                n_wrong += code != expected;
              }
            CHECK(n_wrong == 0);
          }
}

TEST_CASE("border_u8: planes of reals become codes channels last, and return") {
  for (const std::ptrdiff_t gap : {0, 1})
    for (const std::ptrdiff_t channels : {1, 2, 3, 4, 9, 17})
      for (const std::ptrdiff_t pixels : {1, 5, 16, 33, 40}) {
        CAPTURE(gap);
        const std::ptrdiff_t stride = channels + gap;
        CAPTURE(channels);
        CAPTURE(pixels);
        const BorderU8 border{.images = 2,
                              .channels = channels,
                              .pixels = pixels,
                              .pixel_stride = stride,
                              .scale = 0.013f,
                              .zero_point = 114,
                              .qmin = 1,
                              .qmax = 254};
        auto x = random_floats(static_cast<std::size_t>(2 * channels * pixels), 4);
        for (float& value : x) value *= 2.0f;
        x[0] = std::numeric_limits<float>::quiet_NaN();
        x[1] = std::numeric_limits<float>::infinity();
        if (x.size() > 2) x[2] = -std::numeric_limits<float>::infinity();
        if (x.size() > 3) x[3] = 0.013f * 2.5f;
        std::vector<std::uint8_t> codes(static_cast<std::size_t>(2 * pixels * (stride) + kOverReadBytes), 99);
        // In two parts, the later one first: neither touches the other's bytes.
        const std::ptrdiff_t half = pixels / 2;
        quantize_u8(border, x.data(), codes.data(), half, pixels);
        quantize_u8(border, x.data(), codes.data(), 0, half);
        std::vector<float> back(x.size() + 1, 77.0f);
        dequantize_u8(border, codes.data(), back.data(), half, pixels);
        dequantize_u8(border, codes.data(), back.data(), 0, half);
        CHECK(back.back() == 77.0f);
        std::int64_t n_wrong = 0;
        for (std::ptrdiff_t image = 0; image < 2; ++image)
          for (std::ptrdiff_t c = 0; c < channels; ++c)
            for (std::ptrdiff_t p = 0; p < pixels; ++p) {
              const auto real = static_cast<std::size_t>((image * channels + c) * pixels + p);
              const std::int32_t code = codes[static_cast<std::size_t>((image * pixels + p) * (stride) + c)];
              const double steps = std::isnan(x[real]) ? 0.0 : std::nearbyint(static_cast<double>(x[real] / 0.013f));
              n_wrong += code != static_cast<std::int32_t>(std::fmin(std::fmax(steps + 114.0, 1.0), 254.0));
              n_wrong += back[real] != static_cast<float>(code - 114) * 0.013f;
            }
        CHECK(n_wrong == 0);
        CHECK(codes[static_cast<std::size_t>(2 * pixels * stride)] == 99);
        for (std::ptrdiff_t p = 0; gap > 0 && p < 2 * pixels; ++p)
          CHECK(codes[static_cast<std::size_t>(p * (stride) + channels)] == 99);
      }
}

TEST_CASE("transpose_u8: bytes change places, and codes their sign") {
  for (const std::ptrdiff_t rows : {1, 3, 8, 16, 17, 35})
    for (const std::ptrdiff_t columns : {1, 4, 16, 19, 33}) {
      const auto x = random_activations(2 * rows * (columns + 1), 6);
      std::vector<std::uint8_t> y(static_cast<std::size_t>(2 * columns * (rows + 2)), 99), expected = y;
      for (std::ptrdiff_t image = 0; image < 2; ++image)
        for (std::ptrdiff_t i = 0; i < rows; ++i)
          for (std::ptrdiff_t j = 0; j < columns; ++j)
            expected[static_cast<std::size_t>((image * columns + j) * (rows + 2) + i)] =
                static_cast<std::uint8_t>(x[static_cast<std::size_t>((image * rows + i) * (columns + 1) + j)] ^ 0x80);
      transpose_u8({.images = 2,
                    .rows = rows,
                    .columns = columns,
                    .x = x.data(),
                    .x_row_stride = columns + 1,
                    .y = y.data(),
                    .y_row_stride = rows + 2,
                    .flip = 0x80});
      CHECK(y == expected);
    }
}
