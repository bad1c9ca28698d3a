// Where integer islands begin and end: Quantize, Dequantize, and Layout between codes as the graph has them and as islands do.
#include <algorithm>

#include "base/parallel_for.h"
#include "kernels/border_u8/border_u8.h"
#include "ops/fused.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

bool is_last(const Node& node) { return node.attr_i("channels_last", 0) != 0; }

/// Images, channels and pixels of a tensor in the graph's layout; one channel where the layout stays.
BorderU8 border_of(const Node& node, const Shape& first) {
  const CodeParams codes = code_params(node, 'x');
  BorderU8 border{.scale = codes.scale, .zero_point = codes.zero_point};
  if (is_last(node) && first.size() > 2) {
    border.images = static_cast<std::ptrdiff_t>(first[0]);
    border.channels = static_cast<std::ptrdiff_t>(first[1]);
    border.pixels = static_cast<std::ptrdiff_t>(n_elements(Shape(first.begin() + 2, first.end())));
    border.pixel_stride = border.channels;
  } else {
    border.channels = 1;
    border.pixels = static_cast<std::ptrdiff_t>(n_elements(first));
  }
  return border;
}

struct BorderCall {
  bool is_begin = false;  // of an island
  BorderU8 border;
  const void* x = nullptr;
  void* y = nullptr;

  void run() const {
    constexpr std::int64_t kGrain = 16384;  // elements: some microseconds
    // Whole tiles of 16 pixels.
    parallel_for(border.pixels, (kGrain / std::max<std::ptrdiff_t>(border.channels, 1) / 16 + 1) * 16,
                 [&](std::int64_t first, std::int64_t last) {
                   const auto from = static_cast<std::ptrdiff_t>(first), to = static_cast<std::ptrdiff_t>(last);
                   if (is_begin)
                     quantize_u8(border, static_cast<const float*>(x), static_cast<std::uint8_t*>(y), from, to);
                   else
                     dequantize_u8(border, static_cast<const std::uint8_t*>(x), static_cast<float*>(y), from, to);
                 });
  }
};

PreparedCall prepare_border(RunContext& context, const Shape& first, std::string kernel, bool is_begin) {
  auto call = std::make_shared<BorderCall>();
  call->is_begin = is_begin;
  call->border = border_of(context.node(), first);
  call->x = context.input(0).bytes().data();
  call->y = context.output(0).bytes().data();
  return prepared<BorderCall>(std::move(call), std::move(kernel));
}

void infer_quantize(InferContext& context) {
  require_type(context, 0, {DType::f32});
  const Shape& x = context.shape(0);
  context.set_output(0, DType::u8, is_last(context.node()) ? channels_last_shape(x) : x);
}
PreparedCall prepare_quantize(RunContext& context) {
  return prepare_border(context, context.input(0).shape(), "quantize_u8", true);
}

void infer_dequantize(InferContext& context) {
  require_type(context, 0);
  const Shape& x = context.shape(0);
  context.set_output(0, DType::f32, is_last(context.node()) ? channels_first_shape(x) : x);
}
PreparedCall prepare_dequantize(RunContext& context) {
  return prepare_border(context, context.output(0).shape(), "dequantize_u8", false);
}

// Layout: `to` says channels first or last (left out: as it was), `flip` turns s8 codes into u8 codes, `is_signed` the result's type.
void infer_layout(InferContext& context) {
  require_type(context, 0, {DType::u8, DType::i8});
  const Node& node = context.node();
  const std::string to = node.attr_s("to", "");
  const Shape& x = context.shape(0);
  context.set_output(0, node.attr_i("is_signed", 0) != 0 ? DType::i8 : DType::u8,
                     to == "last"    ? channels_last_shape(x)
                     : to == "first" ? channels_first_shape(x)
                                     : x);
}

struct LayoutCall {
  TransposeU8 transpose;
  void run() const { transpose_u8(transpose); }
};

PreparedCall prepare_layout(RunContext& context) {
  const Node& node = context.node();
  const Shape& x = context.input(0).shape();
  const std::string to = node.attr_s("to", "");
  auto call = std::make_shared<LayoutCall>();
  TransposeU8& t = call->transpose;
  t.x = context.input(0).bytes().data();
  t.y = context.output(0).bytes().data();
  t.flip = node.attr_i("flip", 0) != 0 ? 0x80 : 0;
  if (to.empty() || x.size() < 3) {
    t.rows = 1;
    t.columns = static_cast<std::ptrdiff_t>(n_elements(x));
  } else {
    t.images = static_cast<std::ptrdiff_t>(x[0]);
    const Shape inner(x.begin() + 1, x.end());
    t.rows = static_cast<std::ptrdiff_t>(to == "last" ? x[1] : n_elements(Shape(x.begin() + 1, x.end() - 1)));
    t.columns = t.rows == 0 ? 0 : static_cast<std::ptrdiff_t>(n_elements(inner)) / t.rows;
  }
  t.x_row_stride = t.columns;
  t.y_row_stride = t.rows;
  return prepared<LayoutCall>(std::move(call), "transpose_u8");
}

constexpr Op kOps[] = {
    {"Quantize", kInternalDomain, kFusedSince, infer_quantize, nullptr, prepare_quantize},
    {"Dequantize", kInternalDomain, kFusedSince, infer_dequantize, nullptr, prepare_dequantize},
    {"Layout", kInternalDomain, kFusedSince, infer_layout, nullptr, prepare_layout},
};

}  // namespace

extern const OpFamily fused_border_family;
const OpFamily fused_border_family{"fused_border", kOps};

}  // namespace bitwright
