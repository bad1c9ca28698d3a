#include <doctest/doctest.h>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
const Tensor kZero = Tensor::scalar<std::uint8_t>(0), kOne = Tensor::scalar<float>(1), kHalf = Tensor::scalar<float>(0.5f);
const Tensor kCodes = Tensor::of<std::uint8_t>({1, 1, 4}, {0, 2, 5, 255});
Node microsoft(const char* op_type, std::vector<Attribute> attributes = {}) {
  return make_node(op_type, std::move(attributes), 1, "com.microsoft");
}
}  // namespace

TEST_CASE("QLinearAdd and QLinearMul: reals are combined, broadcast, rounded half to even and saturated") {
  const Tensor b = Tensor::of<std::uint8_t>({1}, {3});
  // halves: 0, 1, 2.5, 127.5; plus 3: 3, 4, 5.5, 130.5
  CHECK(run_op_f32(microsoft("QLinearAdd"), 1, {kCodes, kHalf, kZero, b, kOne, kZero, kOne, kZero}) ==
        std::vector<float>{3, 4, 6, 130});
  CHECK(run_op_f32(microsoft("QLinearMul"), 1, {kCodes, kHalf, kZero, b, kOne, kZero, kOne, kZero}) ==
        std::vector<float>{0, 3, 8, 255});
}

TEST_CASE("QLinear operators of one input: pooling, leaky relu, concat") {
  CHECK(run_op_f32(microsoft("QLinearGlobalAveragePool"), 1,
                   {Tensor::of<std::uint8_t>({1, 1, 2}, {2, 6}), kHalf, kZero, kOne, kZero}) == std::vector<float>{2});
  const Tensor five = Tensor::scalar<std::uint8_t>(5);
  CHECK(run_op_f32(microsoft("QLinearLeakyRelu", {Attribute::of_float("alpha", 0.5f)}), 1, {kCodes, kOne, five, kOne, five}) ==
        std::vector<float>{3, 3, 5, 255});  // -2.5 and -1.5 both round to -2
  CHECK(run_op_f32(microsoft("QLinearConcat", {Attribute::of_int("axis", 2)}), 1,
                   {kOne, kZero, kCodes, kHalf, kZero, kCodes, kOne, kZero}) == std::vector<float>{0, 1, 2, 128, 0, 2, 5, 255});
}

TEST_CASE("MatMulNBits: two columns of 4-bit codes in one block, kept packed when constant") {
  std::vector<std::uint8_t> codes(16, 0x88);  // 8 is zero
  codes[0] = 0x9a;                            // column 0: 10, 9 and zeros: 2 and 1
  codes[8] = 0x8f;                            // column 1: 15: 7
  const std::vector<Attribute> attributes{Attribute::of_int("K", 16), Attribute::of_int("N", 2), Attribute::of_int("bits", 4),
                                          Attribute::of_int("block_size", 16)};
  std::vector<float> row(16, 0.0f);
  row[0] = 1;
  row[1] = 10;
  const std::vector<Tensor> inputs{Tensor::of<float>({1, 16}, std::span<const float>(row)),
                                   Tensor::of<std::uint8_t>({2, 1, 8}, std::span<const std::uint8_t>(codes)),
                                   Tensor::of<float>({2}, {0.5f, 2.0f})};
  CHECK(run_op_f32(microsoft("MatMulNBits", attributes), 1, inputs) == std::vector<float>{6, 14});
  CHECK(run_op_f32(microsoft("MatMulNBits", attributes), 1, inputs, true) == std::vector<float>{6, 14});
  CHECK_THROWS_AS(run_op(microsoft("MatMulNBits"), 1, inputs), Error);
}

TEST_CASE("QLinearAveragePool: channels first and last, pads counted where asked") {
  const std::vector<Attribute> window{Attribute::of_ints("kernel_shape", {2}), Attribute::of_ints("strides", {2})};
  // reals 0, 1, 2.5, 127.5: means 0.5 and 65
  CHECK(run_op_f32(microsoft("QLinearAveragePool", window), 1, {kCodes, kHalf, kZero, kHalf, kZero}) ==
        std::vector<float>{1, 130});
  std::vector<Attribute> last = window;
  last.push_back(Attribute::of_int("channels_last", 1));
  const Tensor x = Tensor::of<std::uint8_t>({1, 2, 2}, {2, 10, 4, 30});  // two pixels of two channels
  const auto y = run_op(microsoft("QLinearAveragePool", last), 1, {x, kOne, kZero, kOne, kZero});
  CHECK(y[0].shape() == Shape{1, 1, 2});
  CHECK(to_f32_vector(y[0]) == std::vector<float>{3, 20});
  std::vector<Attribute> padded = window;
  padded.push_back(Attribute::of_ints("pads", {1, 1}));
  padded.push_back(Attribute::of_int("count_include_pad", 1));
  CHECK(run_op_f32(microsoft("QLinearAveragePool", padded), 1, {kCodes, kOne, kZero, kHalf, kZero}) ==
        std::vector<float>{0, 7, 255});
}

TEST_CASE("QLinearWhere: picks reals and gives codes of the result's scale") {
  const Tensor condition = Tensor::of<bool>({4}, {true, false, true, false});
  const Tensor y = Tensor::of<std::uint8_t>({1}, {7});
  // picked: 0, 7, 2.5, 7; in halves: 0, 14, 5, 14
  CHECK(run_op_f32(microsoft("QLinearWhere"), 1, {condition, kCodes, kHalf, kZero, y, kOne, kZero, kHalf, kZero}) ==
        std::vector<float>{0, 14, 5, 14});
}

TEST_CASE("MatMulBnb4: the first code of a byte stands in its high half, and a block has one largest value") {
  const std::vector<Attribute> attributes{Attribute::of_int("K", 2), Attribute::of_int("N", 2),
                                          Attribute::of_int("block_size", 2), Attribute::of_int("quant_type", 1)};
  // column 0: codes 15 and 7 (1 and 0) times 2; column 1: codes 0 and 7 (-1 and 0) times 3
  const auto y =
      run_op(microsoft("MatMulBnb4", attributes), 1,
             {Tensor::of<float>({1, 2}, {1, 5}), Tensor::of<std::uint8_t>({2}, {0xf7, 0x07}), Tensor::of<float>({2}, {2, 3})});
  CHECK(to_f32_vector(y[0]) == std::vector<float>{2, -3});
}

TEST_CASE("GatherBlockQuantized: rows of packed codes less the middle of the range, or less their zero points") {
  const std::vector<Attribute> attributes{Attribute::of_int("bits", 4), Attribute::of_int("block_size", 16)};
  std::vector<std::uint8_t> codes(16, 0x88);  // [2, 16] codes in [2, 8] bytes
  codes[8] = 0x1f;                            // row 1: 15 and 1: 7 and -7
  const Tensor data = Tensor::of<std::uint8_t>({2, 8}, std::span<const std::uint8_t>(codes));
  const Tensor scales = Tensor::of<float>({2, 1}, {1, 2});
  std::vector<float> wanted(16, 0.0f);
  wanted[0] = 14;
  wanted[1] = -14;
  const Tensor last = Tensor::of<std::int64_t>({1}, {-1});
  CHECK(run_op_f32(microsoft("GatherBlockQuantized", attributes), 1, {data, last, scales}) == wanted);
  for (float& value : wanted) value -= 2;  // zero point 9
  CHECK(run_op_f32(microsoft("GatherBlockQuantized", attributes), 1,
                   {data, last, scales, Tensor::of<std::uint8_t>({2, 1}, {8, 9})}) == wanted);
}
