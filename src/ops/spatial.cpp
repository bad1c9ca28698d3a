#include <algorithm>
#include <cmath>

#include "ops/limits.h"
#include "ops/shapes.h"

// Operators on images of any number of axes [n, c, d0, d1 ...]: GridSample, AffineGrid, MaxUnpool, Col2Im; and Det.
namespace bitwright {

namespace {

enum class Border { zeros, clamp, reflect };
enum class Sampling { nearest, linear, cubic };

double reflected(double x, double low, double high) {
  const double range = high - low;
  if (range <= 0.0) return low;
  if (x >= low && x <= high) return x;
  const double beyond = x < low ? low - x : x - high;
  const double turns = std::floor(beyond / range);
  const double rest = beyond - turns * range;
  const bool is_even = std::fmod(turns, 2.0) == 0.0;
  return (x < low) == is_even ? low + rest : high - rest;
}

/// Along one axis: which elements are read (-1: zero) with which weights.
struct Taps {
  int n = 0;
  std::int64_t places[4];
  double weights[4];
};

Taps taps_at(double normalized, std::int64_t extent, bool aligns_corners, Sampling sampling, Border border) {
  constexpr double kFar = 1e9;  // far outside; keeps the conversion to integers defined, also for NaN
  const auto n = static_cast<double>(extent);
  const double low = aligns_corners ? 0.0 : -0.5;
  const double high = aligns_corners ? n - 1.0 : n - 0.5;
  double x = aligns_corners ? (normalized + 1.0) / 2.0 * (n - 1.0) : ((normalized + 1.0) * n - 1.0) / 2.0;
  x = x > -kFar ? std::min(x, kFar) : -kFar;
  if (sampling == Sampling::nearest) x = std::nearbyint(x);
  if (x < low || x > high) {
    if (border == Border::clamp) x = std::clamp(x, 0.0, n - 1.0);
    if (border == Border::reflect) x = reflected(x, low, high);
  }
  const double base = std::floor(x);
  const double t = x - base;
  Taps taps;
  if (sampling == Sampling::nearest) {
    taps = {1, {static_cast<std::int64_t>(x)}, {1.0}};
  } else if (sampling == Sampling::linear) {
    const auto first = static_cast<std::int64_t>(base);
    taps = {2, {first, first + 1}, {1.0 - t, t}};
  } else {
    constexpr double a = -0.75;
    const auto first = static_cast<std::int64_t>(base) - 1;
    const auto near = [&](double d) { return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0; };
    const auto far = [&](double d) { return ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a; };
    taps = {4, {first, first + 1, first + 2, first + 3}, {far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)}};
  }
  for (int i = 0; i < taps.n; ++i) {
    std::int64_t& place = taps.places[i];
    if (place >= 0 && place < extent) continue;
    if (border == Border::zeros) place = -1;
    if (border == Border::clamp) place = std::clamp<std::int64_t>(place, 0, extent - 1);
    if (border == Border::reflect)
      place =
          std::clamp<std::int64_t>(static_cast<std::int64_t>(reflected(static_cast<double>(place), low, high)), 0, extent - 1);
  }
  return taps;
}

void infer_grid_sample(InferContext& context) {
  if (lacks_rank(context) || lacks_rank(context, 1)) return;
  const Shape& x = context.shape(0);
  const Shape& grid = context.shape(1);
  const auto n_axes = static_cast<std::int64_t>(x.size()) - 2;
  if (n_axes < 1 || n_axes > 3 || grid.size() != x.size() || (grid.back() >= 0 && grid.back() != n_axes) ||
      (x[0] >= 0 && grid[0] >= 0 && x[0] != grid[0]))
    refuse(context.node(), {"an input ", x, " and a grid ", grid, " do not fit together"}, ErrorCode::shape_mismatch);
  Shape out = {x[0], x[1]};
  out.insert(out.end(), grid.begin() + 1, grid.end() - 1);
  context.set_output(0, context.dtype(0), out);
}

void run_grid_sample(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const std::string mode = node.attr_s("mode", context.opset() < 20 ? "bilinear" : "linear");
  const std::string padding = node.attr_s("padding_mode", "zeros");
  const Sampling sampling = mode == "nearest"                      ? Sampling::nearest
                            : mode == "bicubic" || mode == "cubic" ? Sampling::cubic
                                                                   : Sampling::linear;
  const Border border = padding == "border" ? Border::clamp : padding == "reflection" ? Border::reflect : Border::zeros;
  if ((sampling == Sampling::linear && mode != "bilinear" && mode != "linear") || (border == Border::zeros && padding != "zeros"))
    refuse(node, {"attributes 'mode' ", in_quotes(mode), " and 'padding_mode' ", in_quotes(padding), " are not understood"},
           ErrorCode::unsupported);
  const bool aligns_corners = node.attr_i("align_corners", 0) != 0;
  const std::size_t n_axes = x.rank() - 2;
  const std::vector<float> image = to_f32_vector(x);
  const std::vector<float> grid = to_f32_vector(context.input(1));
  if (image.empty()) refuse(node, "the input is empty", ErrorCode::shape_mismatch);
  const std::int64_t n_channels = x.extent(1);
  std::int64_t area = 1;
  for (std::size_t i = 0; i < n_axes; ++i) area *= x.extent(i + 2);
  const std::int64_t n_places = y.n_elements() / (y.extent(0) * n_channels);
  std::vector<std::pair<std::int64_t, double>> reads;
  std::vector<std::pair<std::int64_t, double>> next;
  for (std::int64_t batch = 0; batch < x.extent(0); ++batch)
    for (std::int64_t place = 0; place < n_places; ++place) {
      const float* coordinates = grid.data() + static_cast<std::size_t>(batch * n_places + place) * n_axes;
      reads.assign(1, {0, 1.0});
      for (std::size_t axis = 0; axis < n_axes; ++axis) {
        // The grid names the innermost axis first.
        const Taps taps =
            taps_at(static_cast<double>(coordinates[n_axes - 1 - axis]), x.extent(axis + 2), aligns_corners, sampling, border);
        next.clear();
        for (const auto& [offset, weight] : reads)
          for (int i = 0; i < taps.n; ++i)
            if (taps.places[i] >= 0) next.emplace_back(offset * x.extent(axis + 2) + taps.places[i], weight * taps.weights[i]);
        reads.swap(next);
      }
      for (std::int64_t channel = 0; channel < n_channels; ++channel) {
        const float* plane = image.data() + static_cast<std::size_t>((batch * n_channels + channel) * area);
        double value = 0.0;
        for (const auto& [offset, weight] : reads) value += weight * static_cast<double>(plane[offset]);
        write_elements(y, (batch * n_channels + channel) * n_places + place, std::span<const double>(&value, 1));
      }
    }
}

void infer_affine_grid(InferContext& context) {
  const auto size = context.ints_of(1);
  if (!size) return context.set_output(0, context.dtype(0), std::nullopt);
  const auto n_axes = static_cast<std::int64_t>(size->size()) - 2;
  const bool fits =
      (n_axes == 2 || n_axes == 3) && std::all_of(size->begin(), size->end(), [](std::int64_t n) { return n >= 0; });
  if (!fits) refuse(context.node(), "a size [n,c,h,w] or [n,c,d,h,w] is needed", ErrorCode::shape_mismatch);
  if (context.has_shape(0) && is_known(context.shape(0)) && context.shape(0) != Shape{(*size)[0], n_axes, n_axes + 1})
    refuse(context.node(), {"a matrix of ", context.shape(0), " does not fit the size"}, ErrorCode::shape_mismatch);
  Shape out = {(*size)[0]};
  out.insert(out.end(), size->begin() + 2, size->end());
  out.push_back(n_axes);
  context.set_output(0, context.dtype(0), out);
}

void run_affine_grid(RunContext& context) {
  Tensor& y = context.output(0);
  const std::size_t n_axes = y.rank() - 2;
  const bool aligns_corners = context.node().attr_i("align_corners", 0) != 0;
  const std::int64_t n_places = y.n_elements() / (y.extent(0) * static_cast<std::int64_t>(n_axes));
  for (std::int64_t i = 0; i < y.extent(0) * n_places; ++i) {
    const std::int64_t batch = i / n_places;
    double base[4] = {1.0, 1.0, 1.0, 1.0};  // x, y(, z), 1
    std::int64_t rest = i % n_places;
    for (std::size_t k = 0; k < n_axes; ++k) {
      const std::int64_t extent = y.extent(n_axes - k);
      const auto place = static_cast<double>(rest % extent);
      const auto n = static_cast<double>(extent);
      base[k] = aligns_corners ? (extent == 1 ? -1.0 : -1.0 + 2.0 * place / (n - 1.0)) : (2.0 * place + 1.0) / n - 1.0;
      rest /= extent;
    }
    for (std::size_t row = 0; row < n_axes; ++row) {
      double value = 0.0;
      for (std::size_t k = 0; k <= n_axes; ++k)
        value +=
            base[k] * element_f64(context.input(0), (batch * static_cast<std::int64_t>(n_axes) + static_cast<std::int64_t>(row)) *
                                                            static_cast<std::int64_t>(n_axes + 1) +
                                                        static_cast<std::int64_t>(k));
      write_elements(y, i * static_cast<std::int64_t>(n_axes) + static_cast<std::int64_t>(row),
                     std::span<const double>(&value, 1));
    }
  }
}

/// A list attribute of one positive (or, for pads, non-negative) number per axis.
std::vector<std::int64_t> per_axis(const Node& node, std::string_view name, std::size_t n, std::int64_t otherwise) {
  std::vector<std::int64_t> values = node.attr_ints(name);
  if (values.empty()) values.assign(n, otherwise);
  for (const std::int64_t value : values)
    if (value < otherwise || value > kMaxWindowValue) refuse(node, {"attribute ", in_quotes(name), " has the value ", value});
  if (values.size() != n) refuse(node, {"attribute ", in_quotes(name), " needs ", n, " values"});
  return values;
}

Shape unpooled_shape(const Node& node, const Shape& x) {
  if (x.size() < 3 || !node.has("kernel_shape")) refuse(node, "an input [n,c,...] and attribute 'kernel_shape' are needed");
  const std::size_t n_axes = x.size() - 2;
  const auto kernel = per_axis(node, "kernel_shape", n_axes, 1);
  const auto strides = per_axis(node, "strides", n_axes, 1);
  const auto pads = per_axis(node, "pads", 2 * n_axes, 0);
  Shape out = x;
  for (std::size_t i = 0; i < n_axes; ++i) {
    std::int64_t& extent = out[i + 2];
    if (extent < 0) continue;
    extent = extent_product(extent - 1, strides[i]) + kernel[i] - pads[i] - pads[n_axes + i];
    if (extent < 0) refuse(node, "the padding is larger than the output", ErrorCode::shape_mismatch);
  }
  return out;
}

void infer_max_unpool(InferContext& context) {
  if (lacks_rank(context)) return;
  Shape shape = unpooled_shape(context.node(), context.shape(0));
  if (context.has_input(2)) {
    const auto wanted = context.ints_of(2);
    if (wanted && wanted->size() != shape.size())
      refuse(context.node(), "the output shape has another rank than the input", ErrorCode::shape_mismatch);
    if (wanted && is_known(shape))
      for (std::size_t i = 0; i < shape.size(); ++i)
        if ((*wanted)[i] < shape[i])
          refuse(context.node(), "the output shape is smaller than what is unpooled", ErrorCode::shape_mismatch);
    shape = wanted ? *wanted : unknown_shape(static_cast<std::int64_t>(shape.size()));
  }
  context.set_output(0, context.dtype(0), shape);
}

void run_max_unpool(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  // Indices count in the shape that pooling saw, which stands at the start of each axis of a larger output.
  const Shape seen = unpooled_shape(context.node(), x.shape());
  const std::int64_t n_seen = n_elements(seen);
  const std::vector<std::int64_t> indices = to_i64_vector(context.input(1));
  if (context.input(1).shape() != x.shape())
    refuse(context.node(), "values and indices differ in shape", ErrorCode::shape_mismatch);
  const std::vector<std::int64_t> from = row_major_strides(seen);
  const std::vector<std::int64_t> to = row_major_strides(y.shape());
  const std::size_t bytes = static_cast<std::size_t>(dtype_bits(x.dtype()) / 8);
  std::fill(y.bytes().begin(), y.bytes().end(), std::uint8_t{0});
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || indices[i] >= n_seen)
      refuse(context.node(), {"index ", indices[i], " lies outside of the output"}, ErrorCode::bad_data);
    std::int64_t place = 0;
    for (std::size_t axis = 0; axis < seen.size(); ++axis) place += indices[i] / from[axis] % seen[axis] * to[axis];
    std::copy_n(x.bytes().data() + i * bytes, bytes, y.bytes().data() + static_cast<std::size_t>(place) * bytes);
  }
}

