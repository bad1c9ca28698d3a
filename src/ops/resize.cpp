// Resize and Upsample.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/parallel_for.h"
#include "kernels/resample_f32/resample_f32.h"
#include "ops/float_operands.h"
#include "ops/refusal.h"
#include "ops/resize_taps.h"
#include "tensor/elements.h"
#include "tensor/strides.h"

namespace bitwright {

namespace {

/// What decides the output's shape: inputs that may not be known yet.
struct ResizeRequest {
  std::vector<std::int64_t> axes;  // of the entries below
  std::vector<float> scales;
  std::vector<std::int64_t> sizes;
  std::vector<float> roi;  // begins, then ends
};

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  read_elements(tensor, 0, std::span<float>(values));
  return values;
}

/// value(i) is the tensor of input i, or nullptr where it is left out; throws NotKnownYet where it is not known.
template <typename Value>
ResizeRequest read_request(const Node& node, std::int64_t opset, std::size_t rank, Value value) {
  ResizeRequest request;
  const bool is_upsample = node.op_type == "Upsample";
  const std::size_t scales_at = opset < 11 ? 1 : 2;
  if (is_upsample && opset < 9) {
    request.scales = node.attr_floats("scales");
  } else if (const Tensor* scales = value(scales_at)) {
    request.scales = floats_of(*scales);
  }
  if (opset >= 11 && !is_upsample) {
    if (const Tensor* roi = value(1)) request.roi = floats_of(*roi);
    if (request.scales.empty())
      if (const Tensor* sizes = value(3)) request.sizes = to_i64_vector(*sizes);
  }
  request.axes = node.attr_ints("axes");
  if (request.axes.empty()) {
    for (std::size_t axis = 0; axis < rank; ++axis) request.axes.push_back(static_cast<std::int64_t>(axis));
  }
  for (std::int64_t& axis : request.axes) axis = normalized_axis(axis, rank);
  const std::size_t n = request.axes.size();
  require(request.scales.size() == n || (request.scales.empty() && request.sizes.size() == n), node,
          "there must be one scale or one size for each axis");
  if (request.roi.size() != 2 * n) request.roi.clear();
  for (const float scale : request.scales)
    if (!(scale > 0.0f) || !std::isfinite(scale)) refuse(node, "a scale is not positive");
  for (const std::int64_t size : request.sizes) require(size >= 0, node, "a size is negative");
  return request;
}

/// One entry for each axis of x. Extents may be unknown.
std::vector<ResizeAxis> plan_resize(const Node& node, const Shape& x, const ResizeRequest& request) {
  std::vector<ResizeAxis> plan;
  for (const std::int64_t extent : x) plan.push_back({extent, extent});
  const std::string policy = node.attr_s("keep_aspect_ratio_policy", "stretch");
  float common = 0.0f;
  for (std::size_t i = 0; i < request.sizes.size() && policy != "stretch"; ++i) {
    const std::int64_t extent = x[static_cast<std::size_t>(request.axes[i])];
    if (extent < 0) throw NotKnownYet{};
    const float scale = static_cast<float>(request.sizes[i]) / static_cast<float>(extent);
    require(policy == "not_larger" || policy == "not_smaller", node, "keep_aspect_ratio_policy is unknown");
    common = i == 0 ? scale : policy == "not_larger" ? std::min(common, scale) : std::max(common, scale);
  }
  for (std::size_t i = 0; i < request.axes.size(); ++i) {
    ResizeAxis& axis = plan[static_cast<std::size_t>(request.axes[i])];
    if (!request.roi.empty()) {
      axis.roi_begin = request.roi[i];
      axis.roi_end = request.roi[i + request.axes.size()];
    }
    if (axis.original < 0) {
      axis.resized = request.sizes.empty() ? kUnknownDim : request.sizes[i];
      if (!request.scales.empty()) axis.scale = request.scales[i];
      continue;
    }
    const auto original = static_cast<float>(axis.original);
    float extent = 0.0f;
    if (!request.scales.empty()) {
      axis.scale = request.scales[i];
      extent = std::floor(axis.scale * original);
    } else if (policy == "stretch") {
      axis.resized = request.sizes[i];
      axis.scale = static_cast<float>(axis.resized) / original;
      continue;
    } else {
      axis.scale = common;
      extent = std::floor(common * original + 0.5f);
    }
    if (!(extent < static_cast<float>(kMaxElements)))
      refuse(node, {"an output axis passes ", kMaxElements, " elements"}, ErrorCode::limit_exceeded);
    axis.resized = static_cast<std::int64_t>(extent);
  }
  for (const ResizeAxis& axis : plan)
    require_shape(axis.original != 0 || axis.resized == 0, node, "an empty axis cannot be resized");
  return plan;
}

void infer_resize(InferContext& context) {
  const Shape& x = context.shape(0);
  const ResizeRequest request = read_request(context.node(), context.opset(), x.size(), [&](std::size_t i) -> const Tensor* {
    if (!context.has_input(i)) return nullptr;
    const Tensor* known = context.value(i);
    // The region of interest does not decide the shape.
    if (known == nullptr && !(i == 1 && context.opset() >= 11)) throw NotKnownYet{};
    return known;
  });
  Shape output;
  for (const ResizeAxis& axis : plan_resize(context.node(), x, request)) output.push_back(axis.resized);
  context.set_output(0, context.dtype(0), output);
}

bool is_identity(const ResizeModes& modes, const ResizeAxis& axis) {
  return axis.original == axis.resized && axis.scale == 1.0f &&
         (modes.coordinates != ResizeModes::Coordinates::tf_crop_and_resize ||
          (axis.roi_begin == 0.0f && axis.roi_end == 1.0f)) &&
         modes.coordinates != ResizeModes::Coordinates::tf_half_pixel_for_nn;
}

/// Nearest neighbours of any element type: the last axis is gathered, the others select rows.
void gather_nearest(const Tensor& x, const std::vector<ResizeTaps>& taps, Tensor& y) {
  const std::size_t bytes = element_bytes(x.dtype()), rank = x.rank();
  const std::int64_t width = rank == 0 ? 1 : y.extent(rank - 1);
  const std::vector<std::int64_t> strides = row_major_strides(x.shape());
  const std::uint8_t* from = x.bytes().data();
  std::uint8_t* to = y.bytes().data();
  parallel_for(y.n_elements() / width, std::max<std::int64_t>(1, 4096 / width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::int64_t rest = row, offset = 0;
      for (std::size_t axis = rank - 1; axis-- > 0;) {
        offset += std::int64_t{taps[axis].places[static_cast<std::size_t>(rest % y.extent(axis))]} * strides[axis];
        rest /= y.extent(axis);
      }
      const std::ptrdiff_t* places = taps[rank - 1].places.data();
      for (std::int64_t i = 0; i < width; ++i)
        std::memcpy(to + static_cast<std::size_t>(row * width + i) * bytes,
                    from + static_cast<std::size_t>(offset + places[i]) * bytes, bytes);
    }
  });
}

