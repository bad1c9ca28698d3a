#include "ops/recurrent.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "base/math.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {
constexpr float kDefault = std::numeric_limits<float>::quiet_NaN();
}

CellActivation::CellActivation(const Node& node, std::string name, float alpha, float beta) {
  struct Row {
    const char* name;
    Kind kind;
    float alpha, beta;
  };
  static constexpr Row kRows[] = {{"relu", Kind::relu, 0, 0},
                                  {"tanh", Kind::tanh, 0, 0},
                                  {"sigmoid", Kind::sigmoid, 0, 0},
                                  {"affine", Kind::affine, 1.0f, 0},
                                  {"leakyrelu", Kind::leaky_relu, 0.01f, 0},
                                  {"thresholdedrelu", Kind::thresholded_relu, 1.0f, 0},
                                  {"scaledtanh", Kind::scaled_tanh, 1.0f, 1.0f},
                                  {"hardsigmoid", Kind::hard_sigmoid, 0.2f, 0.5f},
                                  {"elu", Kind::elu, 1.0f, 0},
                                  {"softsign", Kind::softsign, 0, 0},
                                  {"softplus", Kind::softplus, 0, 0}};
  const std::string said = name;
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const Row& row : kRows)
    if (name == row.name) {
      kind_ = row.kind;
      alpha_ = std::isnan(alpha) ? row.alpha : alpha;
      beta_ = std::isnan(beta) ? row.beta : beta;
      return;
    }
  refuse(node, {"activation ", in_quotes(said)}, ErrorCode::unsupported);
}

void CellActivation::apply(float* values, std::int64_t n) const {
  const auto four = [&](auto&& f) {
    std::int64_t i = 0;
    for (; i + 4 <= n; i += 4) store_f32x4(values + i, f(load_f32x4(values + i)));
    for (; i < n; ++i) values[i] = f(splat(values[i]))[0];
  };
  const f32x4 zero = {}, one = splat(1.0f);
  switch (kind_) {
    case Kind::sigmoid:
      return four([](f32x4 x) { return sigmoid(x); });
    case Kind::tanh:
      return four([](f32x4 x) { return tanh(x); });
    case Kind::relu:
      return four([&](f32x4 x) { return max(x, zero); });
    case Kind::affine:
      return four([&](f32x4 x) { return x * alpha_ + beta_; });
    case Kind::leaky_relu:
      return four([&](f32x4 x) { return select(x < zero, x * alpha_, x); });
    case Kind::thresholded_relu:
      return four([&](f32x4 x) { return select(x > splat(alpha_), x, zero); });
    case Kind::scaled_tanh:
      return four([&](f32x4 x) { return alpha_ * tanh(x * beta_); });
    case Kind::hard_sigmoid:
      return four([&](f32x4 x) { return min(max(x * alpha_ + beta_, zero), one); });
    case Kind::elu:
      return four([&](f32x4 x) { return select(x < zero, alpha_ * (exp(x) - 1.0f), x); });
    case Kind::softsign:
      return four([&](f32x4 x) { return x / (1.0f + abs(x)); });
    case Kind::softplus:
      return four([](f32x4 x) { return softplus(x); });
  }
}

