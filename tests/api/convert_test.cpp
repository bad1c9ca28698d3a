#include "api/convert.h"

#include <doctest/doctest.h>

#include <cmath>

#include "api/quantize.h"
#include "engine/model_builder.h"
#include "engine/session.h"
#include "files/onnx/onnx.h"
#include "ops/qoperators.h"
#include "quant/quantize.h"
#include "tensor/elements.h"

namespace bitwright {
namespace {

using tests::make_node;

Tensor wave(Shape shape, float step) {
  Tensor tensor(DType::f32, std::move(shape));
  float at = 0.0f;
  for (float& value : tensor.data<float>()) value = std::sin(at += step);
  return tensor;
}

TensorRecord scale(const char* name, float value) { return TensorRecord::of(name, Tensor::scalar(value)); }
TensorRecord zero(const char* name, std::uint8_t value) { return TensorRecord::of(name, Tensor::scalar(value)); }

std::size_t count(const Model& model, std::string_view op_type) {
  std::size_t n = 0;
  for (const Node& node : model.graph.nodes) n += node.op_type == op_type ? 1 : 0;
  return n;
}

Tensor output_of(const Model& model, const std::map<std::string, Tensor>& feeds) {
  return Session(tests::share(model)).run(feeds).at("y");
}

/// x -> Q, DQ -> Conv (weights of int8, bias of int32) -> Relu -> Q -> MaxPool -> DQ -> y: the Relu lies within [0, 12.75].
Model qdq_conv(std::uint8_t zero_point_of_result) {
  Graph graph;
  TensorScheme scheme;
  scheme.dtype = DType::i8;
  scheme.is_symmetric = scheme.narrow_range = true;
  scheme.grain = TensorScheme::Grain::per_channel;
  const QuantizedTensor w = quantize_weight_tensor(wave({4, 3, 3, 3}, 0.7f), scheme, 0);
  const QuantizedBias bias = quantize_bias(wave({4}, 1.1f).data<float>(), 0.02f, w.params.scales);
  graph.initializers = {scale("xs", 0.02f),
                        zero("xz", 128),
                        scale("ys", 0.05f),
                        zero("yz", zero_point_of_result),
                        TensorRecord::of("w", w.codes),
                        TensorRecord::of("ws", Tensor::of<float>({4}, std::span<const float>(w.params.scales))),
                        TensorRecord::of("wz", Tensor(DType::i8, {4})),
                        TensorRecord::of("b", Tensor::of<std::int32_t>({4}, std::span<const std::int32_t>(bias.codes))),
                        TensorRecord::of("bs", Tensor::of<float>({4}, std::span<const float>(bias.scales)))};
  const auto axis = [](std::int64_t value) { return std::vector<Attribute>{Attribute::of_int("axis", value)}; };
  graph.nodes = {make_node("QuantizeLinear", {"x", "xs", "xz"}, {"xq"}),
                 make_node("DequantizeLinear", {"xq", "xs", "xz"}, {"xd"}),
                 make_node("DequantizeLinear", {"w", "ws", "wz"}, {"wd"}, axis(0)),
                 make_node("DequantizeLinear", {"b", "bs"}, {"bd"}, axis(0)),
                 make_node("Conv", {"xd", "wd", "bd"}, {"c"}),
                 make_node("Relu", {"c"}, {"r"}),
                 make_node("QuantizeLinear", {"r", "ys", "yz"}, {"rq"}),
                 make_node("MaxPool", {"rq"}, {"pq"}, {Attribute::of_ints("kernel_shape", {2, 2})}),
                 make_node("DequantizeLinear", {"pq", "ys", "yz"}, {"y"})};
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 3, 8, 8}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {1, 4, 5, 5}));
  return tests::make_model(std::move(graph));
}

std::uint64_t bytes_written(const Model& model) {
  MemorySink out;
  write_onnx(model, out, nullptr, {});
  return out.take().size();
}

double sqnr_db(const Tensor& reference, const Tensor& value) {
  double signal = 0.0, noise = 0.0;
  for (std::size_t i = 0; i < reference.data<float>().size(); ++i) {
    const double x = reference.data<float>()[i], error = x - static_cast<double>(value.data<float>()[i]);
    signal += x * x;
    noise += error * error;
  }
  return 10.0 * std::log10(signal / noise);
}

}  // namespace

TEST_CASE("convert_model: QDQ becomes QLinearConv, which absorbs a Relu that the codes keep, and comes back") {
  const Model model = qdq_conv(0);
  const std::map<std::string, Tensor> feeds{{"x", wave({1, 3, 8, 8}, 0.37f)}};
  const Tensor before = output_of(model, feeds);
  const ConvertResult linear = convert_model(model, QuantFormat::qoperator);
  CHECK(count(*linear.model, "QLinearConv") == 1);
  CHECK(count(*linear.model, "Relu") == 0);
  CHECK(count(*linear.model, "DequantizeLinear") == 1);
  CHECK(tests::values_of<float>(output_of(*linear.model, feeds)) == tests::values_of<float>(before));
  const ConvertResult back = convert_model(*linear.model, QuantFormat::qdq);
  CHECK(count(*back.model, "QLinearConv") == 0);
  CHECK(count(*back.model, "Conv") == 1);
  CHECK(tests::values_of<float>(output_of(*back.model, feeds)) == tests::values_of<float>(before));
}