void infer_col2im(InferContext& context) {
  if (lacks_rank(context)) return;
  const Shape& columns = context.shape(0);
  const auto image = context.ints_of(1);
  const auto block = context.ints_of(2);
  if (columns.size() != 3) refuse(context.node(), "columns [n, c * block, l] are needed", ErrorCode::shape_mismatch);
  if (!image || !block) {
    const auto n = list_length(context, 1);
    return context.set_output(0, context.dtype(0), n ? std::optional(unknown_shape(*n + 2)) : std::nullopt);
  }
  std::int64_t area = 1;
  for (const std::int64_t extent : *block) area = extent_product(area, extent);
  if (image->empty() || image->size() != block->size() || area < 1 || (columns[1] >= 0 && columns[1] % area != 0))
    refuse(context.node(), "image, block and columns do not fit together", ErrorCode::shape_mismatch);
  Shape out = {columns[0], columns[1] < 0 ? kUnknownDim : columns[1] / area};
  for (const std::int64_t extent : *image) {
    if (extent < 0) refuse(context.node(), {"the image has extent ", extent}, ErrorCode::shape_mismatch);
    out.push_back(extent);
  }
  context.set_output(0, context.dtype(0), out);
}

void run_col2im(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const std::vector<std::int64_t> block = to_i64_vector(context.input(2));
  const std::size_t n_axes = block.size();
  const auto dilations = per_axis(node, "dilations", n_axes, 1);
  const auto strides = per_axis(node, "strides", n_axes, 1);
  const auto pads = per_axis(node, "pads", 2 * n_axes, 0);
  Shape steps;  // blocks along each axis
  for (std::size_t i = 0; i < n_axes; ++i) {
    const std::int64_t room = y.extent(i + 2) + pads[i] + pads[n_axes + i] - extent_product(dilations[i], block[i] - 1) - 1;
    steps.push_back(room < 0 ? 0 : room / strides[i] + 1);
  }
  const std::int64_t n_steps = n_elements(steps);
  const std::int64_t area = n_elements(block);
  if (x.extent(2) != n_steps)
    refuse(node, {x.extent(2), " columns were given, ", n_steps, " are needed"}, ErrorCode::shape_mismatch);
  std::vector<double> sums(static_cast<std::size_t>(y.n_elements()), 0.0);
  const std::vector<std::int64_t> step_strides = row_major_strides(steps);
  const std::vector<std::int64_t> block_strides = row_major_strides(block);
  const std::vector<std::int64_t> image_strides = row_major_strides(y.shape());
  for (std::int64_t plane = 0; plane < y.extent(0) * y.extent(1); ++plane)
    for (std::int64_t in_block = 0; in_block < area; ++in_block)
      for (std::int64_t step = 0; step < n_steps; ++step) {
        std::int64_t to = plane * image_strides[1];
        bool is_inside = true;
        for (std::size_t i = 0; i < n_axes && is_inside; ++i) {
          const std::int64_t at =
              step / step_strides[i] % steps[i] * strides[i] - pads[i] + in_block / block_strides[i] % block[i] * dilations[i];
          is_inside = at >= 0 && at < y.extent(i + 2);
          to += at * image_strides[i + 2];
        }
        if (is_inside) sums[static_cast<std::size_t>(to)] += element_f64(x, (plane * area + in_block) * n_steps + step);
      }
  write_elements(y, 0, std::span<const double>(sums));
}

