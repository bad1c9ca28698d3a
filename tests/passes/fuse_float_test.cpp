#include "passes/fuse_float.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/model_builder.h"
#include "engine/session.h"
#include "kernels/random.h"
#include "ops/op.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

TensorRecord constant(const char* name, Shape shape, std::uint32_t seed) {
  const std::vector<float> values = random_floats(static_cast<std::size_t>(n_elements(shape)), seed);
  return TensorRecord::of(name, Tensor::of<float>(std::move(shape), std::span<const float>(values)));
}

Tensor packed_codes(DType dtype, Shape shape, std::uint32_t seed) {
  Tensor tensor(dtype, std::move(shape));
  for (std::uint8_t& byte : tensor.bytes()) byte = static_cast<std::uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
  return tensor;
}

std::vector<float> output(const Model& model, const Shape& input, bool is_deterministic = true) {
  Session session(share(model), {.is_deterministic = is_deterministic});
  const std::vector<float> x = random_floats(static_cast<std::size_t>(n_elements(input)), 1);
  return to_f32_vector(session.run({{"x", Tensor::of<float>(input, std::span<const float>(x))}}).at("y"));
}

Model convolutions() {
  Graph graph;
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 6, 9, 9}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {1, 6, 9, 9}));
  graph.initializers = {constant("w1", {6, 6, 3, 3}, 2), constant("w2", {6, 1, 3, 3}, 3), constant("b", {6}, 4)};
  graph.initializers.push_back(TensorRecord::of("low", Tensor::scalar<float>(-0.5f)));
  graph.initializers.push_back(TensorRecord::of("high", Tensor::scalar<float>(0.75f)));
  const auto pads = Attribute::of_ints("pads", {1, 1, 1, 1});
  graph.nodes = {make_node("Conv", {"x", "w1", "b"}, {"a"}, {pads}),
                 make_node("Relu", {"a"}, {"ar"}),
                 make_node("Conv", {"ar", "w2", "b"}, {"c"}, {pads, Attribute::of_int("group", 6)}),
                 make_node("Clip", {"c", "low", "high"}, {"cc"}),
                 make_node("Conv", {"cc", "w2"}, {"d"}, {pads, Attribute::of_int("group", 6)}),
                 make_node("Clip", {"d", "", "high"}, {"y"})};
  return make_model(std::move(graph));
}

Model product(DType dtype, bool has_zeros, bool is_gemm) {
  constexpr std::int64_t k = 96, n = 10;
  Graph graph;
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {3, k}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {3, n}));
  const Shape codes = is_gemm ? Shape{n, k} : Shape{k, n}, blocks = is_gemm ? Shape{n, 3} : Shape{3, n};
  graph.initializers = {TensorRecord::of("q", packed_codes(dtype, codes, 5)), constant("s", blocks, 6), constant("b", {n}, 7),
                        TensorRecord::of("z", packed_codes(dtype, blocks, 8))};
  graph.nodes.push_back(make_node("DequantizeLinear", {"q", "s", has_zeros ? "z" : ""}, {"w"},
                                  {Attribute::of_int("axis", is_gemm ? 1 : 0), Attribute::of_int("block_size", 32)}));
  if (is_gemm)
    graph.nodes.push_back(make_node("Gemm", {"x", "w", "b"}, {"y"}, {Attribute::of_int("transB", 1)}));
  else
    graph.nodes.push_back(make_node("MatMul", {"x", "w"}, {"y"}));
  return make_model(std::move(graph), 21);
}

/// -0.5 and 0.5, and as many zeros as `share` says.
TensorRecord ternary_weights(const char* name, Shape shape, float share, std::uint32_t seed) {
  std::vector<float> values = random_floats(static_cast<std::size_t>(n_elements(shape)), seed);
  for (float& v : values) v = std::fabs(v) < share ? 0.0f : std::copysign(0.5f, v);
  return TensorRecord::of(name, Tensor::of<float>(std::move(shape), std::span<const float>(values)));
}

