// Attention and RotaryEmbedding.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/math.h"
#include "kernels/softmax_f32/softmax_f32.h"
#include "ops/float_operands.h"
#include "ops/matrix_product.h"
#include "ops/refusal.h"
#include "tensor/elements.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

/// Inputs: 0 Q, 1 K, 2 V, 3 mask, 4 past key, 5 past value, 6 valid keys of each batch row.
struct AttentionPlan {
  bool is_flat = false;  // [batch, sequence, heads * size] rather than [batch, heads, sequence, size]
  std::int64_t batch = 0, q_heads = 0, kv_heads = 0, q_length = 0, new_length = 0, past_length = 0, size = 0, value_size = 0;
  std::int64_t kv_length() const { return new_length < 0 || past_length < 0 ? kUnknownDim : past_length + new_length; }
  Shape y() const {
    return is_flat ? Shape{batch, q_length, product(q_heads, value_size)} : Shape{batch, q_heads, q_length, value_size};
  }
  static std::int64_t product(std::int64_t a, std::int64_t b) { return a < 0 || b < 0 ? kUnknownDim : a * b; }
};

AttentionPlan plan_attention(const Node& node, const Shape& q, const Shape& k, const Shape& v, const Shape* past_key) {
  require_shape((q.size() == 3 || q.size() == 4) && k.size() == q.size() && v.size() == q.size(), node,
                "Q, K and V must all have 3 or 4 axes");
  AttentionPlan plan;
  plan.is_flat = q.size() == 3;
  plan.batch = q[0];
  if (plan.is_flat) {
    plan.q_heads = node.attr_i("q_num_heads", 0);
    plan.kv_heads = node.attr_i("kv_num_heads", 0);
    require(plan.q_heads >= 1 && plan.kv_heads >= 1, node, "q_num_heads and kv_num_heads must be given for inputs of 3 axes");
    const auto share = [&](std::int64_t features, std::int64_t heads) {
      require_shape(features < 0 || features % heads == 0, node, "the features do not divide into the heads");
      return features < 0 ? kUnknownDim : features / heads;
    };
    plan.q_length = q[1];
    plan.new_length = k[1];
    plan.size = share(q[2], plan.q_heads);
    require_shape(may_equal(share(k[2], plan.kv_heads), plan.size), node, "Q and K have heads of different sizes");
    plan.value_size = share(v[2], plan.kv_heads);
  } else {
    plan.q_heads = q[1];
    plan.kv_heads = k[1];
    plan.q_length = q[2];
    plan.new_length = k[2];
    plan.size = q[3];
    require_shape(may_equal(k[3], q[3]), node, "Q and K have heads of different sizes");
    require_shape(may_equal(v[1], k[1]), node, "K and V have different counts of heads");
    plan.value_size = v[3];
  }
  require_shape(may_equal(k[0], q[0]) && may_equal(v[0], q[0]), node, "Q, K and V differ in batch");
  require_shape(may_equal(v[plan.is_flat ? 1 : 2], plan.new_length), node, "K and V differ in length");
  require_shape(plan.q_heads < 0 || plan.kv_heads < 0 || (plan.kv_heads > 0 && plan.q_heads % plan.kv_heads == 0), node,
                "the query heads do not divide into the key heads");
  if (past_key != nullptr) {
    require_shape(past_key->size() == 4, node, "past_key must have 4 axes");
    plan.past_length = (*past_key)[2];
  }
  return plan;
}

void infer_attention(InferContext& context) {
  const AttentionPlan plan = plan_attention(context.node(), context.shape(0), context.shape(1), context.shape(2),
                                            context.has_input(4) ? &context.shape(4) : nullptr);
  context.set_output(0, context.dtype(0), plan.y());
  const Shape outputs[] = {{plan.batch, plan.kv_heads, plan.kv_length(), plan.size},
                           {plan.batch, plan.kv_heads, plan.kv_length(), plan.value_size},
                           {plan.batch, plan.q_heads, plan.q_length, plan.kv_length()}};
  const DType dtypes[] = {context.dtype(1), context.dtype(2), context.dtype(0)};
  for (std::size_t i = 1; i < std::min<std::size_t>(4, context.n_outputs()); ++i)
    context.set_output(i, dtypes[i - 1], outputs[i - 1]);
}