/// The first of two neighbouring axes that linear interpolation takes at once, as ONNX Runtime does: the last two, or those before
/// the channels where these come last. The rank where other axes change too, or none does.
std::size_t plane_axis(const ResizeModes& modes, const std::vector<ResizeAxis>& plan) {
  const std::size_t rank = plan.size();
  if (modes.interpolation != ResizeModes::Interpolation::linear || modes.is_antialiased || rank < 2) return rank;
  const auto changes = [&](const ResizeAxis& axis) { return !is_identity(modes, axis); };
  const auto first = static_cast<std::size_t>(std::find_if(plan.begin(), plan.end(), changes) - plan.begin());
  if (first + 2 >= rank) return first == rank ? rank : rank - 2;
  return first + 3 == rank && !changes(plan.back()) ? first : rank;
}

/// A plane [rows, columns, inner] after the other.
void interpolate_planes(RunContext& context, const std::vector<ResizeAxis>& plan, const std::vector<ResizeTaps>& taps,
                        std::size_t first) {
  const ResizeAxis& rows = plan[first];
  const ResizeAxis& columns = plan[first + 1];
  const Tensor values = as_f32(context.input(0), context.allocator());
  std::int64_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < plan.size(); ++i)
    if (i != first && i != first + 1) (i < first ? outer : inner) *= plan[i].original;
  F32Output output(context, 0);
  const float* x = values.data<float>().data();
  parallel_for(outer * rows.resized, std::max<std::int64_t>(1, 4096 / (columns.resized * inner)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const auto at = static_cast<std::size_t>(2 * (i % rows.resized));
                   const float* plane = x + i / rows.resized * rows.original * columns.original * inner;
                   const std::ptrdiff_t* places = taps[first].places.data() + at;
                   const auto width = static_cast<std::ptrdiff_t>(columns.original * inner);
                   bilinear_row_f32({.output = static_cast<std::ptrdiff_t>(columns.resized),
                                     .inner = static_cast<std::ptrdiff_t>(inner),
                                     .places = taps[first + 1].places.data(),
                                     .weights = taps[first + 1].weights.data(),
                                     .x = {plane + places[0] * width, plane + places[1] * width},
                                     .row_weights = taps[first].weights.data() + at,
                                     .y = output.data() + i * columns.resized * inner});
                 }
               });
  output.finish();
}