/// Sign, then a convolution with pads, strides and groups, Sign and MaxPool, MatMul and Gemm: a network of XNOR-Net's kind.
Model signs(float share) {
  Graph graph;
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {2, 8, 9, 11}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {2, 7}));
  const std::vector<std::int64_t> rows{2, -1};
  graph.initializers = {ternary_weights("w1", {10, 4, 3, 3}, share, 2),
                        constant("b1", {10}, 3),
                        ternary_weights("w2", {10 * 4 * 5, 33}, 0.0f, 4),
                        ternary_weights("w3", {7, 33}, share, 5),
                        constant("b3", {7}, 6),
                        TensorRecord::of("rows", Tensor::of<std::int64_t>({2}, std::span(rows)))};
  for (const float v : {-1.0f, 0.0f, 1.0f})
    graph.initializers.push_back(TensorRecord::of(v < 0 ? "minus" : v > 0 ? "plus" : "zero", Tensor::scalar(v)));
  graph.nodes = {
      make_node("Sign", {"x"}, {"s"}),
      make_node("Conv", {"s", "w1", "b1"}, {"c"},
                {Attribute::of_ints("pads", {1, 1, 1, 0}), Attribute::of_ints("strides", {1, 1}), Attribute::of_int("group", 2)}),
      make_node("Sign", {"c"}, {"cs"}),
      make_node("MaxPool", {"cs"}, {"p"}, {Attribute::of_ints("kernel_shape", {2, 2}), Attribute::of_ints("strides", {2, 2})}),
      make_node("Reshape", {"p", "rows"}, {"r"}),
      make_node("MatMul", {"r", "w2"}, {"m"}),
      make_node("Greater", {"m", "zero"}, {"g"}),
      make_node("Where", {"g", "plus", "minus"}, {"ms"}),
      make_node("Gemm", {"ms", "w3", "b3"}, {"y"}, {Attribute::of_int("transB", 1)})};
  return make_model(std::move(graph), 13);
}

}  // namespace

TEST_CASE("fuse_activations: convolutions end with Relu and Clip, with the same bits, and nothing is left to do") {
  const Model model = convolutions();
  Model fused = model;
  CHECK(fuse_activations(fused).n_changes == 3);
  CHECK(fused.graph.nodes.size() == 3);
  CHECK(output(fused, {1, 6, 9, 9}) == output(model, {1, 6, 9, 9}));
  CHECK(fuse_activations(fused).n_changes == 0);
}

TEST_CASE("fuse_activations: a convolution that somebody else reads stays") {
  Model model = convolutions();
  model.graph.outputs.push_back(ValueInfo::of("a", DType::f32, {1, 6, 9, 9}));
  CHECK(fuse_activations(model).n_changes == 2);
}

TEST_CASE("fuse_block_products: products by codes in blocks, of every type and layout") {
  constexpr double kEighthBit = 0.01;
  for (const DType dtype : {DType::i4, DType::u4, DType::i8, DType::u8})
    for (const bool has_zeros : {false, true})
      for (const bool is_gemm : {false, true}) {
        CAPTURE(dtype_name(dtype));
        CAPTURE(has_zeros);
        CAPTURE(is_gemm);
        const Model model = product(dtype, has_zeros, is_gemm);
        Model fused = model;
        CHECK(fuse_block_products(fused).n_changes == 1);
        REQUIRE(fused.graph.nodes.size() == 1);
        CHECK(fused.graph.nodes[0].op_type == "BlockMatMul");
        const std::vector<float> wanted = output(model, {3, 96});
        // Files may not hold the operator: the session puts it.
        const Node& node = fused.graph.nodes[0];
        CHECK(node.inputs.size() == 5);
        double difference = 0.0, size = 0.0;
        const std::vector<float> found = output(model, {3, 96}, false);
        for (std::size_t i = 0; i < wanted.size(); ++i) {
          difference += (double{found[i]} - wanted[i]) * (double{found[i]} - wanted[i]);
          size += double{wanted[i]} * wanted[i];
        }
        CHECK(std::sqrt(difference / size) < kEighthBit);
      }
}