/// An input as [batch, heads, past + length, size] in float, behind the past values if there are any.
Tensor heads_of(RunContext& context, std::size_t i, const AttentionPlan& plan, std::int64_t heads, std::int64_t length,
                std::int64_t size, std::size_t past_input, std::int64_t past_length) {
  const Tensor x = as_f32(context.input(i), context.allocator());
  const Tensor past = past_length > 0 ? as_f32(context.input(past_input), context.allocator()) : Tensor();
  require_shape(!past.is_defined() || past.shape() == Shape{plan.batch, heads, past_length, size}, context.node(),
                "past_key or past_value does not fit");
  Tensor y(DType::f32, {plan.batch, heads, past_length + length, size}, context.allocator());
  const float* from = x.data<float>().data();
  float* to = y.data<float>().data();
  for (std::int64_t row = 0; row < plan.batch * heads; ++row) {
    if (past.is_defined()) to = std::copy_n(past.data<float>().data() + row * past_length * size, past_length * size, to);
    const std::int64_t b = row / heads, head = row % heads;
    for (std::int64_t s = 0; s < length; ++s)
      to = std::copy_n(from + (plan.is_flat ? (b * length + s) * heads + head : row * length + s) * size, size, to);
  }
  return y;
}

/// What is added to the scores: 0, the mask's values, or -inf where a key is out of sight.
class Bias {
 public:
  Bias(RunContext& context, const AttentionPlan& plan) : plan_(plan) {
    const Node& node = context.node();
    is_causal_ = node.attr_i("is_causal", 0) != 0;
    left_ = node.attr_i("left_window_size", -1);
    right_ = node.attr_i("right_window_size", -1);
    if (context.has_input(6)) valid_ = to_i64_vector(context.input(6));
    require_shape(valid_.empty() || static_cast<std::int64_t>(valid_.size()) == plan.batch, node,
                  "nonpad_kv_seqlen must have one length for each batch row");
    for (const std::int64_t n : valid_)
      require_shape(n >= 0 && n <= plan.kv_length(), node, "nonpad_kv_seqlen lies outside of the keys");
    has_past_ = context.has_input(4);
    if (!context.has_input(3)) return;
    const Tensor& mask = context.input(3);
    require_shape(mask.rank() >= 1 && mask.rank() <= 4 && mask.shape().back() <= plan.kv_length(), node,
                  "attn_mask does not fit");
    mask_ = as_f32(mask, context.allocator());
    is_boolean_ = mask.dtype() == DType::boolean;
    mask_length_ = mask.shape().back();
    const Shape target{plan.batch, plan.q_heads, plan.q_length, mask_length_};
    require_shape(broadcast(mask.shape(), target) == target, node, "attn_mask does not broadcast to the scores");
    strides_ = broadcast_strides(mask.shape(), target);
  }

  /// Fills a row of kv_length values; false where every key is masked.
  bool row(std::int64_t b, std::int64_t head, std::int64_t i, std::span<float> bias) const {
    const std::int64_t offset = has_past_        ? plan_.past_length
                                : valid_.empty() ? 0
                                                 : valid_[static_cast<std::size_t>(b)] - plan_.q_length;
    const float* mask =
        mask_.is_defined() ? mask_.data<float>().data() + b * strides_[0] + head * strides_[1] + i * strides_[2] : nullptr;
    bool is_any = false;
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(bias.size()); ++j) {
      float value = 0.0f;
      if (mask != nullptr)
        value = j >= mask_length_ ? kMasked
                : is_boolean_     ? (mask[j * strides_[3]] != 0.0f ? 0.0f : kMasked)
                                  : mask[j * strides_[3]];
      const std::int64_t distance = i + offset - j;
      if ((is_causal_ && distance < 0) || (left_ >= 0 && distance > left_) || (right_ >= 0 && -distance > right_))
        value = kMasked;
      if (!valid_.empty() && j >= valid_[static_cast<std::size_t>(b)]) value = kMasked;
      bias[static_cast<std::size_t>(j)] = value;
      is_any = is_any || value != kMasked;
    }
    return is_any;
  }

 private:
  const AttentionPlan& plan_;
  bool is_causal_ = false, is_boolean_ = false, has_past_ = false;
  std::int64_t left_ = -1, right_ = -1, mask_length_ = 0;
  std::vector<std::int64_t> valid_, strides_;
  Tensor mask_;
};

