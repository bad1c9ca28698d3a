#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/model.h"
#include "tensor/tensor.h"

namespace bitwright {

/// What inference knows of one value. Before a run some of it may be missing; in a run everything is there.
struct TypeInfo {
  DType dtype = DType::undefined;
  std::optional<Shape> shape;  // nullopt: unknown rank; kUnknownDim: unknown extent
  bool is_known() const;       // dtype and every extent
};

/// What an operator's `infer` sees: node, opset, input types and the values of inputs that are known (constants, shape
/// arithmetic folded so far, and in a run every input). One function serves static inference and running.
class InferContext {
 public:
  virtual ~InferContext() = default;
  virtual const Node& node() const = 0;
  virtual std::int64_t opset() const = 0;  // of the node's domain
  virtual std::size_t n_inputs() const = 0;
  virtual std::size_t n_outputs() const = 0;
  virtual bool has_input(std::size_t i) const = 0;
  virtual const TypeInfo& input(std::size_t i) const = 0;
  /// The input's value where it is known; nullptr otherwise.
  virtual const Tensor* value(std::size_t i) const = 0;
  virtual void set_output(std::size_t i, DType dtype, std::optional<Shape> shape) = 0;

  // Conveniences, written once for all operators; each throws Error{bad_graph} or {shape_mismatch} naming the node.
  DType dtype(std::size_t i) const { return input(i).dtype; }
  /// The shape of an input whose rank is known; throws if it is not (static inference then leaves the node's outputs unknown).
  const Shape& shape(std::size_t i) const;
  bool has_shape(std::size_t i) const { return has_input(i) && input(i).shape.has_value(); }
  /// The integers of a known input (shape, axes ...), or of the attribute where an older opset had one; nullopt if not known yet.
  std::optional<std::vector<std::int64_t>> ints_of(std::size_t i, std::string_view attribute_before = {}) const;
};

/// Thrown inside `infer` where a shape is not known yet; static inference catches it, a run never sees it.
struct NotKnownYet {};

class RunContext;

/// What an operator keeps between runs: packed weights, tables. Made once per node.
class OpState {
 public:
  virtual ~OpState() = default;
};

/// Runs the subgraph held by an attribute (If, Loop, Scan); implemented by the engine.
class SubgraphRunner {
 public:
  virtual ~SubgraphRunner() = default;
  virtual std::vector<Tensor> run(std::string_view attribute, std::span<const Tensor> inputs) = 0;
};

/// What an operator's `run` sees: concrete inputs and outputs allocated as `infer` said.
class RunContext {
 public:
  virtual ~RunContext() = default;
  virtual const Node& node() const = 0;
  virtual std::int64_t opset() const = 0;
  virtual std::size_t n_inputs() const = 0;
  virtual std::size_t n_outputs() const = 0;
  virtual bool has_input(std::size_t i) const = 0;
  virtual const Tensor& input(std::size_t i) const = 0;
  /// True if the input is a constant of the model: its packed form may be kept in the state.
  virtual bool is_constant(std::size_t i) const = 0;
  virtual bool wants_output(std::size_t i) const = 0;
  /// What infer said of the output: its type without allocating it.
  virtual const TypeInfo& inferred(std::size_t i) const = 0;
  /// Allocated as inferred. Contents are unspecified: write every element.
  virtual Tensor& output(std::size_t i) = 0;
  /// For outputs that share bytes with an input (Reshape), or whose shape depends on data (NonZero).
  virtual void set_output(std::size_t i, Tensor tensor) = 0;
  virtual Allocator& allocator() = 0;  // scratch memory from the session's arena
  virtual SubgraphRunner& subgraphs() = 0;
  /// False allows kernels whose bits depend on the machine (relaxed multiply-add).
  virtual bool is_deterministic() const = 0;
  virtual std::unique_ptr<OpState>& state() = 0;
};

/// A call with everything bound: its buffers, packed weights and tables. Making it again looks at nothing else and allocates nothing.
struct PreparedCall {
  void (*function)(const void* args) = nullptr;
  std::shared_ptr<const void> args;
  std::string kernel;  // its name, for reports
};

/// One operator. `since` lists the opsets where its definition changed, oldest first, up to the newest we know.
struct Op {
  std::string_view name;
  std::string_view domain;  // "", "com.microsoft" or kInternalDomain
  std::span<const std::int64_t> since;
  /// Sets the type of every output; throws for broken nodes. For outputs that depend on data it sets an unknown shape, and
  /// `run` must call set_output.
  void (*infer)(InferContext&);
  /// Null for operators that only prepare.
  void (*run)(RunContext&);
  /// Binds a call to inputs and outputs where they lie; weights packed by an earlier one are in the state. Null for most.
  PreparedCall (*prepare)(RunContext&) = nullptr;
};

/// Runs the operator, for those that have a `run`. Where everything wanted is known to have no elements nothing is computed, however
/// long the axes beside the empty one are: operators need not look for that.
void compute(const Op& op, RunContext& context);
/// The same for operators that only prepare.
PreparedCall prepare(const Op& op, RunContext& context);

/// Operators that passes of ours put in: no file may hold them.
inline constexpr std::string_view kInternalDomain = "bitwright";

/// The operator, or nullptr where we have none. Constant time.
const Op* find_op(std::string_view domain, std::string_view name);
/// Every operator that a file may hold, sorted by domain and name: for docs and `bitwright ops`.
std::vector<const Op*> all_ops();
/// Throws Error{unsupported} naming the first node (subgraphs and local functions included) whose operator or opset we cannot run.
void check_runnable(const Model& model);

/// Families register themselves here: one line per family in ops/families.inc, one span per family file.
struct OpFamily {
  std::string_view name;
  std::span<const Op> ops;
};

}  // namespace bitwright
