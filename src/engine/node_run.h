#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/op.h"

namespace bitwright {

/// What `infer` sees of one node. The vectors are as long as the node's inputs and outputs; a missing input has a null type.
class NodeInference final : public InferContext {
 public:
  NodeInference(const Node& node, std::int64_t opset, std::span<const TypeInfo* const> types,
                std::span<const Tensor* const> values, std::span<TypeInfo> outputs)
      : node_(node), opset_(opset), types_(types), values_(values), outputs_(outputs) {}

  const Node& node() const override { return node_; }
  std::int64_t opset() const override { return opset_; }
  std::size_t n_inputs() const override { return types_.size(); }
  std::size_t n_outputs() const override { return outputs_.size(); }
  bool has_input(std::size_t i) const override { return i < types_.size() && types_[i] != nullptr; }
  const TypeInfo& input(std::size_t i) const override;
  const Tensor* value(std::size_t i) const override {
    if (i >= values_.size()) return nullptr;
    read_values_ |= std::uint64_t{1} << std::min<std::size_t>(i, 63);
    return values_[i];
  }
  /// True if infer looked at the value of input i (63: that one or a later one).
  bool has_read_value(std::size_t i) const { return (read_values_ >> std::min<std::size_t>(i, 63) & 1) != 0; }
  void set_output(std::size_t i, DType dtype, std::optional<Shape> shape) override;

 private:
  const Node& node_;
  std::int64_t opset_;
  std::span<const TypeInfo* const> types_;
  std::span<const Tensor* const> values_;
  std::span<TypeInfo> outputs_;
  mutable std::uint64_t read_values_ = 0;
};

/// Everything a run of one node needs besides its tensors.
struct NodeRunSetting {
  const Node& node;
  std::int64_t opset;
  Allocator& allocator;
  SubgraphRunner& subgraphs;
  std::unique_ptr<OpState>& state;
  bool is_deterministic;
  bool is_bound = false;  // the outputs lie where they must: what an operator sets is copied there
};

/// What `run` sees of one node. Outputs are allocated when first asked for, so operators that set views allocate nothing.
class NodeRun final : public RunContext {
 public:
  /// inputs: null where left out. is_constant: as long as inputs. inferred: what infer said. outputs: filled by the run.
  /// is_wanted: as long as outputs.
  NodeRun(const NodeRunSetting& setting, std::span<const Tensor* const> inputs, std::span<const std::uint8_t> is_constant,
          std::span<const TypeInfo> inferred, std::span<const std::uint8_t> is_wanted, std::span<Tensor> outputs)
      : setting_(setting),
        inputs_(inputs),
        is_constant_(is_constant),
        inferred_(inferred),
        is_wanted_(is_wanted),
        outputs_(outputs) {}

  const Node& node() const override { return setting_.node; }
  std::int64_t opset() const override { return setting_.opset; }
  std::size_t n_inputs() const override { return inputs_.size(); }
  std::size_t n_outputs() const override { return outputs_.size(); }
  bool has_input(std::size_t i) const override { return i < inputs_.size() && inputs_[i] != nullptr; }
  const Tensor& input(std::size_t i) const override;
  bool is_constant(std::size_t i) const override { return i < is_constant_.size() && is_constant_[i] != 0; }
  bool wants_output(std::size_t i) const override { return i < is_wanted_.size() && is_wanted_[i] != 0; }
  const TypeInfo& inferred(std::size_t i) const override;
  Tensor& output(std::size_t i) override;
  void set_output(std::size_t i, Tensor tensor) override;
  Allocator& allocator() override { return setting_.allocator; }
  SubgraphRunner& subgraphs() override { return setting_.subgraphs; }
  std::unique_ptr<OpState>& state() override { return setting_.state; }
  bool is_deterministic() const override { return setting_.is_deterministic; }
  /// After the run: every wanted output must be there; empty ones nobody wrote are made.
  void check_outputs();

 private:
  const NodeRunSetting& setting_;
  std::span<const Tensor* const> inputs_;
  std::span<const std::uint8_t> is_constant_;
  std::span<const TypeInfo> inferred_;
  std::span<const std::uint8_t> is_wanted_;
  std::span<Tensor> outputs_;
};

/// For nodes without subgraphs: any use is refused.
class NoSubgraphs final : public SubgraphRunner {
 public:
  std::vector<Tensor> run(std::string_view attribute, std::span<const Tensor> inputs) override;
};

/// True if running the node twice on the same inputs gives the same outputs.
bool is_repeatable(const Node& node);

}  // namespace bitwright
