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
