#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "ops/op.h"

namespace bitwright::tests {

inline Node make_node(std::string op_type, std::vector<Attribute> attributes = {}, std::size_t n_outputs = 1,
                      std::string domain = "") {
  Node node;
  node.name = "n";
  node.op_type = std::move(op_type);
  node.domain = std::move(domain);
  node.attributes = std::move(attributes);
  for (std::size_t i = 0; i < n_outputs; ++i) node.outputs.push_back("y" + std::to_string(i));
  return node;
}

class OneNodeInference final : public InferContext {
 public:
  OneNodeInference(const Node& node, std::int64_t opset, const std::vector<Tensor>& inputs)
      : node_(node), opset_(opset), inputs_(inputs) {
    for (const Tensor& input : inputs)
      types_.push_back({input.dtype(), input.is_defined() ? std::optional<Shape>(input.shape()) : std::nullopt});
    outputs.resize(node.outputs.size());
  }
  const Node& node() const override { return node_; }
  std::int64_t opset() const override { return opset_; }
  std::size_t n_inputs() const override { return inputs_.size(); }
  std::size_t n_outputs() const override { return outputs.size(); }
  bool has_input(std::size_t i) const override { return i < inputs_.size() && inputs_[i].is_defined(); }
  const TypeInfo& input(std::size_t i) const override { return types_.at(i); }
  const Tensor* value(std::size_t i) const override { return has_input(i) ? &inputs_[i] : nullptr; }
  void set_output(std::size_t i, DType dtype, std::optional<Shape> shape) override {
    if (i < outputs.size()) outputs[i] = {dtype, std::move(shape)};
  }
  std::vector<TypeInfo> outputs;

 private:
  const Node& node_;
  std::int64_t opset_;
  const std::vector<Tensor>& inputs_;
  std::vector<TypeInfo> types_;
};

class OneNodeRun : public RunContext, public SubgraphRunner {
 public:
  OneNodeRun(const Node& node, std::int64_t opset, const std::vector<Tensor>& inputs, bool are_constant,
             std::unique_ptr<OpState>& state, const std::vector<TypeInfo>& inferred)
      : node_(node), opset_(opset), inputs_(inputs), are_constant_(are_constant), state_(state), inferred_(inferred) {}
  const Node& node() const override { return node_; }
  std::int64_t opset() const override { return opset_; }
  std::size_t n_inputs() const override { return inputs_.size(); }
  std::size_t n_outputs() const override { return node_.outputs.size(); }
  bool has_input(std::size_t i) const override { return i < inputs_.size() && inputs_[i].is_defined(); }
  const Tensor& input(std::size_t i) const override { return inputs_.at(i); }
  bool is_constant(std::size_t) const override { return are_constant_; }
  bool wants_output(std::size_t i) const override { return i < node_.outputs.size() && !node_.outputs[i].empty(); }
  Tensor& output(std::size_t i) override { return outputs.at(i); }
  void set_output(std::size_t i, Tensor tensor) override { outputs.at(i) = std::move(tensor); }
  Allocator& allocator() override { return heap_allocator(); }
  SubgraphRunner& subgraphs() override { return *this; }
  std::vector<Tensor> run(std::string_view, std::span<const Tensor>) override { return {}; }
  std::unique_ptr<OpState>& state() override { return state_; }
  const TypeInfo& inferred(std::size_t i) const override { return inferred_.at(i); }
  bool is_deterministic() const override { return true; }
  std::vector<Tensor> outputs;

 private:
  const Node& node_;
  std::int64_t opset_;
  const std::vector<Tensor>& inputs_;
  bool are_constant_;
  std::unique_ptr<OpState>& state_;
  const std::vector<TypeInfo>& inferred_;
};

/// Infers and runs one node by itself. Left-out inputs are undefined tensors.
inline std::vector<Tensor> run_op(const Node& node, std::int64_t opset, const std::vector<Tensor>& inputs,
                                  bool are_constant = false, std::unique_ptr<OpState>* kept = nullptr) {
  const Op* op = find_op(node.domain, node.op_type);
  if (op == nullptr) throw Error(ErrorCode::unsupported, node.op_type + ": no such operator");
  OneNodeInference inference(node, opset, inputs);
  op->infer(inference);
  std::unique_ptr<OpState> fresh;
  OneNodeRun run(node, opset, inputs, are_constant, kept != nullptr ? *kept : fresh, inference.outputs);
  for (const TypeInfo& type : inference.outputs)
    run.outputs.push_back(type.is_known() ? Tensor(type.dtype, *type.shape) : Tensor());
  compute(*op, run);
  return run.outputs;
}

inline std::vector<float> run_op_f32(const Node& node, std::int64_t opset, const std::vector<Tensor>& inputs,
                                     bool are_constant = false) {
  const std::vector<Tensor> outputs = run_op(node, opset, inputs, are_constant);
  return to_f32_vector(outputs.at(0));
}

}  // namespace bitwright::tests
