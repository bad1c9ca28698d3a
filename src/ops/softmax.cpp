// Softmax and LogSoftmax.
#include <algorithm>

#include "base/parallel_for.h"
#include "kernels/softmax_f32/softmax_f32.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

/// The tensor as [outer, n, inner]. Before opset 13 every axis from `axis` on is normalized as one.
struct SoftmaxLayout {
  std::int64_t outer = 1, n = 1, inner = 1;
};

/// Before opset 13 the axis may also stand behind the last one.
std::int64_t axis_of(const Node& node, std::int64_t opset, std::size_t rank) {
  const std::int64_t axis = node.attr_i("axis", opset < 13 ? 1 : -1);
  return normalized_axis(axis, rank, opset < 13 && axis >= 0);
}

SoftmaxLayout layout_of(const Node& node, std::int64_t opset, const Shape& shape) {
  const bool is_flat = opset < 13;
  const std::int64_t axis = axis_of(node, opset, shape.size());
  SoftmaxLayout layout;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    (at < axis ? layout.outer : (is_flat || at == axis ? layout.n : layout.inner)) *= shape[i];
  }
  return layout;
}

void infer_softmax(InferContext& context) {
  if (context.has_shape(0) && !context.shape(0).empty()) axis_of(context.node(), context.opset(), context.shape(0).size());
  context.set_output(0, context.dtype(0), context.input(0).shape);
}

template <bool kIsLog>
void run_softmax(RunContext& context) {
  const Tensor x = as_f32(context.input(0), context.allocator());
  F32Output y(context, 0);
  const SoftmaxLayout l = x.rank() == 0 ? SoftmaxLayout{} : layout_of(context.node(), context.opset(), x.shape());
  const float* from = x.data<float>().data();
  float* to = y.data();
  parallel_for(l.outer, std::max<std::int64_t>(1, 4096 / (l.n * l.inner)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i * l.n * l.inner;
      softmax_f32__simd128({.n = static_cast<std::ptrdiff_t>(l.n),
                            .stride = static_cast<std::ptrdiff_t>(l.inner),
                            .columns = static_cast<std::ptrdiff_t>(l.inner),
                            .is_log = kIsLog,
                            .x = from + first,
                            .y = to + first});
    }
  });
  y.finish();
}

constexpr std::int64_t kSince[] = {1, 11, 13};
constexpr Op kOps[] = {
    {"Softmax", "", kSince, infer_softmax, run_softmax<false>},
    {"LogSoftmax", "", kSince, infer_softmax, run_softmax<true>},
};

}  // namespace

extern const OpFamily softmax_family;
const OpFamily softmax_family{"softmax", kOps};

}  // namespace bitwright
