#include <algorithm>
#include <cmath>

#include "base/sorted_order.h"
#include "ops/limits.h"
#include "ops/shapes.h"

// NonMaxSuppression and RoiAlign, the ends of detection networks.
namespace bitwright {

namespace {

struct Box {
  double y1, x1, y2, x2;
};

Box box_at(std::span<const float> boxes, std::size_t i, bool is_center) {
  const auto at = [&](std::size_t k) { return static_cast<double>(boxes[4 * i + k]); };
  if (is_center) return {at(1) - at(3) / 2.0, at(0) - at(2) / 2.0, at(1) + at(3) / 2.0, at(0) + at(2) / 2.0};
  return {std::min(at(0), at(2)), std::min(at(1), at(3)), std::max(at(0), at(2)), std::max(at(1), at(3))};
}

/// Area of the intersection over area of the union.
double overlap(const Box& a, const Box& b) {
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (height <= 0.0 || width <= 0.0) return 0.0;
  const double both = height * width;
  return both / ((a.y2 - a.y1) * (a.x2 - a.x1) + (b.y2 - b.y1) * (b.x2 - b.x1) - both);
}

void infer_non_max_suppression(InferContext& context) { context.set_output(0, DType::i64, Shape{kUnknownDim, 3}); }

void run_non_max_suppression(RunContext& context) {
  const Node& node = context.node();
  const Shape& boxes_shape = context.input(0).shape();
  const Shape& scores_shape = context.input(1).shape();
  if (boxes_shape.size() != 3 || scores_shape.size() != 3 || boxes_shape[2] != 4 || boxes_shape[0] != scores_shape[0] ||
      boxes_shape[1] != scores_shape[2])
    refuse(node, {"boxes ", boxes_shape, " and scores ", scores_shape, " do not fit together"}, ErrorCode::shape_mismatch);
  const auto number = [&](std::size_t i, double otherwise) {
    return context.has_input(i) && context.input(i).n_elements() > 0 ? element_f64(context.input(i), 0) : otherwise;
  };
  const double wanted = number(2, 0.0);
  const auto most = static_cast<std::size_t>(wanted > 0.0 ? std::min(wanted, static_cast<double>(boxes_shape[1])) : 0.0);
  const double overlap_threshold = number(3, 0.0);
  const bool has_score_threshold = context.has_input(4);
  const double score_threshold = number(4, 0.0);
  const bool is_center = node.attr_i("center_point_box", 0) != 0;
  const std::vector<float> boxes = to_f32_vector(context.input(0));
  const std::vector<float> scores = to_f32_vector(context.input(1));
  const auto n_boxes = static_cast<std::size_t>(boxes_shape[1]);
  std::vector<std::int64_t> selected;
  for (std::int64_t batch = 0; batch < boxes_shape[0]; ++batch)
    for (std::int64_t label = 0; label < scores_shape[1]; ++label) {
      const std::span<const float> score(scores.data() + static_cast<std::size_t>(batch * scores_shape[1] + label) * n_boxes,
                                         n_boxes);
      const std::span<const float> box(boxes.data() + static_cast<std::size_t>(batch) * n_boxes * 4, n_boxes * 4);
      const std::vector<std::size_t> order = sorted_order(n_boxes, [&](std::size_t a, std::size_t b) {
        return std::isnan(score[b]) ? !std::isnan(score[a]) : score[a] > score[b];
      });
      std::vector<Box> kept;
      for (const std::size_t i : order) {
        if (kept.size() == most) break;
        if (has_score_threshold && !(static_cast<double>(score[i]) > score_threshold)) continue;
        const Box candidate = box_at(box, i, is_center);
        if (std::any_of(kept.begin(), kept.end(),
                        [&](const Box& other) { return overlap(candidate, other) > overlap_threshold; }))
          continue;
        kept.push_back(candidate);
        selected.insert(selected.end(), {batch, label, static_cast<std::int64_t>(i)});
      }
    }
  context.set_output(
      0, Tensor::of<std::int64_t>({static_cast<std::int64_t>(selected.size() / 3), 3}, std::span<const std::int64_t>(selected)));
}

std::int64_t pooled_extent(const Node& node, std::string_view attribute) {
  const std::int64_t extent = node.attr_i(attribute, 1);
  if (extent < 1 || extent > kMaxElements) refuse(node, {"attribute ", in_quotes(attribute), " is ", extent});
  return extent;
}

void infer_roi_align(InferContext& context) {
  if (lacks_rank(context) || lacks_rank(context, 1)) return;
  const Shape& shape = context.shape(0);
  const Shape& rois = context.shape(1);
  if (shape.size() != 4 || rois.size() != 2 || (rois[1] >= 0 && rois[1] != 4))
    refuse(context.node(), "an input [n,c,h,w] and regions [r,4] are needed", ErrorCode::shape_mismatch);
  context.set_output(
      0, context.dtype(0),
      Shape{rois[0], shape[1], pooled_extent(context.node(), "output_height"), pooled_extent(context.node(), "output_width")});
}

/// Linear reading along one axis: two places and their weights, both 0 outside of the image.
struct AxisSample {
  std::size_t places[2] = {0, 0};
  double weights[2] = {0.0, 0.0};
};

AxisSample sample_at(double position, std::int64_t extent) {
  if (!(position >= -1.0 && position <= static_cast<double>(extent))) return {};
  position = std::clamp(position, 0.0, static_cast<double>(extent - 1));
  const auto low = static_cast<std::int64_t>(position);
  const double part = position - static_cast<double>(low);
  return {{static_cast<std::size_t>(low), static_cast<std::size_t>(std::min(low + 1, extent - 1))}, {1.0 - part, part}};
}

/// The samples of one bin along one axis, evenly spread.
std::vector<AxisSample> samples_along(double begin, double bin, double n, std::int64_t extent) {
  std::vector<AxisSample> samples;
  samples.reserve(static_cast<std::size_t>(std::max(n, 0.0)));
  for (int i = 0; i < n; ++i) samples.push_back(sample_at(begin + (i + 0.5) * bin / n, extent));
  return samples;
}

void run_roi_align(RunContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  Tensor& y = context.output(0);
  const std::vector<float> image = to_f32_vector(x);
  const std::vector<float> rois = to_f32_vector(context.input(1));
  const std::vector<std::int64_t> batches = to_i64_vector(context.input(2));
  if (static_cast<std::int64_t>(batches.size()) != y.extent(0) || image.empty())
    refuse(node, "one batch index for each region is needed", ErrorCode::shape_mismatch);
  const bool is_max = node.attr_s("mode", "avg") == "max";
  const bool is_half_pixel = context.opset() >= 16 && node.attr_s("coordinate_transformation_mode", "half_pixel") == "half_pixel";
  const auto scale = static_cast<double>(node.attr_f("spatial_scale", 1.0f));
  const auto ratio = static_cast<double>(node.attr_i("sampling_ratio", 0));
  const std::int64_t height = x.extent(2);
  const std::int64_t width = x.extent(3);
  const auto area = static_cast<std::size_t>(height * width);
  const std::int64_t n_channels = x.extent(1);
  for (std::int64_t roi = 0; roi < y.extent(0); ++roi) {
    const std::int64_t batch = batches[static_cast<std::size_t>(roi)];
    if (batch < 0 || batch >= x.extent(0))
      refuse(node, {"batch index ", batch, " lies outside of the batch"}, ErrorCode::bad_data);
    const float* region = rois.data() + static_cast<std::size_t>(roi) * 4;
    const auto edge = [&](std::size_t i) { return static_cast<double>(region[i]) * scale - (is_half_pixel ? 0.5 : 0.0); };
    double roi_width = edge(2) - edge(0);
    double roi_height = edge(3) - edge(1);
    if (!is_half_pixel) {
      roi_width = std::max(roi_width, 1.0);
      roi_height = std::max(roi_height, 1.0);
    }
    const double bin_height = roi_height / static_cast<double>(y.extent(2));
    const double bin_width = roi_width / static_cast<double>(y.extent(3));
    const double grid_height = ratio > 0.0 ? ratio : std::ceil(bin_height);
    const double grid_width = ratio > 0.0 ? ratio : std::ceil(bin_width);
    constexpr auto kMost = static_cast<double>(kMaxSamplesPerSide);
    if (!(grid_height <= kMost && grid_width <= kMost))
      refuse(node, {"a region needs more than ", kMaxSamplesPerSide, " samples per side of a bin"}, ErrorCode::limit_exceeded);
    for (std::int64_t row = 0; row < y.extent(2); ++row)
      for (std::int64_t column = 0; column < y.extent(3); ++column) {
        const auto ys = samples_along(edge(1) + static_cast<double>(row) * bin_height, bin_height, grid_height, height);
        const auto xs = samples_along(edge(0) + static_cast<double>(column) * bin_width, bin_width, grid_width, width);
        for (std::int64_t channel = 0; channel < n_channels; ++channel) {
          const float* plane = image.data() + static_cast<std::size_t>(batch * n_channels + channel) * area;
          double value = 0.0;
          double largest = -HUGE_VAL;
          for (const AxisSample& along_y : ys)
            for (const AxisSample& along_x : xs) {
              double sum = 0.0;
              for (std::size_t k = 0; k < 4; ++k) {
                const std::size_t place = along_y.places[k / 2] * static_cast<std::size_t>(width) + along_x.places[k % 2];
                const double term = along_y.weights[k / 2] * along_x.weights[k % 2] * static_cast<double>(plane[place]);
                sum += term;
                largest = std::max(largest, term);
              }
              value += sum;
            }
          const std::size_t n_samples = ys.size() * xs.size();
          // As onnxruntime and the ONNX reference: the greatest weighted corner, not the greatest sample.
          if (is_max)
            value = n_samples > 0 ? largest : 0.0;
          else
            value /= std::max(static_cast<double>(n_samples), 1.0);
          write_elements(y, ((roi * n_channels + channel) * y.extent(2) + row) * y.extent(3) + column,
                         std::span<const double>(&value, 1));
        }
      }
  }
}

constexpr std::int64_t kNmsSince[] = {10, 11};
constexpr std::int64_t kRoiAlignSince[] = {10, 16, 22};

constexpr Op kOps[] = {
    {"NonMaxSuppression", "", kNmsSince, infer_non_max_suppression, run_non_max_suppression},
    {"RoiAlign", "", kRoiAlignSince, infer_roi_align, run_roi_align},
};

}  // namespace

extern const OpFamily detection_family;
const OpFamily detection_family{"detection", kOps};

}  // namespace bitwright
