#include <doctest/doctest.h>

#include "ops/run_op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {
Tensor f32(float value) { return Tensor::scalar<float>(value); }
Tensor u8(std::uint8_t value) { return Tensor::scalar<std::uint8_t>(value); }
}  // namespace

TEST_CASE("MatMulInteger: exact at the ends of the range and beyond what one float sum holds") {
  constexpr std::int64_t k = 1000;
  const Tensor a(DType::u8, {1, k}), b(DType::u8, {k, 1});
  for (const Tensor& t : {a, b}) {
    Tensor shared = t;
    for (std::uint8_t& code : shared.bytes()) code = 255;
  }
  const auto y = run_op(make_node("MatMulInteger"), 10, {a, b});
  CHECK(y[0].data<std::int32_t>()[0] == 255 * 255 * 1000);
  const Tensor rows = Tensor::of<std::uint8_t>({2, 1}, {3, 5}), columns = Tensor::of<std::int8_t>({1, 2}, {-128, 127});
  const auto centered = run_op(make_node("MatMulInteger"), 10,
                               {rows, columns, Tensor::of<std::uint8_t>({2}, {1, 2}), Tensor::of<std::int8_t>({2}, {0, -1})});
  CHECK(to_f32_vector(centered[0]) == std::vector<float>{-256, 256, -384, 384});
}

TEST_CASE("QLinearMatMul: rounds half to even after scaling, then adds the zero point") {
  const Tensor a = Tensor::of<std::uint8_t>({1, 2}, {1, 2}), b = Tensor::of<std::uint8_t>({2, 2}, {1, 1, 1, 2});
  // sums 3 and 5, halved: 1.5 and 2.5 become 2 and 2
  const auto y = run_op(make_node("QLinearMatMul"), 10, {a, f32(0.5f), u8(0), b, f32(1), u8(0), f32(1), u8(10)});
  CHECK(to_f32_vector(y[0]) == std::vector<float>{12, 12});
}

TEST_CASE("QLinearMatMul, QLinearConv, QGemm: zero points have the type of their codes, a bias is int32") {
  const Tensor a = Tensor::of<std::uint8_t>({1, 2}, {1, 2}), b = Tensor::of<std::uint8_t>({2, 2}, {1, 1, 1, 2});
  const auto matmul = [&](const Tensor& a_zero, const Tensor& y_zero) {
    return run_op(make_node("QLinearMatMul"), 10, {a, f32(0.5f), a_zero, b, f32(1), u8(0), f32(1), y_zero});
  };
  CHECK_THROWS_WITH_AS(matmul(f32(-1e9f), u8(0)), doctest::Contains("zero points of type f32 for codes of type u8"), Error);
  CHECK_THROWS_AS(matmul(u8(0), f32(1e30f)), Error);
  CHECK_THROWS_AS(matmul(Tensor::of<std::int64_t>({}, {1}), u8(0)), Error);
  CHECK_THROWS_AS(matmul(Tensor(DType::u8, {0}), u8(0)), Error);
  const Tensor x = Tensor::of<std::uint8_t>({1, 1, 3}, {11, 12, 13}), w = Tensor::of<std::int8_t>({1, 1, 2}, {1, 10});
  const Tensor zero = Tensor::of<std::int8_t>({1}, {0}), wide = Tensor::of<std::int64_t>({1}, {INT64_MAX});
  const auto conv = [&](const Tensor& bias) {
    return run_op(make_node("QLinearConv"), 10, {x, f32(1), u8(10), w, f32(2), zero, f32(4), u8(100), bias});
  };
  CHECK_THROWS_WITH_AS(conv(wide), doctest::Contains("a bias of type i64; int32 is needed"), Error);
}

TEST_CASE("ConvInteger and QLinearConv: padding stands for the zero point") {
  const Tensor x = Tensor::of<std::uint8_t>({1, 1, 3}, {11, 12, 13}), w = Tensor::of<std::int8_t>({1, 1, 2}, {1, 10});
  const Node node = make_node("ConvInteger", {Attribute::of_ints("pads", {1, 0})});
  CHECK(to_f32_vector(run_op(node, 10, {x, w, u8(10)})[0]) == std::vector<float>{10, 21, 32});
  const Node linear = make_node("QLinearConv", {Attribute::of_ints("pads", {1, 0})});
  const Tensor bias = Tensor::of<std::int32_t>({1}, {-1});
  const auto y = run_op(
      linear, 10, {x, f32(1), u8(10), w, Tensor::of<float>({1}, {2}), Tensor::of<std::int8_t>({1}, {0}), f32(4), u8(100), bias});
  CHECK(to_f32_vector(y[0]) == std::vector<float>{104, 110, 116});  // 9, 20, 31 halved: 4.5 to 4, 15.5 to 16
}

