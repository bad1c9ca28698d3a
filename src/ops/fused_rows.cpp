// Softmax over the last axis and LayerNorm on codes, and moves of whole pixels.
#include "base/parallel_for.h"
#include "kernels/lookup_u8/lookup_u8.h"
#include "kernels/normalize_u8/normalize_u8.h"
#include "ops/fused.h"
#include "ops/refusal.h"

namespace bitwright {

namespace {

template <typename Rows>
void over_rows(std::ptrdiff_t rows, std::ptrdiff_t n, Rows work) {
  constexpr std::ptrdiff_t kCodesPerTask = 1 << 13;
  parallel_for(
      rows, std::max<std::ptrdiff_t>(1, kCodesPerTask / std::max<std::ptrdiff_t>(n, 1)),
      [&](std::int64_t begin, std::int64_t end) { work(static_cast<std::ptrdiff_t>(begin), static_cast<std::ptrdiff_t>(end)); });
}

[[noreturn]] void refuse_scales(const Node& node) {
  refuse(node, "its scales cannot be said in integers; exclude it from the recipe", ErrorCode::unsupported);
}

void infer_same(InferContext& context) {
  require_type(context, 0);
  context.set_output(0, DType::u8, context.input(0).shape);
}

struct SoftmaxCall {
  SoftmaxU8 softmax;
  std::uint32_t table[256];
  void run() const {
    over_rows(softmax.rows, softmax.n, [this](std::ptrdiff_t first, std::ptrdiff_t last) { softmax_u8(softmax, first, last); });
  }
};

PreparedCall prepare_softmax(RunContext& context) {
  const Tensor& x = context.input(0);
  require_shape(x.rank() >= 1, context.node(), "the input has no axes");
  const CodeParams from = code_params(context.node(), 'x'), to = code_params(context.node(), 'y');
  auto call = std::make_shared<SoftmaxCall>();
  SoftmaxU8& softmax = call->softmax;
  softmax.n = static_cast<std::ptrdiff_t>(x.shape().back());
  softmax.rows = softmax.n == 0 ? 0 : static_cast<std::ptrdiff_t>(x.n_elements()) / softmax.n;
  softmax.x = x.bytes().data();
  softmax.y = context.output(0).bytes().data();
  softmax.zero_point = to.zero_point;
  if (!set_softmax_u8(softmax, from.scale, to.scale, call->table)) refuse_scales(context.node());
  softmax.table = call->table;
  return prepared<SoftmaxCall>(std::move(call), "softmax_u8");
}

// Inputs: x, gamma (f32), beta (f32, optional).
struct LayerNormCall {
  LayerNormU8 norm;
  std::vector<std::int32_t> gamma;
  std::vector<std::int64_t> beta;
  void run() const {
    over_rows(norm.rows, norm.n, [this](std::ptrdiff_t first, std::ptrdiff_t last) { layer_norm_u8(norm, first, last); });
  }
};

PreparedCall prepare_layer_norm(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  const CodeParams from = code_params(node, 'x'), to = code_params(node, 'y');
  const auto n = static_cast<std::size_t>(context.input(1).n_elements());
  require_shape(x.rank() >= 1 && x.shape().back() == static_cast<std::int64_t>(n), node, "the scale does not fit the last axis");
  std::vector<float> beta(n, 0.0f);
  if (context.has_input(2)) beta = to_f32_vector(context.input(2));
  require_shape(beta.size() == n, node, "the bias does not fit the last axis");
  auto call = std::make_shared<LayerNormCall>();
  call->gamma.resize(n);
  call->beta.resize(n);
  LayerNormU8& norm = call->norm;
  norm.n = static_cast<std::ptrdiff_t>(n);
  norm.rows = n == 0 ? 0 : static_cast<std::ptrdiff_t>(x.n_elements()) / norm.n;
  norm.x = x.bytes().data();
  norm.y = context.output(0).bytes().data();
  norm.zero_point = to.zero_point;
  if (!set_layer_norm_u8(norm, from.scale, to.scale, node.attr_f("epsilon", 1e-5f), to_f32_vector(context.input(1)), beta,
                         call->gamma, call->beta))
    refuse_scales(node);
  norm.gamma = call->gamma.data();
  norm.beta = call->beta.data();
  return prepared<LayerNormCall>(std::move(call), "layer_norm_u8");
}

// Pixels: x [n, spatial..., c], index (i32, of the output's spatial extents; -1: `fill`).
void infer_pixels(InferContext& context) {
  require_type(context, 0);
  require_type(context, 1, {DType::i32});
  const Shape &x = context.shape(0), &index = context.shape(1);
  require_shape(x.size() == index.size() + 2, context.node(), "the index does not fit the input");
  Shape output{x[0]};
  output.insert(output.end(), index.begin(), index.end());
  output.push_back(x.back());
  context.set_output(0, DType::u8, output);
}

struct PixelsCall {
  std::vector<GatherU8> images;
  void run() const {
    for (const GatherU8& image : images)
      over_rows(image.n, image.bytes, [&](std::ptrdiff_t first, std::ptrdiff_t last) { gather_u8(image, first, last); });
  }
};

PreparedCall prepare_pixels(RunContext& context) {
  const Tensor &x = context.input(0), &index = context.input(1);
  Tensor& y = context.output(0);
  const auto channels = static_cast<std::ptrdiff_t>(x.shape().back());
  const std::int64_t images = x.extent(0);
  const std::ptrdiff_t n = static_cast<std::ptrdiff_t>(index.n_elements());
  const std::ptrdiff_t own = images * channels == 0 ? 0 : static_cast<std::ptrdiff_t>(x.n_elements() / images) / channels;
  for (const std::int32_t from : index.data<std::int32_t>())
    require_shape(from < own, context.node(), "the index does not fit the input");
  auto call = std::make_shared<PixelsCall>();
  for (std::ptrdiff_t image = 0; image < static_cast<std::ptrdiff_t>(images); ++image)
    call->images.push_back({.n = n,
                            .bytes = channels,
                            .x = x.bytes().data() + image * own * channels,
                            .x_stride = channels,
                            .index = index.data<std::int32_t>().data(),
                            .fill = static_cast<std::uint8_t>(context.node().attr_i("fill", 0)),
                            .y = y.bytes().data() + image * n * channels,
                            .y_stride = channels});
  return prepared<PixelsCall>(std::move(call), "gather_u8");
}

constexpr Op kOps[] = {
    {"Softmax", kInternalDomain, kFusedSince, infer_same, nullptr, prepare_softmax},
    {"LayerNormalization", kInternalDomain, kFusedSince, infer_same, nullptr, prepare_layer_norm},
    {"Pixels", kInternalDomain, kFusedSince, infer_pixels, nullptr, prepare_pixels},
};

}  // namespace

extern const OpFamily fused_rows_family;
const OpFamily fused_rows_family{"fused_rows", kOps};

}  // namespace bitwright
