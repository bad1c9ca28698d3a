#include "passes/graph_rewriter.h"

#include "tensor/elements.h"

namespace bitwright {

const TensorRecord* GraphRewriter::constant(const std::string& name) const {
  if (name.empty()) return nullptr;
  const auto found = added_.find(name);
  return found != added_.end() ? &found->second : index.initializer(name);
}

std::vector<float> GraphRewriter::small_values(const std::string& name, std::int64_t max_elements) const {
  const TensorRecord* record = constant(name);
  if (record == nullptr || record->dtype == DType::string || n_elements(record->shape) > max_elements) return {};
  std::vector<float> values(static_cast<std::size_t>(n_elements(record->shape)));
  read_elements(record->load(), 0, std::span<float>(values));
  return values;
}

std::string GraphRewriter::add_constant(const std::string& wish, DType dtype, Shape shape, Values values) {
  TensorRecord record;
  record.name = names.fresh(wish);
  record.dtype = dtype;
  record.shape = std::move(shape);
  record.values = std::move(values);
  std::string name = record.name;
  added_.emplace(name, std::move(record));
  return name;
}

std::string GraphRewriter::add_constant(const std::string& wish, Tensor values) {
  const DType dtype = values.dtype();
  Shape shape = values.shape();
  return add_constant(wish, dtype, std::move(shape), std::move(values));
}

Node& GraphRewriter::add(std::string op_type, std::vector<std::string> inputs, std::string output) {
  Node node;
  node.op_type = std::move(op_type);
  node.inputs = std::move(inputs);
  node.outputs = {std::move(output)};
  nodes.push_back(std::move(node));
  return nodes.back();
}

void GraphRewriter::finish() {
  graph.nodes = std::move(nodes);
  for (auto& [name, record] : added_) graph.initializers.push_back(std::move(record));
}

}  // namespace bitwright
