#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/work_limits.h"
#include "model/model.h"
#include "ops/op.h"

namespace bitwright {

struct GraphPlan;

/// One node, ready to run. Values are indices into the plan's frame; kAbsent where left out.
struct Step {
  static constexpr int kAbsent = -1;

  const Node* node = nullptr;
  const Op* op = nullptr;
  std::int64_t opset = 0;
  std::string where;  // "in function 'f': " for nodes of local functions
  std::vector<int> inputs;
  std::vector<int> outputs;
  std::vector<int> releases;                                                       // values whose last use this is
  std::vector<std::pair<std::string_view, std::unique_ptr<GraphPlan>>> subgraphs;  // by attribute
  std::unique_ptr<OpState> state;
  bool is_folded = false;  // computed at plan time: its outputs are constants

  /// Noted by a run, for freezing.
  bool is_steady = false;         // its outputs' types follow from the shapes of the graph's inputs
  std::vector<int> output_views;  // by output: the input whose bytes it shares, or kAbsent
  PreparedCall call;              // the last one made
  std::string kernel;             // its kernel, kept for reports

  double time_ms = 0.0;
  std::uint64_t n_runs = 0;

  // Kept between runs so that running allocates nothing here.
  std::vector<std::uint8_t> is_input_constant;
  std::vector<std::uint8_t> is_output_wanted;
  std::vector<TypeInfo> input_types;
  std::vector<const TypeInfo*> input_type_pointers;
  std::vector<TypeInfo> output_types;
  std::vector<const Tensor*> input_tensors;
  std::vector<Tensor> output_tensors;
};

/// A graph (the main one or a subgraph; local functions inlined) as steps over a frame of numbered values.
struct GraphPlan {
  /// A value of the enclosing graph that this one uses.
  struct Capture {
    int outer;
    int inner;
  };

  std::vector<Step> steps;
  std::vector<Tensor> values;  // the frame; constants stay in it between runs
  std::vector<std::uint8_t> is_constant;
  /// What a run notes of a value, for freezing.
  struct Note {
    bool is_steady = false;  // its type follows from the inputs' shapes
    Tensor fixed;            // its contents, where they follow from the inputs' shapes too and are small
  };
  std::vector<Note> notes;                // by value
  std::vector<const std::string*> names;  // of values of this graph; null inside local functions
  std::vector<int> inputs;                // to feed, in the graph's order
  std::vector<int> outputs;
  std::vector<Capture> captures;
  std::vector<std::unique_ptr<Node>> resolved_nodes;  // of local functions, attribute references replaced

  int add_value(const std::string* name);
};

/// Plans a model. `overridden`: initializers that the caller feeds, planned as inputs. `limits`: of constant folding. Throws what check_runnable throws, and
/// Error{bad_graph} for values that nothing makes, recursion of local functions, and more than kMaxInlined nodes inlined.
std::unique_ptr<GraphPlan> plan_model(const Model& model, const std::vector<std::string>& overridden,
                                      const WorkLimits& limits = {});

/// Most nodes that calls of local functions stand for; a small file may ask for any number. Each takes up to 1 kB in a plan.
/// Largest known real graph: 30 000 nodes.
inline constexpr std::size_t kMaxInlined = std::size_t{1} << 17;

}  // namespace bitwright
