// MatMul, Gemm and Conv of numbers from {-1, 0, 1}: what passes/fuse_float puts where Sign feeds one of them.
#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "kernels/gemm_ternary/gemm_ternary.h"
#include "ops/conv_plan.h"

namespace bitwright {

namespace {

const Op& float_op(const Node& node) { return *find_op("", node.op_type.substr(std::string_view("Ternary").size())); }

bool is_conv(const Node& node) { return node.op_type == "TernaryConv"; }

/// A product as a convolution: that of matrices has one tap, its rows are the pixels.
struct Product {
  ConvGeometry geometry;
  std::ptrdiff_t images = 1, groups = 1, channels = 0, columns = 0;  // channels and columns of a group
  std::ptrdiff_t pixel_stride = 1, channel_stride = 1;               // of the input
  std::ptrdiff_t w_column_stride = 1, w_element_stride = 1;          // elements of a column: channel by channel, tap by tap
  std::ptrdiff_t y_pixel_stride = 1, y_column_stride = 1;

  std::ptrdiff_t pairs() const { return (channels + 31) / 32; }
  TernaryLayout layout() const { return {columns, geometry.n_taps() * pairs() * 32}; }
};

Product product_of(RunContext& context) {
  const Node& node = context.node();
  const Shape &x = context.input(0).shape(), &w = context.input(1).shape();
  const auto extent = [](std::int64_t n) { return static_cast<std::ptrdiff_t>(n); };
  Product p;
  if (is_conv(node)) {
    const ConvPlan plan = plan_conv(node, x, w);
    p.geometry = geometry_of(node, plan.window, x, plan.output);
    p.images = extent(plan.n);
    p.groups = extent(plan.group);
    p.channels = extent(plan.channels / plan.group);
    p.columns = extent(plan.out_channels / plan.group);
    p.channel_stride = p.geometry.n_inputs();
    p.w_column_stride = p.channels * p.geometry.n_taps();
    p.y_column_stride = p.geometry.n_outputs();
    return p;
  }
  const bool is_transposed = node.attr_i("transB", 0) != 0;
  p.channels = extent(w[is_transposed ? 1 : 0]);
  p.columns = extent(w[is_transposed ? 0 : 1]);
  p.geometry.input[2] = p.geometry.output[2] = extent(context.input(0).n_elements() / p.channels);
  p.pixel_stride = p.channels;
  p.w_column_stride = is_transposed ? p.channels : 1;
  p.w_element_stride = is_transposed ? 1 : p.columns;
  p.y_pixel_stride = p.columns;
  return p;
}

/// Words of taps side by side, null for one in the padding; how many codes are not 0.
template <typename WordsOfTap>
std::int32_t make_row(const Product& p, const WordsOfTap& words_of_tap, std::uint32_t* row) {
  std::int32_t count = 0;
  std::ptrdiff_t at = 0;
  std::fill_n(row, p.layout().row_words(), 0u);
  for (std::ptrdiff_t tap = 0; tap < p.geometry.n_taps(); ++tap) {
    const std::uint32_t* words = words_of_tap(tap);
    for (std::ptrdiff_t pair = 0; pair < p.pairs(); ++pair, ++at) {
      if (words == nullptr) continue;
      row[at / 4 * 8 + at % 4] = words[2 * pair];
      row[at / 4 * 8 + 4 + at % 4] = words[2 * pair + 1];
      count += std::popcount(words[2 * pair]);
    }
  }
  return count;
}

struct TernaryWeights : OpState {
  bool is_ternary = false;            // each column holds -scale, 0 and scale alone
  TernaryLayout layout;               // of a group
  std::vector<std::uint32_t> packed;  // columns of all groups
  std::vector<float> scales;
  std::unique_ptr<OpState> float_state;  // of the float operator, where it runs
};

std::unique_ptr<TernaryWeights> packed_weights(const Product& p, const float* w) {
  auto weights = std::make_unique<TernaryWeights>();
  const std::ptrdiff_t taps = p.geometry.n_taps(), columns = p.groups * p.columns, words_of_row = p.layout().row_words();
  std::vector<std::uint32_t> rows(static_cast<std::size_t>(columns * words_of_row)),
      words(static_cast<std::size_t>(taps * p.pairs() * 2));
  std::ptrdiff_t n_nonzero = 0;
  for (std::ptrdiff_t j = 0; j < columns; ++j, w += p.w_column_stride) {
    float scale = 0.0f;
    for (std::ptrdiff_t i = 0; i < taps * p.channels; ++i) {
      const float size = std::fabs(w[i * p.w_element_stride]);
      if (scale == 0.0f) scale = size;
      if (size != 0.0f && size != scale) return weights;  // NaN too
    }
    weights->scales.push_back(scale);
    pack_signs(w, taps, 1, p.channels, taps * p.w_element_stride, words.data());
    n_nonzero += make_row(
        p, [&](std::ptrdiff_t tap) { return words.data() + tap * p.pairs() * 2; }, rows.data() + j * words_of_row);
  }
  weights->is_ternary = true;
  weights->layout = p.layout();
  weights->layout.is_binary = n_nonzero == columns * taps * p.channels;
  const std::ptrdiff_t words_of_column = weights->layout.weight_words();
  weights->packed.resize(static_cast<std::size_t>(columns * words_of_column));
  for (std::ptrdiff_t j = 0; j < columns; ++j)
    pack_column(weights->layout, rows.data() + j * words_of_row, weights->packed.data() + j * words_of_column);
  return weights;
}

void multiply(const Product& p, const TernaryWeights& weights, const float* x, const float* bias, float* y,
              Allocator& allocator) {
  const TernaryLayout& layout = weights.layout;
  const std::ptrdiff_t inputs = p.geometry.n_inputs(), outputs = p.geometry.n_outputs(), pair_words = p.pairs() * 2;
  Tensor words_tensor(DType::i32, {inputs * pair_words}, allocator),
      rows_tensor(DType::i32, {outputs * layout.row_words()}, allocator), counts_tensor(DType::i32, {outputs}, allocator);
  auto* const words = reinterpret_cast<std::uint32_t*>(words_tensor.bytes().data());
  auto* const rows = reinterpret_cast<std::uint32_t*>(rows_tensor.bytes().data());
  std::int32_t* const counts = counts_tensor.data<std::int32_t>().data();
  for (std::ptrdiff_t image = 0; image < p.images; ++image) {
    for (std::ptrdiff_t group = 0; group < p.groups; ++group) {
      pack_signs(x, inputs, p.pixel_stride, p.channels, p.channel_stride, words);
      for (std::ptrdiff_t i = 0; i < outputs; ++i) {
        const auto words_of_tap = [&](std::ptrdiff_t tap) -> const std::uint32_t* {
          const std::ptrdiff_t at = p.geometry.input_of(i, tap);
          return at == ConvGeometry::kPadding ? nullptr : words + at * pair_words;
        };
        counts[i] = make_row(p, words_of_tap, rows + i * layout.row_words());
      }
      const std::ptrdiff_t first = group * p.columns;
      gemm_ternary_parallel({.layout = layout,
                             .m = outputs,
                             .a = rows,
                             .a_counts = counts,
                             .weights = weights.packed.data() + first * layout.weight_words(),
                             .scales = weights.scales.data() + first,
                             .bias = bias != nullptr ? bias + first : nullptr,
                             .y = y,
                             .y_row_stride = p.y_pixel_stride,
                             .y_column_stride = p.y_column_stride});
      x += p.channels * inputs;
      y += p.columns * outputs;
    }
  }
}

void infer_ternary(InferContext& context) { float_op(context.node()).infer(context); }

/// The float operator has the state of the node while it runs.
void run_float(RunContext& context, std::unique_ptr<OpState>& float_state) {
  struct Exchange {
    std::unique_ptr<OpState>&a, &b;
    Exchange(std::unique_ptr<OpState>& first, std::unique_ptr<OpState>& second) : a(first), b(second) { std::swap(a, b); }
    ~Exchange() { std::swap(a, b); }
  };
  const Exchange exchange(context.state(), float_state);
  float_op(context.node()).run(context);
}

/// True for -1, 0 and 1: what comes from NaN is another number.
bool is_code(float v) { return v == 0.0f || std::fabs(v) == 1.0f; }

/// By the float operator where the weights are others, or a value is.
void run_ternary(RunContext& context) {
  const Tensor &x = context.input(0), &w = context.input(1);
  const bool has_columns =
      context.is_constant(1) && w.dtype() == DType::f32 && w.n_elements() > 0 && (w.rank() == 2 || is_conv(context.node()));
  const Product product = has_columns ? product_of(context) : Product{};
  if (context.state() == nullptr)
    context.state() = has_columns ? packed_weights(product, w.data<float>().data()) : std::make_unique<TernaryWeights>();
  auto& weights = static_cast<TernaryWeights&>(*context.state());
  const bool is_float = x.dtype() == DType::f32 && (!context.has_input(2) || context.input(2).dtype() == DType::f32);
  const std::span<const float> values = is_float ? x.data<float>() : std::span<const float>{};
  if (!weights.is_ternary || !is_float || !std::all_of(values.begin(), values.end(), is_code))
    return run_float(context, weights.float_state);
  const float* bias = context.has_input(2) ? context.input(2).data<float>().data() : nullptr;
  multiply(product, weights, values.data(), bias, context.output(0).data<float>().data(), context.allocator());
}

constexpr std::int64_t kSince[] = {1};
constexpr Op kOps[] = {{"TernaryMatMul", kInternalDomain, kSince, infer_ternary, run_ternary},
                       {"TernaryGemm", kInternalDomain, kSince, infer_ternary, run_ternary},
                       {"TernaryConv", kInternalDomain, kSince, infer_ternary, run_ternary}};

}  // namespace

extern const OpFamily ternary_product_family;
const OpFamily ternary_product_family{"ternary_product", kOps};

}  // namespace bitwright