/// Axis by axis, in order of the axes.
void interpolate(RunContext& context, const std::vector<ResizeAxis>& plan, const std::vector<ResizeTaps>& taps,
                 const ResizeModes& modes) {
  Tensor values = as_f32(context.input(0), context.allocator());
  for (std::size_t axis = 0; axis < plan.size(); ++axis) {
    if (is_identity(modes, plan[axis])) continue;
    Shape shape = values.shape();
    std::int64_t outer = 1, inner = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (i != axis) (i < axis ? outer : inner) *= shape[i];
    }
    shape[axis] = plan[axis].resized;
    Tensor next(DType::f32, shape, context.allocator());
    const float* x = values.data<float>().data();
    float* y = next.data<float>().data();
    parallel_for(outer, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o)
        resample_f32({.input = static_cast<std::ptrdiff_t>(plan[axis].original),
                      .output = static_cast<std::ptrdiff_t>(plan[axis].resized),
                      .inner = static_cast<std::ptrdiff_t>(inner),
                      .n_taps = taps[axis].n_taps,
                      .places = taps[axis].places.data(),
                      .weights = taps[axis].weights.data(),
                      .x = x + o * plan[axis].original * inner,
                      .y = y + o * plan[axis].resized * inner});
    });
    if (taps[axis].has_outside) {
      const float extrapolated = context.node().attr_f("extrapolation_value", 0.0f);
      for (std::int64_t row = 0; row < outer * plan[axis].resized; ++row)
        if (taps[axis].is_outside[static_cast<std::size_t>(row % plan[axis].resized)])
          std::fill_n(y + row * inner, inner, extrapolated);
    }
    values = next;
  }
  F32Output output(context, 0);
  std::copy(values.data<float>().begin(), values.data<float>().end(), output.data());
  output.finish();
}

void run_resize(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  const ResizeRequest request = read_request(node, context.opset(), x.rank(),
                                             [&](std::size_t i) { return context.has_input(i) ? &context.input(i) : nullptr; });
  const std::vector<ResizeAxis> plan = plan_resize(node, x.shape(), request);
  const ResizeModes modes =
      read_resize_modes(node, node.op_type == "Upsample" ? std::min<std::int64_t>(context.opset(), 10) : context.opset());
  const bool is_nearest = modes.interpolation == ResizeModes::Interpolation::nearest;
  // Outputs of no elements need no weights, however long their other axes are.
  if (std::any_of(plan.begin(), plan.end(), [](const ResizeAxis& axis) { return axis.resized == 0; })) return;
  const std::size_t plane = plane_axis(modes, plan);
  std::vector<ResizeTaps> taps;
  bool has_outside = false;
  for (const ResizeAxis& axis : plan) {
    // Other axes that stay are not looked at by interpolation, and gathered as they are by nearest.
    const bool is_looked_at = is_nearest || taps.size() == plane || taps.size() == plane + 1 || !is_identity(modes, axis);
    taps.push_back(is_looked_at ? resize_taps(modes, axis) : ResizeTaps{});
    has_outside = has_outside || taps.back().has_outside;
  }
  if (is_nearest && !has_outside && x.rank() > 0) return gather_nearest(x, taps, context.output(0));
  if (plane < plan.size() && !has_outside && taps[plane].n_taps == 2) return interpolate_planes(context, plan, taps, plane);
  interpolate(context, plan, taps, modes);
}

constexpr std::int64_t kResizeSince[] = {10, 11, 13, 18, 19};
constexpr std::int64_t kUpsampleSince[] = {1, 7, 9, 10};
constexpr Op kOps[] = {
    {"Resize", "", kResizeSince, infer_resize, run_resize},
    {"Upsample", "", kUpsampleSince, infer_resize, run_resize},
};

}  // namespace

extern const OpFamily resize_family;
const OpFamily resize_family{"resize", kOps};

}  // namespace bitwright