void run_attention(RunContext& context) {
  const Node& node = context.node();
  const AttentionPlan plan = plan_attention(node, context.input(0).shape(), context.input(1).shape(), context.input(2).shape(),
                                            context.has_input(4) ? &context.input(4).shape() : nullptr);
  require(context.has_input(4) == context.has_input(5), node, "past_key and past_value go together");
  Allocator& allocator = context.allocator();
  Tensor q = heads_of(context, 0, plan, plan.q_heads, plan.q_length, plan.size, 0, 0);
  const Tensor k = heads_of(context, 1, plan, plan.kv_heads, plan.new_length, plan.size, 4, plan.past_length);
  const Tensor v = heads_of(context, 2, plan, plan.kv_heads, plan.new_length, plan.value_size, 5, plan.past_length);
  const float scale = node.attr_f("scale", 1.0f / std::sqrt(static_cast<float>(plan.size)));
  for (float& value : q.data<float>()) value = value * scale;

  const std::int64_t kv_length = plan.kv_length(), mode = node.attr_i("qk_matmul_output_mode", 0);
  require(mode >= 0 && mode <= 3, node, "qk_matmul_output_mode must be 0 to 3");
  const float softcap = node.attr_f("softcap", 0.0f);
  const Bias bias(context, plan);
  std::vector<float> bias_row(static_cast<std::size_t>(kv_length));
  Tensor scores = scratch_f32(plan.q_length * kv_length, allocator),
         products = scratch_f32(plan.q_length * plan.value_size, allocator);
  const bool wants_scores = context.wants_output(3);
  Tensor seen = wants_scores ? scratch_f32(plan.batch * plan.q_heads * plan.q_length * kv_length, allocator) : Tensor();
  F32Output y(context, 0);
  for (std::int64_t b = 0; b < plan.batch; ++b)
    for (std::int64_t head = 0; head < plan.q_heads; ++head) {
      const std::int64_t kv = b * plan.kv_heads + head / (plan.q_heads / plan.kv_heads);
      float* score = scores.data<float>().data();
      const RightOperand keys = right_operand(k.data<float>().data() + kv * kv_length * plan.size, 1, plan.size, plan.size,
                                              kv_length, plan.q_length, allocator);
      multiply(q.data<float>().data() + (b * plan.q_heads + head) * plan.q_length * plan.size, plan.size, 1, plan.q_length, keys,
               score);
      const auto show = [&](std::int64_t at, std::int64_t row) {
        if (wants_scores && mode == at)
          std::copy_n(score + row * kv_length, kv_length,
                      seen.data<float>().data() + ((b * plan.q_heads + head) * plan.q_length + row) * kv_length);
      };
      for (std::int64_t i = 0; i < plan.q_length; ++i) {
        float* row = score + i * kv_length;
        show(0, i);
        for (std::int64_t j = 0; j < kv_length && softcap > 0.0f; ++j) row[j] = softcap * tanh(row[j] / softcap);
        show(1, i);
        const bool is_any = bias.row(b, head, i, bias_row);
        for (std::int64_t j = 0; j < kv_length; ++j) row[j] = row[j] + bias_row[static_cast<std::size_t>(j)];
        show(2, i);
        if (is_any) {
          softmax_f32__simd128(
              {.n = static_cast<std::ptrdiff_t>(kv_length), .stride = 1, .columns = 1, .is_log = false, .x = row, .y = row});
        } else {
          std::fill_n(row, kv_length, 0.0f);
        }
        show(3, i);
      }
      const RightOperand values = right_operand(v.data<float>().data() + kv * kv_length * plan.value_size, plan.value_size, 1,
                                                kv_length, plan.value_size, plan.q_length, allocator);
      multiply(score, kv_length, 1, plan.q_length, values, products.data<float>().data());
      for (std::int64_t i = 0; i < plan.q_length; ++i) {
        const std::int64_t row =
            plan.is_flat ? (b * plan.q_length + i) * plan.q_heads + head : (b * plan.q_heads + head) * plan.q_length + i;
        std::copy_n(products.data<float>().data() + i * plan.value_size, plan.value_size, y.data() + row * plan.value_size);
      }
    }
  y.finish();
  const Tensor* const others[] = {&k, &v, &seen};
  for (std::size_t i = 1; i <= 3; ++i) {
    if (!context.wants_output(i)) continue;
    F32Output output(context, i);
    std::copy(others[i - 1]->data<float>().begin(), others[i - 1]->data<float>().end(), output.data());
    output.finish();
  }
}