TEST_CASE("fuse_block_products: blocks along the columns stay") {
  Model model = product(DType::i4, false, false);
  model.graph.nodes[0].set(Attribute::of_int("axis", 1));
  CHECK(fuse_block_products(model).n_changes == 0);
}

TEST_CASE("fuse_ternary_products: products of signs by ternary weights give the exact sums") {
  for (const float share : {0.0f, 0.4f}) {
    const Model model = signs(share);
    Model fused = model;
    CHECK(fuse_ternary_products(fused).n_changes == 3);
    CHECK(fused.graph.nodes[1].op_type == "TernaryConv");
    CHECK(fused.graph.nodes[5].op_type == "TernaryMatMul");
    CHECK(fused.graph.nodes[8].op_type == "TernaryGemm");
    // Sums of halves are exact in float too.
    CHECK(output(model, {2, 8, 9, 11}, false) == output(model, {2, 8, 9, 11}));
    CHECK(fuse_ternary_products(fused).n_changes == 0);
  }
}

TEST_CASE("fuse_ternary_products: other weights, and NaN, are computed in float by the same node") {
  Model model = signs(0.0f);
  model.graph.initializers[0] = constant("w1", {10, 4, 3, 3}, 2);
  model.graph.initializers[2] = constant("w2", {10 * 4 * 5, 33}, 4);
  Model fused = model;
  CHECK(fuse_ternary_products(fused).n_changes == 3);
  CHECK(output(model, {2, 8, 9, 11}, false) == output(model, {2, 8, 9, 11}));

  const Model ternary = signs(0.4f);
  Session session(share(ternary), {.is_deterministic = false}), plain(share(ternary), {.is_deterministic = true});
  std::vector<float> x = random_floats(2 * 8 * 9 * 11, 1);
  const auto run = [&](Session& of) {
    return to_f32_vector(of.run({{"x", Tensor::of<float>({2, 8, 9, 11}, std::span<const float>(x))}}).at("y"));
  };
  const std::vector<float> before = run(session);
  CHECK(before == run(plain));
  x[40] = std::nanf("");
  const std::vector<float> with_nan = run(session), wanted = run(plain);
  CHECK(with_nan == wanted);  // MaxPool drops NaN where it can, Where after a comparison the rest
  CHECK(with_nan != before);
  x[40] = 0.5f;
  CHECK(run(session) == run(plain));
}

TEST_CASE("fuse_ternary_products: what is no sign, and what is no constant, stays") {
  Model model = signs(0.4f);
  model.graph.nodes[0].op_type = "Softsign";
  model.graph.initializers.back() = TensorRecord::of("plus", Tensor::scalar(1.5f));
  CHECK(fuse_ternary_products(model).n_changes == 1);  // the MatMul
  Model fed = signs(0.4f);
  fed.graph.inputs.push_back(ValueInfo::of("w2", DType::f32, {10 * 4 * 5, 33}));
  fed.graph.initializers.erase(fed.graph.initializers.begin() + 2);
  CHECK(fuse_ternary_products(fed).n_changes == 2);
}

TEST_CASE("fuse_ternary_products: signs of other element types are multiplied as before") {
  // 2^24 + 1 is no float: 40 products of it and a sum of theirs must stay exact.
  constexpr std::int64_t k = 40, large = (1 << 24) + 1;
  Graph graph;
  graph.inputs.push_back(ValueInfo::of("x", DType::i64, {1, k}));
  graph.outputs.push_back(ValueInfo::of("y", DType::i64, {1, 2}));
  const std::vector<std::int64_t> w(k * 2, large), x(k, 7);
  graph.initializers = {TensorRecord::of("w", Tensor::of<std::int64_t>({k, 2}, std::span(w)))};
  graph.nodes = {make_node("Sign", {"x"}, {"s"}), make_node("MatMul", {"s", "w"}, {"y"})};
  Session session(share(make_model(std::move(graph), 13)), {.is_deterministic = false});
  const Tensor y = session.run({{"x", Tensor::of<std::int64_t>({1, k}, std::span(x))}}).at("y");
  CHECK(y.data<std::int64_t>()[1] == k * large);
}
