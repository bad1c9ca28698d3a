#include <algorithm>
#include <cmath>

#include "ops/shapes.h"

// GridSample, on images of any number of axes [n, c, d0, d1 ...].
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

constexpr std::int64_t kGridSampleSince[] = {16, 20, 22};

constexpr Op kOps[] = {{"GridSample", "", kGridSampleSince, infer_grid_sample, run_grid_sample}};

}  // namespace

extern const OpFamily spatial_family;
const OpFamily spatial_family{"spatial", kOps};

}  // namespace bitwright