void infer_rotary(InferContext& context) { context.set_output(0, context.dtype(0), context.input(0).shape); }

/// Pairs of features turn by the angle of their position: x1' = cos x1 - sin x2, x2' = sin x1 + cos x2.
void run_rotary(RunContext& context) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  const bool is_flat = x.rank() == 3;
  require_shape(is_flat || x.rank() == 4, node, "the input must have 3 or 4 axes");
  const std::int64_t heads = is_flat ? node.attr_i("num_heads", 0) : x.extent(1);
  require(heads >= 1 && (!is_flat || x.extent(2) % heads == 0), node, "the features do not divide into num_heads");
  const std::int64_t batch = x.extent(0), length = x.extent(is_flat ? 1 : 2), size = is_flat ? x.extent(2) / heads : x.extent(3);
  const std::int64_t said = node.attr_i("rotary_embedding_dim", 0), turned = said == 0 ? size : said, half = turned / 2;
  require(turned >= 0 && turned <= size && turned % 2 == 0, node, "rotary_embedding_dim does not fit the heads");
  const Tensor cosines = as_f32(context.input(1), context.allocator()), sines = as_f32(context.input(2), context.allocator());
  require_shape(cosines.rank() >= 1 && cosines.shape().back() == half && cosines.shape() == sines.shape(), node,
                "the caches do not fit half the turned features");
  const std::vector<std::int64_t> positions =
      context.has_input(3) ? to_i64_vector(context.input(3)) : std::vector<std::int64_t>{};
  const std::int64_t n_rows = half == 0 ? 0 : cosines.n_elements() / half;
  require_shape(context.has_input(3) ? static_cast<std::int64_t>(positions.size()) == batch * length : n_rows == batch * length,
                node, "there must be one position for each token");
  const bool is_interleaved = node.attr_i("interleaved", 0) != 0;
  F32Output y(context, 0);
  std::copy(x.data<float>().begin(), x.data<float>().end(), y.data());
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t s = 0; s < length; ++s) {
      const std::int64_t position = positions.empty() ? b * length + s : positions[static_cast<std::size_t>(b * length + s)];
      require_shape(position >= 0 && position < n_rows, node, "a position lies outside the caches");
      for (std::int64_t head = 0; head < heads; ++head) {
        const std::int64_t row = is_flat ? (b * length + s) * heads + head : (b * heads + head) * length + s;
        const float* from = x.data<float>().data() + row * size;
        float* to = y.data() + row * size;
        for (std::int64_t i = 0; i < half; ++i) {
          const std::int64_t first = is_interleaved ? 2 * i : i, second = is_interleaved ? 2 * i + 1 : half + i;
          const float c = cosines.data<float>()[static_cast<std::size_t>(position * half + i)];
          const float sine = sines.data<float>()[static_cast<std::size_t>(position * half + i)];
          to[first] = c * from[first] - sine * from[second];
          to[second] = sine * from[first] + c * from[second];
        }
      }
    }
  y.finish();
}

constexpr std::int64_t kAttentionSince[] = {23, 24, 25};
constexpr std::int64_t kRotarySince[] = {23};
constexpr Op kOps[] = {
    {"Attention", "", kAttentionSince, infer_attention, run_attention},
    {"RotaryEmbedding", "", kRotarySince, infer_rotary, run_rotary},
};

}  // namespace

extern const OpFamily attention_family;
const OpFamily attention_family{"attention", kOps};

}  // namespace bitwright
