#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/model.h"

namespace bitwright::tests {

inline Node make_node(std::string op_type, std::vector<std::string> inputs, std::vector<std::string> outputs,
                      std::vector<Attribute> attributes = {}) {
  Node node;
  node.name = "n_" + (outputs.empty() ? op_type : outputs.front());
  node.op_type = std::move(op_type);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  node.attributes = std::move(attributes);
  return node;
}

inline Attribute make_graph_attribute(std::string name, Graph graph) {
  Attribute attribute;
  attribute.name = std::move(name);
  attribute.type = AttributeType::g;
  attribute.g = std::make_shared<Graph>(std::move(graph));
  return attribute;
}

inline Model make_model(Graph graph, std::int64_t opset = 17) {
  Model model;
  model.ir_version = 8;
  model.opset_imports.push_back({"", opset, {}, false});
  model.graph = std::move(graph);
  return model;
}

inline std::shared_ptr<const Model> share(Model model) { return std::make_shared<const Model>(std::move(model)); }

template <typename T>
std::vector<T> values_of(const Tensor& tensor) {
  const auto span = tensor.data<T>();
  return {span.begin(), span.end()};
}

}  // namespace bitwright::tests