void infer_det(InferContext& context) {
  if (lacks_rank(context)) return;
  const Shape& shape = context.shape(0);
  const std::size_t rank = shape.size();
  if (rank < 2 || (shape[rank - 1] >= 0 && shape[rank - 2] >= 0 && shape[rank - 1] != shape[rank - 2]))
    refuse(context.node(), "square matrices are needed", ErrorCode::shape_mismatch);
  context.set_output(0, context.dtype(0), Shape(shape.begin(), shape.end() - 2));
}

/// Gaussian elimination with row exchange, in double.
void run_det(RunContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const std::int64_t n = x.extent(x.rank() - 1);
  const auto size = static_cast<std::size_t>(n);
  std::vector<double> a(size * size);
  for (std::int64_t matrix = 0; matrix < y.n_elements(); ++matrix) {
    read_elements(x, matrix * n * n, std::span<double>(a));
    double det = 1.0;
    for (std::size_t k = 0; k < size && det != 0.0; ++k) {
      std::size_t pivot = k;
      for (std::size_t row = k + 1; row < size; ++row)
        if (std::fabs(a[row * size + k]) > std::fabs(a[pivot * size + k])) pivot = row;
      if (pivot != k) {
        std::swap_ranges(a.begin() + static_cast<std::ptrdiff_t>(pivot * size),
                         a.begin() + static_cast<std::ptrdiff_t>((pivot + 1) * size),
                         a.begin() + static_cast<std::ptrdiff_t>(k * size));
        det = -det;
      }
      det *= a[k * size + k];
      for (std::size_t row = k + 1; row < size && det != 0.0; ++row) {
        const double factor = a[row * size + k] / a[k * size + k];
        for (std::size_t column = k; column < size; ++column) a[row * size + column] -= factor * a[k * size + column];
      }
    }
    write_elements(y, matrix, std::span<const double>(&det, 1));
  }
}

constexpr std::int64_t kGridSampleSince[] = {16, 20, 22};
constexpr std::int64_t kAffineGridSince[] = {20};
constexpr std::int64_t kMaxUnpoolSince[] = {9, 11, 22};
constexpr std::int64_t kCol2ImSince[] = {18};
constexpr std::int64_t kDetSince[] = {11, 22};

constexpr Op kOps[] = {
    {"GridSample", "", kGridSampleSince, infer_grid_sample, run_grid_sample},
    {"AffineGrid", "", kAffineGridSince, infer_affine_grid, run_affine_grid},
    {"MaxUnpool", "", kMaxUnpoolSince, infer_max_unpool, run_max_unpool},
    {"Col2Im", "", kCol2ImSince, infer_col2im, run_col2im},
    {"Det", "", kDetSince, infer_det, run_det},
};

}  // namespace

extern const OpFamily spatial_family;
const OpFamily spatial_family{"spatial", kOps};

}  // namespace bitwright