TEST_CASE("convert_model: a Relu that the codes do not keep stays, and with it the float Conv") {
  const ConvertResult linear = convert_model(qdq_conv(3), QuantFormat::qoperator);
  CHECK(count(*linear.model, "QLinearConv") == 0);
  CHECK(count(*linear.model, "Relu") == 1);
}

TEST_CASE("dequantize_model: codes are gone, what passed codes on passes reals on, and results differ by rounding alone") {
  const Model model = qdq_conv(0);
  const std::map<std::string, Tensor> feeds{{"x", wave({1, 3, 8, 8}, 0.37f)}};
  const ConvertResult result = dequantize_model(model);
  CHECK(quantized_operators_of(*result.model).empty());
  CHECK(count(*result.model, "QuantizeLinear") == 0);
  CHECK(count(*result.model, "MaxPool") == 1);
  CHECK(sqnr_db(output_of(*result.model, feeds), output_of(model, feeds)) > 30.0);
  // A range from 0 on may have swallowed a Relu: it is kept as a Clip unless the producer gives no negative values.
  CHECK(count(*result.model, "Clip") == 0);
  CHECK(dequantize_model(*result.model).n_changes == 0);
}

TEST_CASE("models that were made here know what their file takes, whatever the file took that they come from") {
  Model model = qdq_conv(0);
  model.file_bytes = 7;
  model.external_bytes = 9;
  for (const ConvertResult& result : {dequantize_model(model), convert_model(model, QuantFormat::qoperator)}) {
    CHECK(result.model->file_bytes == bytes_written(*result.model));
    CHECK(result.model->external_bytes == 0);
  }
  const ConvertResult linear = convert_model(model, QuantFormat::qoperator),
                      back = convert_model(*linear.model, QuantFormat::qdq);
  CHECK(back.model->file_bytes == bytes_written(*back.model));
  // So what was dequantized can be quantized anew: it is compared with the float model.
  Recipe recipe;
  recipe.mode = QuantMode::float16;
  const QuantizeResult again = quantize(*dequantize_model(model).model, recipe, nullptr, {}, {}, {.allows_larger = true});
  CHECK(again.bytes_before == dequantize_model(model).model->file_bytes);
  CHECK(again.model->file_bytes == again.bytes_after);
  CHECK(again.bytes_after == bytes_written(*again.model));
}

TEST_CASE("dequantize_model: a Relu that was merged into the range comes back as a Clip") {
  Model model = qdq_conv(0);
  std::erase_if(model.graph.nodes, [](const Node& node) { return node.op_type == "Relu"; });
  for (Node& node : model.graph.nodes)
    if (node.outputs[0] == "rq") node.inputs[0] = std::string("c");
  const std::map<std::string, Tensor> feeds{{"x", wave({1, 3, 8, 8}, 0.37f)}};
  const ConvertResult result = dequantize_model(model);
  CHECK(count(*result.model, "Clip") == 1);
  CHECK(sqnr_db(output_of(*result.model, feeds), output_of(model, feeds)) > 30.0);
}

TEST_CASE("convert_model: a weight in blocks becomes MatMulNBits and comes back with the same reals") {
  for (const DType dtype : {DType::u4, DType::i4, DType::u2, DType::i8}) {
    CAPTURE(dtype_name(dtype));
    TensorScheme scheme;
    scheme.dtype = dtype;
    scheme.is_symmetric = is_signed(dtype);
    scheme.grain = TensorScheme::Grain::per_block;
    scheme.block_size = 16;
    constexpr std::int64_t k = 40, n = 6;  // the last block is not whole
    const QuantizedTensor w = quantize_weight_tensor(wave({k, n}, 0.7f), scheme, 0);
    Graph graph;
    Tensor zeros(dtype, {3, n});
    for (std::size_t i = 0; i < w.params.zero_points.size(); ++i) {
      const std::int64_t code = w.params.zero_points[i];
      write_elements(zeros, static_cast<std::int64_t>(i), std::span<const std::int64_t>(&code, 1));
    }
    graph.initializers = {TensorRecord::of("w", w.codes),
                          TensorRecord::of("s", Tensor::of<float>({3, n}, std::span<const float>(w.params.scales))),
                          TensorRecord::of("z", zeros)};
    graph.nodes = {make_node("DequantizeLinear", {"w", "s", "z"}, {"wd"},
                             {Attribute::of_int("axis", 0), Attribute::of_int("block_size", 16)}),
                   make_node("MatMul", {"x", "wd"}, {"y"})};
    graph.inputs.push_back(ValueInfo::of("x", DType::f32, {2, k}));
    graph.outputs.push_back(ValueInfo::of("y", DType::f32, {2, n}));
    const Model model = tests::make_model(std::move(graph), 25);
    const std::map<std::string, Tensor> feeds{{"x", wave({2, k}, 0.37f)}};
    const Tensor before = output_of(model, feeds);
    const ConvertResult bits = convert_model(model, QuantFormat::qoperator);
    REQUIRE(count(*bits.model, "MatMulNBits") == 1);
    CHECK(bits.model->graph.nodes.size() == 1);
    CHECK(tests::values_of<float>(output_of(*bits.model, feeds)) == tests::values_of<float>(before));
    const ConvertResult back = convert_model(*bits.model, QuantFormat::qdq);
    CHECK(count(*back.model, "MatMulNBits") == 0);
    CHECK(tests::values_of<float>(output_of(*back.model, feeds)) == tests::values_of<float>(before));
    const ConvertResult reals = dequantize_model(*bits.model);
    CHECK(reals.model->graph.nodes.size() == 1);
    CHECK(tests::values_of<float>(output_of(*reals.model, feeds)) == tests::values_of<float>(before));
  }
}

