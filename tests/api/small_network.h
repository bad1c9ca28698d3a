#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/model_builder.h"
#include "files/onnx/onnx.h"

namespace bitwright::tests {

inline Tensor ramp(Shape shape, float step) {
  Tensor tensor(DType::f32, std::move(shape));
  float value = -1.0f;
  for (float& element : tensor.data<float>()) {
    element = value;
    value = value > 1.0f ? -1.0f : value + step;
  }
  return tensor;
}

/// Convolution, batch norm, Relu, flatten by shape arithmetic, and a branch that each run takes.
inline Model small_network() {
  Graph branch;
  branch.nodes = {make_node("Neg", {"flat"}, {"negated"}), make_node("Neg", {"negated"}, {"same"})};
  branch.outputs = {ValueInfo::of("same", DType::f32, {1, 64})};
  Graph graph;
  graph.inputs = {ValueInfo::of("x", DType::f32, {1, 3, 6, 6})};
  graph.outputs = {ValueInfo::of("y", DType::f32, {1, 32})};
  graph.initializers = {TensorRecord::of("w", ramp({4, 3, 3, 3}, 0.07f)),
                        TensorRecord::of("scale", ramp({4}, 0.9f)),
                        TensorRecord::of("bias", ramp({4}, 0.3f)),
                        TensorRecord::of("mean", ramp({4}, 0.1f)),
                        TensorRecord::of("variance", Tensor::of<float>({4}, {1.0f, 2.0f, 3.0f, 4.0f})),
                        TensorRecord::of("minus_one", Tensor::of<std::int64_t>({1}, {-1})),
                        TensorRecord::of("truth", Tensor::scalar<bool>(true)),
                        TensorRecord::of("v", ramp({64, 32}, 0.001f))};
  graph.nodes = {make_node("Conv", {"x", "w"}, {"c"}),
                 make_node("BatchNormalization", {"c", "scale", "bias", "mean", "variance"}, {"n"}),
                 make_node("Relu", {"n"}, {"r"}),
                 make_node("Shape", {"r"}, {"shape"}, {Attribute::of_int("end", 1)}),
                 make_node("Concat", {"shape", "minus_one"}, {"to"}, {Attribute::of_int("axis", 0)}),
                 make_node("Reshape", {"r", "to"}, {"flat"}),
                 make_node("If", {"truth"}, {"chosen"},
                           {make_graph_attribute("then_branch", branch), make_graph_attribute("else_branch", branch)}),
                 make_node("MatMul", {"chosen", "v"}, {"y"})};
  return make_model(std::move(graph));
}

inline std::vector<std::uint8_t> file_of(const Model& model) {
  MemorySink sink;
  write_onnx(model, sink, nullptr);
  return sink.take();
}

inline Model read_bytes(const std::vector<std::uint8_t>& bytes) {
  return read_onnx(std::make_shared<MemorySource>(bytes, "small.onnx"));
}

inline std::map<std::string, Tensor> small_network_feeds() { return {{"x", ramp({1, 3, 6, 6}, 0.05f)}}; }

}  // namespace bitwright::tests