std::vector<CellActivation> read_activations(const Node& node, std::int64_t directions,
                                             std::initializer_list<const char*> defaults) {
  std::vector<std::string> names;
  if (const Attribute* said = node.find("activations")) names = said->strings;
  if (names.empty())
    for (std::int64_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  require(names.size() == defaults.size() * static_cast<std::size_t>(directions), node, "activations has the wrong length");
  const std::vector<float> alphas = node.attr_floats("activation_alpha"), betas = node.attr_floats("activation_beta");
  std::vector<CellActivation> activations;
  for (std::size_t i = 0; i < names.size(); ++i)
    activations.emplace_back(node, names[i], i < alphas.size() ? alphas[i] : kDefault, i < betas.size() ? betas[i] : kDefault);
  return activations;
}

RecurrentPlan plan_recurrent(const Node& node, const Shape& x, std::int64_t hidden_from_r) {
  require_shape(x.size() == 3, node, "the input must have three axes: steps, batch, features");
  RecurrentPlan plan;
  plan.is_batch_first = node.attr_i("layout", 0) != 0;
  plan.steps = x[plan.is_batch_first ? 1 : 0];
  plan.batch = x[plan.is_batch_first ? 0 : 1];
  plan.input = x[2];
  const std::string direction = node.attr_s("direction", "forward");
  require(direction == "forward" || direction == "reverse" || direction == "bidirectional", node, "direction is unknown");
  plan.directions = direction == "bidirectional" ? 2 : 1;
  plan.is_first_reversed = direction == "reverse";
  plan.hidden = node.attr_i("hidden_size", hidden_from_r);
  require_shape(may_equal(plan.hidden, hidden_from_r), node, "hidden_size contradicts the weights");
  return plan;
}

void infer_recurrent_outputs(InferContext& context, const RecurrentPlan& p) {
  const DType dtype = context.dtype(0);
  const Shape y =
      p.is_batch_first ? Shape{p.batch, p.steps, p.directions, p.hidden} : Shape{p.steps, p.directions, p.batch, p.hidden};
  const Shape last = p.is_batch_first ? Shape{p.batch, p.directions, p.hidden} : Shape{p.directions, p.batch, p.hidden};
  if (context.n_outputs() > 0) context.set_output(0, dtype, y);
  const std::size_t n_made = context.node().op_type.find("LSTM") != std::string::npos ? 3 : 2;
  for (std::size_t i = 1; i < std::min(context.n_outputs(), n_made); ++i) context.set_output(i, dtype, last);
}

namespace {

/// An initial state as [directions][batch][hidden], zeros where it is left out.
Tensor initial_state(RunContext& context, std::size_t i, const RecurrentPlan& p) {
  Tensor state = scratch_f32(p.directions * p.batch * p.hidden, context.allocator());
  const std::span<float> to = state.data<float>();
  std::fill(to.begin(), to.end(), 0.0f);
  if (!context.has_input(i)) return state;
  const Tensor given = as_f32(context.input(i), context.allocator());
  require_shape(given.n_elements() == p.directions * p.batch * p.hidden, context.node(), "an initial state has the wrong size");
  const std::span<const float> from = given.data<float>();
  for (std::int64_t d = 0; d < p.directions; ++d)
    for (std::int64_t b = 0; b < p.batch; ++b) {
      const std::int64_t row = p.is_batch_first ? b * p.directions + d : d * p.batch + b;
      std::copy_n(from.data() + row * p.hidden, p.hidden, to.data() + (d * p.batch + b) * p.hidden);
    }
  return state;
}

void write_last(RunContext& context, std::size_t i, const RecurrentPlan& p, const Tensor& state) {
  if (!context.wants_output(i)) return;
  F32Output output(context, i);
  for (std::int64_t d = 0; d < p.directions; ++d)
    for (std::int64_t b = 0; b < p.batch; ++b) {
      const std::int64_t row = p.is_batch_first ? b * p.directions + d : d * p.batch + b;
      std::copy_n(state.data<float>().data() + (d * p.batch + b) * p.hidden, p.hidden, output.data() + row * p.hidden);
    }
  output.finish();
}

}  // namespace

void run_recurrent(RunContext& context, const RecurrentPlan& p, std::int64_t n_gates, bool has_cell,
                   FunctionRef<const Projection&(std::int64_t)> project_input,
                   FunctionRef<void(std::int64_t, const CellStep&)> step) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(p.batch), p.steps);
  if (context.has_input(4)) lengths = to_i64_vector(context.input(4));
  require_shape(static_cast<std::int64_t>(lengths.size()) == p.batch, node,
                "sequence_lens must have one length for each batch row");
  for (const std::int64_t length : lengths)
    require_shape(length >= 0 && length <= p.steps, node, "sequence_lens holds a length out of range");
  Tensor h = initial_state(context, 5, p), c = has_cell ? initial_state(context, 6, p) : Tensor();

  const std::int64_t gates = n_gates * p.hidden, n_rows = p.steps * p.batch;
  Tensor projected = scratch_f32(n_rows * gates, context.allocator());
  Tensor y = context.wants_output(0) ? scratch_f32(n_rows * p.directions * p.hidden, context.allocator()) : Tensor();
  if (y.is_defined()) std::fill(y.data<float>().begin(), y.data<float>().end(), 0.0f);
  std::vector<const float*> rows(static_cast<std::size_t>(p.batch));
  const std::unique_ptr<bool[]> is_active(new bool[static_cast<std::size_t>(p.batch)]);
  for (std::int64_t d = 0; d < p.directions; ++d) {
    project_input(d).multiply(x.data<float>().data(), n_rows, projected.data<float>().data(), context.allocator());
    const bool is_reversed = p.is_first_reversed || d == 1;
    float* const h_rows = h.data<float>().data() + d * p.batch * p.hidden;
    float* const c_rows = has_cell ? c.data<float>().data() + d * p.batch * p.hidden : nullptr;
    for (std::int64_t s = 0; s < p.steps; ++s) {
      const auto time = [&](std::int64_t b) {
        const std::int64_t length = lengths[static_cast<std::size_t>(b)];
        return is_reversed ? std::max<std::int64_t>(length - 1 - s, 0) : s;
      };
      for (std::int64_t b = 0; b < p.batch; ++b) {
        is_active[static_cast<std::size_t>(b)] = s < lengths[static_cast<std::size_t>(b)];
        const std::int64_t row = p.is_batch_first ? b * p.steps + time(b) : time(b) * p.batch + b;
        rows[static_cast<std::size_t>(b)] = projected.data<float>().data() + row * gates;
      }
      step(d, {p.batch, p.hidden, rows.data(), h_rows, c_rows, is_active.get()});
      for (std::int64_t b = 0; b < p.batch && y.is_defined(); ++b) {
        if (!is_active[static_cast<std::size_t>(b)]) continue;
        const std::int64_t row =
            p.is_batch_first ? (b * p.steps + time(b)) * p.directions + d : (time(b) * p.directions + d) * p.batch + b;
        std::copy_n(h_rows + b * p.hidden, p.hidden, y.data<float>().data() + row * p.hidden);
      }
    }
  }
  if (y.is_defined()) {
    F32Output output(context, 0);
    std::copy(y.data<float>().begin(), y.data<float>().end(), output.data());
    output.finish();
  }
  write_last(context, 1, p, h);
  if (has_cell) write_last(context, 2, p, c);
}

}  // namespace bitwright
