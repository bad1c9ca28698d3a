#include "tensor/elements.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tensor/strides.h"

namespace bitwright::tests {

TEST_CASE("elements: integers of every width survive the way to int64 and back") {
  const std::vector<std::int64_t> values = {0, 1, -1, -2, 1, 0};
  for (const DType dtype : {DType::i2, DType::i4, DType::i8, DType::i16, DType::i32, DType::i64}) {
    CAPTURE(dtype_name(dtype));
    Tensor tensor(dtype, {6});
    write_elements(tensor, 0, std::span<const std::int64_t>(values));
    std::vector<std::int64_t> back(6);
    read_elements(tensor, 0, std::span<std::int64_t>(back));
    CHECK(back == values);
  }
}

TEST_CASE("elements: every code of the 8-bit floats survives the way to float and back") {
  for (const SmallFloat& format : {kF8e4m3fn, kF8e4m3fnuz, kF8e5m2, kF8e5m2fnuz})
    for (int code = 0; code < 256; ++code) {
      const float value = small_float_to_f32(format, static_cast<std::uint8_t>(code));
      if (std::isnan(value)) continue;
      CHECK(f32_to_small_float(format, value, false) == code);
    }
}

TEST_CASE("elements: the largest values of the small floats are those of the papers") {
  CHECK(small_float_to_f32(kF8e4m3fn, 0x7e) == 448.0f);
  CHECK(small_float_to_f32(kF8e5m2, 0x7b) == 57344.0f);
  CHECK(small_float_to_f32(kF8e4m3fnuz, 0x7f) == 240.0f);
  CHECK(small_float_to_f32(kF4e2m1, 7) == 6.0f);
  CHECK(std::isnan(small_float_to_f32(kF8e4m3fn, 0x7f)));
  CHECK(std::isnan(small_float_to_f32(kF8e5m2fnuz, 0x80)));
  CHECK(std::isinf(small_float_to_f32(kF8e5m2, 0x7c)));
  CHECK(f32_to_small_float(kF4e2m1, 2.5f) == 4);  // half to even: 2
  CHECK(e8m0_to_f32(127) == 1.0f);
  CHECK(f32_to_e8m0(1.1f, ScaleRounding::up) == 128);
  CHECK(f32_to_e8m0(1.1f, ScaleRounding::down) == 127);
}

TEST_CASE("elements: a float outside of int64 saturates before its low bits are kept") {
  Tensor tensor(DType::i64, {3});
  const double values[3] = {1e300, -1e300, std::numeric_limits<double>::quiet_NaN()};
  write_elements(tensor, 0, std::span<const double>(values, 3));
  CHECK(tensor.data<std::int64_t>()[0] == std::numeric_limits<std::int64_t>::max());
  CHECK(tensor.data<std::int64_t>()[1] == std::numeric_limits<std::int64_t>::min());
  CHECK(tensor.data<std::int64_t>()[2] == 0);
}

TEST_CASE("strides: equal dense operands are walked in one run, a scalar has stride 0") {
  const Shape shape = {2, 3, 4};
  const std::vector<std::int64_t> strides[] = {row_major_strides(shape), broadcast_strides({}, shape)};
  StridedWalk walk(shape, strides);
  REQUIRE(walk.has_run());
  CHECK(walk.n_in_run() == 24);
  CHECK(walk.run_stride(0) == 1);
  CHECK(walk.run_stride(1) == 0);
  walk.advance();
  CHECK_FALSE(walk.has_run());
}

TEST_CASE("strides: an empty axis has no run") {
  const Shape shape = {2, 0, 4};
  const std::vector<std::int64_t> strides[] = {row_major_strides(shape)};
  CHECK_FALSE(StridedWalk(shape, strides).has_run());
}

}  // namespace bitwright::tests
