// Cases 22 and 23 of the list of bad inputs: weights that are no numbers, and scales that cannot be.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "api/quantize.h"
#include "bad_input.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "files/onnx/onnx.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kRows = 64, kColumns = 64;

/// y = x * w, with these values at the head of w.
Model product(std::initializer_list<float> head) {
  Tensor w(DType::f32, {kRows, kColumns});
  const std::span<float> values = w.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) / 8.0f - 1.0f;
  std::copy(head.begin(), head.end(), values.begin());
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, kRows})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {1, kColumns})};
  graph.initializers = {TensorRecord::of("w", w)};
  graph.nodes = {make_node("MatMul", {"x", "w"}, {"y"})};
  return make_model(std::move(graph));
}

bool all_scales_finite(const Model& model) {
  for (const TensorRecord& record : model.graph.initializers) {
    if (record.dtype != DType::f32 || record.name == "w") continue;
    for (const float scale : to_f32_vector(record.load()))
      if (!std::isfinite(scale) || scale < 0.0f) return false;
  }
  return true;
}

/// One node between x and y, with these constants.
Model one_node(Node node, std::vector<TensorRecord> constants, DType in, DType out) {
  Graph graph;
  graph.inputs = {ValueInfo::of("x", in, {2, 3})};
  ValueInfo y;
  y.name = "y";
  y.dtype = out;
  graph.outputs = {y};
  graph.initializers = std::move(constants);
  graph.nodes = {std::move(node)};
  return make_model(std::move(graph), 21);
}

std::optional<ErrorCode> run_refusal(Model model, const Tensor& x) {
  return refusal([&] {
    Session session(share(std::move(model)));
    static_cast<void>(session.run({{"x", x}}));
  });
}

}  // namespace

TEST_CASE(
    "bad input 22: weights with NaN, infinities, denormals and -0 are quantized with finite scales, or refused by a typed "
    "error") {
  const float denormal = std::numeric_limits<float>::denorm_min();
  for (const QuantMode mode : {QuantMode::weight_only, QuantMode::dynamic, QuantMode::float16})
    for (const auto& head : {std::initializer_list<float>{kNaN},
                             {kInf},
                             {-kInf, kNaN},
                             {denormal, -denormal, -0.0f},
                             {std::numeric_limits<float>::max(), -std::numeric_limits<float>::max()}}) {
      CAPTURE(static_cast<int>(mode));
      CAPTURE(*head.begin());
      Recipe recipe;
      recipe.mode = mode;
      const Model model = product(head);
      const auto code = refusal([&] {
        const QuantizeResult result = quantize(model, recipe, nullptr);
        CHECK(all_scales_finite(*result.model));
        MemorySink sink;
        write_onnx(*result.model, sink, nullptr);
      });
      const bool is_number = std::isfinite(*head.begin());
      if (is_number) {
        CHECK_FALSE(code.has_value());
      } else if (code) {
        CHECK(*code == ErrorCode::nothing_quantized);
      }
    }
}

TEST_CASE("bad input 22: a weight of denormals alone, and one of zeros alone, have scales above zero") {
  for (const float value : {std::numeric_limits<float>::denorm_min(), 0.0f, -0.0f}) {
    Model model = product({});
    Tensor w(DType::f32, {kRows, kColumns});
    for (float& element : w.data<float>()) element = value;
    model.graph.initializers = {TensorRecord::of("w", w)};
    Recipe recipe;
    recipe.mode = QuantMode::weight_only;
    const QuantizeResult result = quantize(model, recipe, nullptr);
    for (const TensorRecord& record : result.model->graph.initializers)
      if (record.dtype == DType::f32)
        for (const float scale : to_f32_vector(record.load())) CHECK((scale > 0.0f && std::isfinite(scale)));
  }
}

TEST_CASE("bad input 23: codes made with a scale of 0, below 0, NaN or infinity are what the formula gives, never undefined") {
  const Tensor x = Tensor::of<float>({2, 3}, {-kInf, -1.0f, 0.0f, 1.0f, kInf, kNaN});
  for (const float scale : {0.0f, -0.0f, -1.0f, kNaN, kInf, -kInf, std::numeric_limits<float>::denorm_min()}) {
    CAPTURE(scale);
    for (const bool is_u8 : {true, false}) {
      std::vector<TensorRecord> constants{
          TensorRecord::of("s", Tensor::scalar(scale)),
          TensorRecord::of("z", is_u8 ? Tensor::scalar<std::uint8_t>(128) : Tensor::scalar<std::int8_t>(3))};
      CHECK_FALSE(run_refusal(one_node(make_node("QuantizeLinear", {"x", "s", "z"}, {"y"}), constants, DType::f32,
                                       is_u8 ? DType::u8 : DType::i8),
                              x)
                      .has_value());
    }
    const Tensor codes = Tensor::of<std::uint8_t>({2, 3}, {0, 1, 127, 128, 254, 255});
    CHECK_FALSE(run_refusal(one_node(make_node("DequantizeLinear", {"x", "s"}, {"y"}),
                                     {TensorRecord::of("s", Tensor::scalar(scale))}, DType::u8, DType::f32),
                            codes)
                    .has_value());
  }
}

TEST_CASE("bad input 23: zero points of the wrong type or shape, and scales that do not fit their axis, are refused") {
  const Tensor codes = Tensor::of<std::uint8_t>({2, 3}, {0, 1, 127, 128, 254, 255});
  const auto dequantized = [&](Tensor scale, std::optional<Tensor> zero_point, std::int64_t axis = 1) {
    std::vector<TensorRecord> constants{TensorRecord::of("s", std::move(scale))};
    std::vector<std::string> inputs{"x", "s"};
    if (zero_point) {
      constants.push_back(TensorRecord::of("z", std::move(*zero_point)));
      inputs.push_back("z");
    }
    return run_refusal(one_node(make_node("DequantizeLinear", inputs, {"y"}, {Attribute::of_int("axis", axis)}), constants,
                                DType::u8, DType::f32),
                       codes);
  };
  const Tensor three = Tensor::of<float>({3}, {1.0f, 2.0f, 3.0f});
  CHECK_FALSE(dequantized(three, Tensor::of<std::uint8_t>({3}, {1, 2, 3})).has_value());
  CHECK(dequantized(Tensor::of<float>({2}, {1.0f, 2.0f}), std::nullopt) == ErrorCode::shape_mismatch);
  CHECK(dequantized(Tensor::of<float>({4}, {1.0f, 2.0f, 3.0f, 4.0f}), std::nullopt) == ErrorCode::shape_mismatch);
  CHECK(dequantized(Tensor::of<float>({0}, {}), std::nullopt) == ErrorCode::shape_mismatch);
  CHECK(dequantized(three, Tensor::of<std::uint8_t>({2}, {1, 2})) == ErrorCode::shape_mismatch);
  CHECK(dequantized(three, Tensor::of<std::int8_t>({3}, {-1, 2, 3})) == ErrorCode::bad_graph);
  CHECK(dequantized(three, Tensor::of<float>({3}, {1.0f, 2.0f, 3.0f})) == ErrorCode::bad_graph);
  CHECK(dequantized(three, std::nullopt, 2) == ErrorCode::bad_graph);
  CHECK(dequantized(three, std::nullopt, -3) == ErrorCode::bad_graph);
}
