#pragma once

#include <string>

#include "base/function_ref.h"
#include "ops/op.h"
#include "ops/projection.h"

namespace bitwright {

/// An activation of a recurrent cell by its ONNX name, with its own alpha and beta.
class CellActivation {
 public:
  /// Throws Error{unsupported} naming the node for a name that ONNX does not list. NaN: the name's default.
  CellActivation(const Node& node, std::string name, float alpha, float beta);
  void apply(float* values, std::int64_t n) const;

 private:
  enum class Kind {
    relu,
    tanh,
    sigmoid,
    affine,
    leaky_relu,
    thresholded_relu,
    scaled_tanh,
    hard_sigmoid,
    elu,
    softsign,
    softplus
  };
  Kind kind_;
  float alpha_;
  float beta_;
};

/// Shapes and attributes that RNN, GRU and LSTM share. `n_gates` rows of H stand in W and R.
struct RecurrentPlan {
  std::int64_t steps = 0, batch = 0, input = 0, hidden = 0, directions = 1;
  bool is_batch_first = false;
  bool is_first_reversed = false;  // direction "reverse"
};
/// Extents may be unknown. `hidden_from_r` is the last extent of R.
RecurrentPlan plan_recurrent(const Node& node, const Shape& x, std::int64_t hidden_from_r);
void infer_recurrent_outputs(InferContext& context, const RecurrentPlan& plan);

/// The activations of every direction, `defaults` where the attribute is left out.
std::vector<CellActivation> read_activations(const Node& node, std::int64_t directions,
                                             std::initializer_list<const char*> defaults);

/// One step of one direction for the whole batch. Rows are [batch, n].
struct CellStep {
  std::int64_t batch, hidden;
  const float* const* projected;  // for each batch row: W x of this step, all gates
  float* h;                       // [batch, hidden]: the state before, to be replaced
  float* c;                       // LSTM's cell state, else nullptr
  const bool* is_active;          // rows beyond their sequence keep their state
};

/// Runs every direction over all steps and writes Y, Y_h and, where `has_cell`, Y_c.
/// `project_input(direction)` multiplies by W; `step(direction, s)` computes one step.
void run_recurrent(RunContext& context, const RecurrentPlan& plan, std::int64_t n_gates, bool has_cell,
                   FunctionRef<const Projection&(std::int64_t)> project_input,
                   FunctionRef<void(std::int64_t, const CellStep&)> step);

}  // namespace bitwright