TEST_CASE("ConvInteger: more channels than one block of exact sums") {
  constexpr std::int64_t channels = 300;
  Tensor x(DType::u8, {1, channels, 2}), w(DType::u8, {1, channels, 1});
  for (std::uint8_t& code : x.bytes()) code = 255;
  for (std::uint8_t& code : w.bytes()) code = 255;
  const auto y = run_op(make_node("ConvInteger"), 10, {x, w});
  CHECK(y[0].data<std::int32_t>()[0] == 255 * 255 * 300);
  CHECK(y[0].data<std::int32_t>()[1] == 255 * 255 * 300);
}

TEST_CASE("ConvInteger: more taps than one block of exact sums") {
  constexpr std::int64_t taps = 600;
  Tensor x(DType::u8, {1, 2, taps + 1}), w(DType::u8, {1, 2, taps});
  for (std::uint8_t& code : x.bytes()) code = 255;
  for (std::uint8_t& code : w.bytes()) code = 255;
  w.bytes()[0] = 254;
  const auto y = run_op(make_node("ConvInteger"), 10, {x, w});
  CHECK(y[0].data<std::int32_t>()[0] == 255 * 255 * 2 * taps - 255);
  CHECK(y[0].data<std::int32_t>()[1] == 255 * 255 * 2 * taps - 255);
}

TEST_CASE("ONNX Runtime's integer products: scales, bias and dynamic ranges") {
  const Tensor a = Tensor::of<std::uint8_t>({1, 2}, {1, 2}), b = Tensor::of<std::int8_t>({2, 2}, {1, 2, 3, 4}),
               bias = Tensor::of<float>({2}, {100, 200});
  const Node to_float = make_node("MatMulIntegerToFloat", {}, 1, "com.microsoft");
  CHECK(run_op_f32(to_float, 1, {a, b, f32(0.5f), Tensor::of<float>({2}, {1, 10}), Tensor(), Tensor(), bias}) ==
        std::vector<float>{103.5f, 250});
  const Node dynamic = make_node("DynamicQuantizeMatMul", {}, 1, "com.microsoft");
  CHECK(run_op_f32(dynamic, 1, {Tensor::of<float>({1, 2}, {0, 255}), b, f32(1)}) == std::vector<float>{765, 1020});
  const Node gemm = make_node("QGemm", {Attribute::of_int("transB", 1)}, 1, "com.microsoft");
  CHECK(run_op_f32(gemm, 1,
                   {a, f32(1), u8(0), b, f32(2), Tensor::scalar<std::int8_t>(0), Tensor::of<std::int32_t>({2}, {1, -1})}) ==
        std::vector<float>{12, 20});
}

TEST_CASE("MatMulInteger and its fused forms: constant matrices give what the plain path gives") {
  std::uint32_t seed = 7;
  const auto codes = [&](DType dtype, Shape shape) {
    Tensor tensor(dtype, std::move(shape));
    for (std::uint8_t& byte : tensor.bytes()) byte = static_cast<std::uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
    return tensor;
  };
  const Node to_float = make_node("MatMulIntegerToFloat", {}, 1, "com.microsoft");
  const Tensor bias = codes(DType::u8, {19}), scale = Tensor::scalar<float>(0.01f);
  const std::vector<float> bias_values = to_f32_vector(bias);
  const Tensor bias_f32 = Tensor::of<float>({19}, std::span<const float>(bias_values));
  for (const DType a_type : {DType::u8, DType::i8})
    for (const DType b_type : {DType::u8, DType::i8})
      for (const bool has_one_zero : {true, false}) {
        const Tensor b = codes(b_type, {37, 19}), b_zero = codes(b_type, has_one_zero ? Shape{} : Shape{19});
        std::unique_ptr<OpState> product_state, float_state;
        for (int run = 0; run < 2; ++run) {  // another zero point on the left each time
          const Tensor a = codes(a_type, {2, 3, 37}), a_zero = codes(a_type, {});
          const auto product = make_node("MatMulInteger");
          CHECK(to_f32_vector(run_op(product, 10, {a, b, a_zero, b_zero}, true, &product_state)[0]) ==
                run_op_f32(product, 10, {a, b, a_zero, b_zero}));
          const std::vector<Tensor> inputs{a, b, scale, scale, a_zero, b_zero, bias_f32};
          CHECK(to_f32_vector(run_op(to_float, 1, inputs, true, &float_state)[0]) == run_op_f32(to_float, 1, inputs));
          CHECK(product_state != nullptr);
        }
      }
  const Node dynamic = make_node("DynamicQuantizeMatMul", {}, 1, "com.microsoft");
  const std::vector<Tensor> inputs{bias_f32.reshaped({1, 19}), codes(DType::i8, {19, 9}), scale, Tensor(), Tensor()};
  CHECK(run_op_f32(dynamic, 1, inputs, true) == run_op_f32(dynamic, 1, inputs));
}
