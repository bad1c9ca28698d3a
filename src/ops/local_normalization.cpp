// LRN, LpNormalization, MeanVarianceNormalization.
#include <algorithm>
#include <cmath>

#include "base/math.h"
#include "base/parallel_for.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

void infer_like_input(InferContext& context) { context.set_output(0, context.dtype(0), context.input(0).shape); }

/// x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta
void run_lrn(RunContext& context) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  require_shape(x.rank() >= 2, node, "the input has no channels");
  const std::int64_t size = node.attr_i("size", 0);
  require(size >= 1, node, "size must be at least 1");
  const float alpha = node.attr_f("alpha", 1e-4f), beta = node.attr_f("beta", 0.75f), bias = node.attr_f("bias", 1.0f);
  const std::int64_t channels = x.extent(1), n_planes = x.extent(0) * channels,
                     plane = n_planes == 0 ? 0 : x.n_elements() / n_planes;
  F32Output y(context, 0);
  parallel_for(n_planes, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t channel = p % channels;
      const std::int64_t first = std::max<std::int64_t>(0, channel - (size - 1) / 2),
                         last = std::min(channels - 1, channel + size / 2);
      const float* from = x.data<float>().data() + (p - channel) * plane;
      float* to = y.data() + p * plane;
      std::fill(to, to + plane, 0.0f);
      for (std::int64_t c = first; c <= last; ++c)
        for (std::int64_t i = 0; i < plane; ++i) to[i] += from[c * plane + i] * from[c * plane + i];
      for (std::int64_t i = 0; i < plane; ++i) {
        const float base = bias + alpha / static_cast<float>(size) * to[i];
        const float root = std::sqrt(base);
        to[i] = from[channel * plane + i] / (beta == 0.75f ? root * std::sqrt(root) : pow(base, beta));
      }
    }
  });
  y.finish();
}

void run_lp(RunContext& context) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  const std::int64_t p = node.attr_i("p", 2);
  require(p == 1 || p == 2, node, "p must be 1 or 2");
  const auto axis = static_cast<std::size_t>(normalized_axis(node.attr_i("axis", -1), x.rank()));
  std::int64_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (i != axis) (i < axis ? outer : inner) *= x.extent(i);
  }
  const std::int64_t n = x.extent(axis);
  F32Output y(context, 0);
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < inner; ++i) {
      const float* from = x.data<float>().data() + o * n * inner + i;
      float* to = y.data() + o * n * inner + i;
      float sum = 0.0f;
      for (std::int64_t k = 0; k < n; ++k) sum += p == 1 ? std::fabs(from[k * inner]) : from[k * inner] * from[k * inner];
      const float norm = p == 1 ? sum : std::sqrt(sum);
      for (std::int64_t k = 0; k < n; ++k) to[k * inner] = norm == 0.0f ? 0.0f : from[k * inner] / norm;
    }
  y.finish();
}

/// (x - mean) / (sqrt(variance) + 1e-9) over the axes
void run_mvn(RunContext& context) {
  const Node& node = context.node();
  const Tensor x = as_f32(context.input(0), context.allocator());
  std::vector<std::int64_t> axes = node.attr_ints("axes");
  if (!node.has("axes")) axes = {0, 2, 3};
  Shape kept = x.shape();
  for (const std::int64_t axis : axes) kept[static_cast<std::size_t>(normalized_axis(axis, x.rank()))] = 1;
  const std::vector<std::int64_t> strides[] = {broadcast_strides(kept, x.shape()), row_major_strides(x.shape())};
  const auto n_kept = static_cast<std::size_t>(n_elements(kept));
  const auto per_group = static_cast<double>(x.n_elements()) / static_cast<double>(std::max<std::size_t>(n_kept, 1));
  std::vector<double> sums(n_kept), squares(n_kept);
  F32Output y(context, 0);
  const auto each = [&](auto&& apply) {
    for (StridedWalk walk(x.shape(), strides); walk.has_run(); walk.advance())
      for (std::int64_t i = 0; i < walk.n_in_run(); ++i)
        apply(static_cast<std::size_t>(walk.offset(0) + i * walk.run_stride(0)),
              static_cast<std::size_t>(walk.offset(1) + i * walk.run_stride(1)));
  };
  const std::span<const float> from = x.data<float>();
  each([&](std::size_t group, std::size_t i) { sums[group] += static_cast<double>(from[i]); });
  for (double& sum : sums) sum /= per_group;
  each([&](std::size_t group, std::size_t i) {
    const double distance = static_cast<double>(from[i]) - sums[group];
    squares[group] += distance * distance;
  });
  each([&](std::size_t group, std::size_t i) {
    y.span()[i] =
        static_cast<float>((static_cast<double>(from[i]) - sums[group]) / (std::sqrt(squares[group] / per_group) + 1e-9));
  });
  y.finish();
}

constexpr std::int64_t kLrnSince[] = {1, 13};
constexpr std::int64_t kLpSince[] = {1, 22};
constexpr std::int64_t kMvnSince[] = {9, 13};
constexpr Op kOps[] = {
    {"LRN", "", kLrnSince, infer_like_input, run_lrn},
    {"LpNormalization", "", kLpSince, infer_like_input, run_lp},
    {"MeanVarianceNormalization", "", kMvnSince, infer_like_input, run_mvn},
};

}  // namespace

extern const OpFamily local_normalization_family;
const OpFamily local_normalization_family{"local_normalization", kOps};

}  // namespace bitwright
