// RNN, GRU, LSTM, and ONNX Runtime's DynamicQuantizeLSTM.
#include <algorithm>

#include "ops/float_operands.h"
#include "ops/recurrent.h"
#include "ops/refusal.h"
#include "tensor/elements.h"

namespace bitwright {

namespace {

/// Packed weights of every direction. GRU's hidden gate has a product of its own: its input is the reset state.
struct RecurrentWeights : OpState {
  std::vector<std::unique_ptr<Projection>> w, r, r_hidden;
};

const char* kWeightsMisfit = "the weights do not fit the input, hidden size and directions";

/// Where W and R are kept [directions, gates * H, k].
std::unique_ptr<RecurrentWeights> pack_weights(RunContext& context, const RecurrentPlan& p, std::int64_t n_gates, bool is_gru,
                                               Allocator& allocator) {
  const Tensor w = as_f32(context.input(1), allocator), r = as_f32(context.input(2), allocator);
  const std::int64_t gates = n_gates * p.hidden;
  require_shape(w.shape() == Shape{p.directions, gates, p.input} && r.shape() == Shape{p.directions, gates, p.hidden},
                context.node(), kWeightsMisfit);
  auto weights = std::make_unique<RecurrentWeights>();
  for (std::int64_t d = 0; d < p.directions; ++d) {
    const float* w_d = w.data<float>().data() + d * gates * p.input;
    const float* r_d = r.data<float>().data() + d * gates * p.hidden;
    const std::int64_t in_r = is_gru ? 2 * p.hidden : gates;
    weights->w.push_back(float_projection(w_d, 1, p.input, p.input, gates, allocator));
    weights->r.push_back(float_projection(r_d, 1, p.hidden, p.hidden, in_r, allocator));
    if (is_gru) weights->r_hidden.push_back(float_projection(r_d + in_r * p.hidden, 1, p.hidden, p.hidden, p.hidden, allocator));
  }
  return weights;
}

/// DynamicQuantizeLSTM: W [directions, input, 4 H] and R [directions, H, 4 H] in 8 bits; inputs 8 to 11 are their scales and zero points.
std::unique_ptr<RecurrentWeights> pack_quantized(RunContext& context, const RecurrentPlan& p, Allocator& allocator) {
  auto weights = std::make_unique<RecurrentWeights>();
  const std::int64_t gates = 4 * p.hidden;
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    const std::int64_t k = i == 1 ? p.input : p.hidden;
    const Tensor codes = as_f32(context.input(i), allocator), scale = as_f32(context.input(6 + 2 * i), allocator);
    const Tensor zero_point = as_f32(context.input(7 + 2 * i), allocator);
    require_shape(codes.shape() == Shape{p.directions, k, gates}, context.node(), kWeightsMisfit);
    const std::int64_t per_direction = scale.n_elements() / p.directions;
    require_shape(scale.n_elements() == per_direction * p.directions && (per_direction == 1 || per_direction == gates) &&
                      zero_point.n_elements() == scale.n_elements(),
                  context.node(), "scales and zero points must be one for each direction or for each of its columns");
    for (std::int64_t d = 0; d < p.directions; ++d) {
      std::vector<float> centered(static_cast<std::size_t>(k * gates));
      for (std::int64_t j = 0; j < k * gates; ++j)
        centered[static_cast<std::size_t>(j)] =
            codes.data<float>()[static_cast<std::size_t>(d * k * gates + j)] -
            zero_point.data<float>()[static_cast<std::size_t>(d * per_direction + j % gates % per_direction)];
      const float* first = scale.data<float>().data() + d * per_direction;
      (i == 1 ? weights->w : weights->r)
          .push_back(dynamic_projection(centered.data(), k, gates, std::vector<float>(first, first + per_direction), allocator));
    }
  }
  return weights;
}

/// The state's weights, made at the first run where both are constants.
template <typename Pack>
const RecurrentWeights& weights_of(RunContext& context, std::unique_ptr<RecurrentWeights>& fresh, Pack pack) {
  if (context.state() == nullptr && context.is_constant(1) && context.is_constant(2)) context.state() = pack(heap_allocator());
  if (context.state() != nullptr) return static_cast<const RecurrentWeights&>(*context.state());
  fresh = pack(context.allocator());
  return *fresh;
}

/// B as [directions][W's biases, R's biases], zeros where it is left out.
std::vector<float> biases_of(RunContext& context, const RecurrentPlan& p, std::int64_t n_gates) {
  std::vector<float> biases(static_cast<std::size_t>(p.directions * 2 * n_gates * p.hidden), 0.0f);
  if (!context.has_input(3)) return biases;
  require_shape(context.input(3).n_elements() == static_cast<std::int64_t>(biases.size()), context.node(),
                "B has the wrong size");
  read_elements(context.input(3), 0, std::span<float>(biases));
  return biases;
}

void clip(float* values, std::int64_t n, float bound) {
  for (std::int64_t i = 0; i < n && bound > 0.0f; ++i)
    values[i] = values[i] > bound ? bound : values[i] < -bound ? -bound : values[i];
}

template <bool kIsTransposed>
void infer(InferContext& context) {
  const Shape& r = context.shape(2);
  require_shape(r.size() == 3, context.node(), "R must have three axes");
  infer_recurrent_outputs(context, plan_recurrent(context.node(), context.shape(0), kIsTransposed ? r[1] : r[2]));
}

void run_rnn(RunContext& context) {
  const Node& node = context.node();
  const RecurrentPlan p = plan_recurrent(node, context.input(0).shape(), context.input(2).shape().back());
  const std::vector<CellActivation> activations = read_activations(node, p.directions, {"Tanh"});
  std::unique_ptr<RecurrentWeights> fresh;
  const RecurrentWeights& weights =
      weights_of(context, fresh, [&](Allocator& allocator) { return pack_weights(context, p, 1, false, allocator); });
  const std::vector<float> biases = biases_of(context, p, 1);
  const float bound = node.attr_f("clip", 0.0f);
  Tensor product = scratch_f32(p.batch * p.hidden, context.allocator());
  run_recurrent(
      context, p, 1, false, [&](std::int64_t d) -> const Projection& { return *weights.w[static_cast<std::size_t>(d)]; },
      [&](std::int64_t d, const CellStep& s) {
        float* sums = product.data<float>().data();
        weights.r[static_cast<std::size_t>(d)]->multiply(s.h, s.batch, sums, context.allocator());
        const float* b_w = biases.data() + d * 2 * p.hidden;
        for (std::int64_t b = 0; b < s.batch; ++b) {
          float* row = sums + b * p.hidden;
          for (std::int64_t j = 0; j < p.hidden; ++j) row[j] = s.projected[b][j] + row[j] + (b_w[j] + b_w[p.hidden + j]);
          clip(row, p.hidden, bound);
          activations[static_cast<std::size_t>(d)].apply(row, p.hidden);
          if (s.is_active[b]) std::copy_n(row, p.hidden, s.h + b * p.hidden);
        }
      });
}

void run_gru(RunContext& context) {
  const Node& node = context.node();
  const RecurrentPlan p = plan_recurrent(node, context.input(0).shape(), context.input(2).shape().back());
  const std::vector<CellActivation> activations = read_activations(node, p.directions, {"Sigmoid", "Tanh"});
  std::unique_ptr<RecurrentWeights> fresh;
  const RecurrentWeights& weights =
      weights_of(context, fresh, [&](Allocator& allocator) { return pack_weights(context, p, 3, true, allocator); });
  const std::vector<float> biases = biases_of(context, p, 3);
  const float bound = node.attr_f("clip", 0.0f);
  const bool is_reset_after = node.attr_i("linear_before_reset", 0) != 0;
  const std::int64_t n = p.hidden;
  Tensor gates_block = scratch_f32(p.batch * 2 * n, context.allocator()),
         hidden_block = scratch_f32(p.batch * n, context.allocator());
  Tensor reset_block = scratch_f32(p.batch * n, context.allocator());
  run_recurrent(
      context, p, 3, false, [&](std::int64_t d) -> const Projection& { return *weights.w[static_cast<std::size_t>(d)]; },
      [&](std::int64_t d, const CellStep& s) {
        float* gates = gates_block.data<float>().data();  // z, r
        float* hidden = hidden_block.data<float>().data();
        float* reset = reset_block.data<float>().data();
        const float* b_w = biases.data() + d * 6 * n;
        const float* b_r = b_w + 3 * n;
        const CellActivation& f = activations[static_cast<std::size_t>(2 * d)];
        const CellActivation& g = activations[static_cast<std::size_t>(2 * d + 1)];
        weights.r[static_cast<std::size_t>(d)]->multiply(s.h, s.batch, gates, context.allocator());
        for (std::int64_t b = 0; b < s.batch; ++b) {
          float* row = gates + b * 2 * n;
          for (std::int64_t j = 0; j < 2 * n; ++j) row[j] = s.projected[b][j] + row[j] + (b_w[j] + b_r[j]);
          clip(row, 2 * n, bound);
          f.apply(row, 2 * n);
          for (std::int64_t j = 0; j < n; ++j) reset[b * n + j] = row[n + j] * s.h[b * n + j];
        }
        weights.r_hidden[static_cast<std::size_t>(d)]->multiply(is_reset_after ? s.h : reset, s.batch, hidden,
                                                                context.allocator());
        for (std::int64_t b = 0; b < s.batch; ++b) {
          const float* z = gates + b * 2 * n;
          float* row = hidden + b * n;
          for (std::int64_t j = 0; j < n; ++j) {
            const float recurrent = row[j] + b_r[2 * n + j];
            row[j] = s.projected[b][2 * n + j] + (is_reset_after ? z[n + j] * recurrent : recurrent) + b_w[2 * n + j];
          }
          clip(row, n, bound);
          g.apply(row, n);
          for (std::int64_t j = 0; j < n && s.is_active[b]; ++j) s.h[b * n + j] = (1.0f - z[j]) * row[j] + z[j] * s.h[b * n + j];
        }
      });
}

/// Gates stand in the order i, o, f, c; peepholes in the order i, o, f.
void run_lstm_cells(RunContext& context, const RecurrentPlan& p, const RecurrentWeights& weights) {
  const Node& node = context.node();
  const std::vector<CellActivation> activations = read_activations(node, p.directions, {"Sigmoid", "Tanh", "Tanh"});
  const std::vector<float> biases = biases_of(context, p, 4);
  const std::int64_t n = p.hidden;
  std::vector<float> peepholes(static_cast<std::size_t>(p.directions * 3 * n), 0.0f);
  if (context.has_input(7)) {
    require_shape(context.input(7).n_elements() == static_cast<std::int64_t>(peepholes.size()), node, "P has the wrong size");
    read_elements(context.input(7), 0, std::span<float>(peepholes));
  }
  const float bound = node.attr_f("clip", 0.0f);
  const bool is_forget_coupled = node.attr_i("input_forget", 0) != 0;
  Tensor block = scratch_f32(p.batch * 4 * n, context.allocator()), outputs = scratch_f32(n, context.allocator());
  run_recurrent(
      context, p, 4, true, [&](std::int64_t d) -> const Projection& { return *weights.w[static_cast<std::size_t>(d)]; },
      [&](std::int64_t d, const CellStep& s) {
        float* gates = block.data<float>().data();
        float* out = outputs.data<float>().data();
        const float* b_w = biases.data() + d * 8 * n;
        const float* peephole = peepholes.data() + d * 3 * n;
        const CellActivation* activation = activations.data() + 3 * d;
        weights.r[static_cast<std::size_t>(d)]->multiply(s.h, s.batch, gates, context.allocator());
        for (std::int64_t b = 0; b < s.batch; ++b) {
          if (!s.is_active[b]) continue;
          float* row = gates + b * 4 * n;
          float* c = s.c + b * n;
          for (std::int64_t j = 0; j < 4 * n; ++j) row[j] = s.projected[b][j] + row[j] + (b_w[j] + b_w[4 * n + j]);
          float *i = row, *o = row + n, *f = row + 2 * n, *g = row + 3 * n;
          for (std::int64_t j = 0; j < n; ++j) {
            i[j] += peephole[j] * c[j];
            f[j] += peephole[2 * n + j] * c[j];
          }
          clip(row, 4 * n, bound);
          activation[0].apply(i, n);
          activation[0].apply(f, n);
          activation[1].apply(g, n);
          for (std::int64_t j = 0; j < n; ++j) c[j] = (is_forget_coupled ? 1.0f - i[j] : f[j]) * c[j] + i[j] * g[j];
          for (std::int64_t j = 0; j < n; ++j) o[j] += peephole[n + j] * c[j];
          clip(o, n, bound);
          activation[0].apply(o, n);
          std::copy_n(c, n, out);
          activation[2].apply(out, n);
          for (std::int64_t j = 0; j < n; ++j) s.h[b * n + j] = o[j] * out[j];
        }
      });
}

void run_lstm(RunContext& context) {
  const RecurrentPlan p = plan_recurrent(context.node(), context.input(0).shape(), context.input(2).shape().back());
  std::unique_ptr<RecurrentWeights> fresh;
  run_lstm_cells(context, p,
                 weights_of(context, fresh, [&](Allocator& allocator) { return pack_weights(context, p, 4, false, allocator); }));
}

void run_dynamic_lstm(RunContext& context) {
  for (const std::size_t i : {8, 9, 10, 11})
    require(context.has_input(i), context.node(), "the scales and zero points of W and R must be given");
  const RecurrentPlan p = plan_recurrent(context.node(), context.input(0).shape(), context.input(2).extent(1));
  std::unique_ptr<RecurrentWeights> fresh;
  run_lstm_cells(context, p,
                 weights_of(context, fresh, [&](Allocator& allocator) { return pack_quantized(context, p, allocator); }));
}

constexpr std::int64_t kGruSince[] = {1, 3, 7, 14, 22};
constexpr std::int64_t kSince[] = {1, 7, 14, 22};
constexpr std::int64_t kMicrosoftSince[] = {1};
constexpr Op kOps[] = {
    {"RNN", "", kSince, infer<false>, run_rnn},
    {"GRU", "", kGruSince, infer<false>, run_gru},
    {"LSTM", "", kSince, infer<false>, run_lstm},
    {"DynamicQuantizeLSTM", "com.microsoft", kMicrosoftSince, infer<true>, run_dynamic_lstm},
};

}  // namespace

extern const OpFamily rnn_family;
const OpFamily rnn_family{"rnn", kOps};

}  // namespace bitwright
