#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/work_limits.h"
#include "kernels/int8.h"
#include "model/model.h"
#include "ops/op.h"
#include "tensor/tensor.h"

namespace bitwright {

/// Called after a node has run, with the name and contents of each value it made, in order of the graph. The tensor is valid
/// during the call only. Values inside subgraphs and local functions are not observed.
using OnValue = std::function<void(const std::string& value, const Tensor& tensor)>;

/// How quantized parts of a model are computed. fast: on codes, by integer kernels that requantize in float, as onnxruntime does.
/// integer_only: on codes, without float from the first quantization to the last dequantization. simulated: each node in float,
/// exactly as ONNX defines it; calibration and comparison use it. In all three float16 is computed as onnxruntime does on
/// processors: in float, rounded where passes/widen_halves.h says.
enum class SessionArithmetic { fast, integer_only, simulated };

struct SessionOptions {
  SessionArithmetic arithmetic = SessionArithmetic::simulated;
  /// Forces the integer kernels, for tests.
  std::optional<KernelFamily> family = {};
  int n_threads = 1;
  /// Results have the same bits natively, in wasm and at any thread count; false allows relaxed multiply-add.
  bool is_deterministic = true;
  /// Of constant folding, and of each run: a node that would pass them ends the run with Error{limit_exceeded}.
  WorkLimits limits = {};
};

/// One step of the plan.
struct NodeProfile {
  std::string node;
  std::string op_type;
  double time_ms = 0.0;
  std::uint64_t n_runs = 0;
  std::string nodes = {};         // of integer steps: the nodes of the model that it stands for
  std::string kernel = {};        // of integer steps, once the session has run
  bool is_integer = false;        // computes on codes by integer kernels
  bool is_channels_last = false;  // integer steps: layout of the result
  std::string reason = {};        // why another step is none
};

/// Runs a model; parts between quantization and dequantization as SessionOptions::arithmetic says.
/// The model is kept by reference count; passes must not edit it while a session lives.
class Session {
 public:
  /// Plans: orders nodes, loads constants, notes each value's last use. Throws what check_runnable throws.
  explicit Session(std::shared_ptr<const Model> model, SessionOptions options = {});
  ~Session();

  /// Names and types of the inputs to feed (initializers with defaults are optional and come last) and of the outputs.
  std::vector<ValueInfo> inputs() const;
  std::vector<ValueInfo> outputs() const;

  /// One run. Feeds are checked for name, element type, rank and fixed extents: Error{invalid_argument} says what was expected.
  /// Errors of a node carry its label. Activations are freed after their last use; the arena is reused by later runs.
  std::map<std::string, Tensor> run(const std::map<std::string, Tensor>& feeds, const OnValue& on_value = {});

  /// The same with feeds in the order of the graph's inputs (undefined: left out) and results in that of its outputs: a result of
  /// the right type and shape is written in place. From the second run of the same shapes on, nothing is allocated here and in
  /// the integer operators.
  void run_into(std::span<const Tensor> feeds, std::span<Tensor> results);

  /// Restricts on_value to these names (empty: all).
  void observe(std::vector<std::string> values);
  /// Bytes of activations alive at the peak of the last run, and bytes the arena holds.
  std::uint64_t peak_activation_bytes() const;
  std::uint64_t arena_bytes() const;
  std::vector<NodeProfile> profile() const;
  void set_profiling(bool is_on);
  /// "usdot", "sdot", "simd128" or "reference": which kernels the integer steps take.
  std::string_view kernel_family() const;
  /// True if steps of the plan compute on codes.
  bool is_integer() const;

  /// Where the next run finds this input's values, if the last run's shapes are to be run again; null otherwise.
  Tensor* bound_input(std::string_view name);
  /// Runs on what stands in the bound inputs, all of which must have been written. Results stay valid until the next run.
  std::map<std::string_view, const Tensor*> run_bound();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Types and shapes of every value of the main graph as far as they are known before a run (values folded where small:
/// shape arithmetic). Never throws for what is not known; throws Error{bad_graph, shape_mismatch} for contradictions only.
std::map<std::string, TypeInfo, std::less<>> infer_types(const Model& model);

}  // namespace bitwright