TEST_CASE("convert_model: rows of a table in blocks become GatherBlockQuantized and come back") {
  for (const DType dtype : {DType::u4, DType::i8, DType::u2}) {
    CAPTURE(dtype_name(dtype));
    TensorScheme scheme;
    scheme.dtype = dtype;
    scheme.is_symmetric = is_signed(dtype);
    scheme.grain = TensorScheme::Grain::per_block;
    scheme.block_size = 16;
    const QuantizedTensor w = quantize_weight_tensor(wave({10, 48}, 0.7f), scheme, 1);
    Tensor zeros(dtype, {10, 3});
    for (std::size_t i = 0; i < w.params.zero_points.size(); ++i) {
      const std::int64_t code = w.params.zero_points[i];
      write_elements(zeros, static_cast<std::int64_t>(i), std::span<const std::int64_t>(&code, 1));
    }
    Graph graph;
    graph.initializers = {TensorRecord::of("w", w.codes),
                          TensorRecord::of("s", Tensor::of<float>({10, 3}, std::span<const float>(w.params.scales))),
                          TensorRecord::of("z", zeros)};
    graph.nodes = {make_node("DequantizeLinear", {"w", "s", "z"}, {"wd"},
                             {Attribute::of_int("axis", 1), Attribute::of_int("block_size", 16)}),
                   make_node("Gather", {"wd", "i"}, {"y"})};
    graph.inputs.push_back(ValueInfo::of("i", DType::i64, {3}));
    graph.outputs.push_back(ValueInfo::of("y", DType::f32, {3, 48}));
    const Model model = tests::make_model(std::move(graph), 25);
    const std::map<std::string, Tensor> feeds{{"i", Tensor::of<std::int64_t>({3}, {9, 0, 4})}};
    const Tensor before = output_of(model, feeds);
    const ConvertResult blocks = convert_model(model, QuantFormat::qoperator);
    REQUIRE(count(*blocks.model, "GatherBlockQuantized") == 1);
    CHECK(tests::values_of<float>(output_of(*blocks.model, feeds)) == tests::values_of<float>(before));
    const ConvertResult back = convert_model(*blocks.model, QuantFormat::qdq);
    CHECK(count(*back.model, "GatherBlockQuantized") == 0);
    CHECK(tests::values_of<float>(output_of(*back.model, feeds)) == tests::values_of<float>(before));
  }
}

TEST_CASE("dequantize_model: one zero point serves the scales of all columns") {
  Graph graph;
  graph.initializers = {TensorRecord::of("b", Tensor::of<std::int8_t>({2, 2}, {1, 2, 3, 4})),
                        TensorRecord::of("s", Tensor::of<float>({2}, {1.0f, 0.5f})),
                        TensorRecord::of("z", Tensor::scalar<std::int8_t>(0))};
  graph.nodes = {make_node("DynamicQuantizeMatMul", {"x", "b", "s", "z"}, {"y"})};
  graph.nodes[0].domain = std::string("com.microsoft");
  graph.inputs.push_back(ValueInfo::of("x", DType::f32, {1, 2}));
  graph.outputs.push_back(ValueInfo::of("y", DType::f32, {1, 2}));
  Model model = tests::make_model(std::move(graph));
  model.set_opset("com.microsoft", 1);
  const ConvertResult result = dequantize_model(model);
  CHECK(quantized_operators_of(*result.model).empty());
  // weights 1, 1 and 3, 2
  CHECK(tests::values_of<float>(output_of(*result.model, {{"x", Tensor::of<float>({1, 2}, {1, 2})}})) ==
        std::vector<float>{7, 5});
}

}  // namespace bitwright
