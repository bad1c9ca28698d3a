#include "api/tensor_reports.h"

#include <algorithm>
#include <map>

#include "model/visit_nodes.h"
#include "quant/quantize.h"
#include "report/metrics.h"

namespace bitwright {

namespace {

/// Larger tensors are not read again for their SQNR: it would hold float, codes and float at once.
constexpr std::uint64_t kMaxMeasuredBytes = std::uint64_t{64} << 20;

using Records = std::map<std::string, const TensorRecord*, std::less<>>;

void collect(const Graph& graph, Records& records) {
  for (const TensorRecord& record : graph.initializers) records.emplace(record.name, &record);
}

/// Constants of the main graph, of subgraphs and of Constant nodes, by the name of their value; outer ones win.
Records constants_of(const Model& model) {
  Records records;
  collect(model.graph, records);
  visit_nodes(model, [&](const Node& node, const std::string&) {
    for (const Attribute& attribute : node.attributes) {
      if (attribute.g) collect(*attribute.g, records);
      for (const std::shared_ptr<Graph>& graph : attribute.graphs)
        if (graph) collect(*graph, records);
      if (node.op_type == "Constant" && attribute.t && !node.outputs.empty()) records.emplace(node.outputs[0], attribute.t.get());
    }
  });
  return records;
}

TensorReport from_plan(const TensorPlan& tensor) {
  TensorReport row;
  row.tensor = tensor.value;
  row.role = tensor.role;
  row.dtype = tensor.params.dtype;
  row.granularity = to_string(tensor.params.granularity);
  row.n_scales = static_cast<std::int64_t>(tensor.params.scales.size());
  row.range = tensor.params.range;
  if (tensor.encoded) {
    row.grid = tensor.encoded->grid;
    row.scheme = tensor.encoded->scheme;
    row.rmin = tensor.encoded->rmin;
    row.rmax = tensor.encoded->rmax;
    row.has_sqnr = true;
    row.sqnr_db = tensor.encoded->sqnr_db;
    row.clipped_share = tensor.encoded->clipped_share;
    if (row.n_scales > 0) row.scale = tensor.params.scales[0];
    if (!tensor.params.zero_points.empty()) row.zero_point = tensor.params.zero_points[0];
    return row;
  }
  for (std::size_t i = 0; i < tensor.params.scales.size(); ++i) {
    const double scale = tensor.params.scales[i];
    row.rmin = std::min(row.rmin, static_cast<float>(scale * (double(tensor.params.range.qmin) - tensor.params.zero_points[i])));
    row.rmax = std::max(row.rmax, static_cast<float>(scale * (double(tensor.params.range.qmax) - tensor.params.zero_points[i])));
  }
  if (!tensor.params.scales.empty()) {
    row.scale = tensor.params.scales[0];
    row.zero_point = tensor.params.zero_points[0];
  }
  return row;
}

/// Both directions of an LSTM share an axis of the report: their scales are more than its extent, and there is nothing to measure by.
bool is_along_its_axis(const TensorReport& row, const QuantParams& params, const Shape& shape) {
  const auto* channels = std::get_if<PerChannel>(&params.granularity);
  return channels == nullptr || (channels->axis >= 0 && channels->axis < static_cast<std::int64_t>(shape.size()) &&
                                 shape[static_cast<std::size_t>(channels->axis)] == row.n_scales);
}

void size_weight(const TensorPlan& tensor, const TensorRecord& record, TensorReport& row) {
  const auto n_scales = static_cast<std::uint64_t>(row.n_scales);
  row.bytes_before = record.size_bytes();
  if (tensor.encoded) {
    row.bytes_after = tensor.encoded->stored_bytes;
    return;
  }
  row.bytes_after = packed_bytes(row.dtype, static_cast<std::uint64_t>(n_elements(record.shape))) + 4 * n_scales;
  if (tensor.role == TensorRole::weight) row.bytes_after += packed_bytes(row.dtype, n_scales);
}

void measure_weight(const TensorPlan& tensor, const TensorRecord& record, TensorReport& row) {
  if (tensor.encoded) {
    if (row.bytes_before <= kMaxMeasuredBytes) row.histogram = histogram_of(to_f32_vector(record.load()));
    return;
  }
  if (tensor.role != TensorRole::weight || row.bytes_before > kMaxMeasuredBytes || record.dtype != DType::f32 ||
      !is_integer(row.dtype))
    return;
  if (!is_along_its_axis(row, tensor.params, record.shape)) return;
  const Tensor values = record.load();
  const Tensor back = dequantize(quantize(values, tensor.params), tensor.params);
  ErrorSums sums;
  sums.add(values.data<float>(), back.data<float>());
  row.has_sqnr = true;
  row.histogram = histogram_of(values.data<float>());
  row.sqnr_db = sums.sqnr_db();
  row.clipped_share = clipped_share(values.data<float>(), record.shape, tensor.params);
}

}  // namespace

std::vector<TensorReport> tensor_reports(const Model& model, const QuantPlan& plan, const Statistics* statistics,
                                         bool measures_weights, const OnProgress& on_progress) {
  const Records records = constants_of(model);
  std::vector<TensorReport> rows;
  for (const TensorPlan& tensor : plan.tensors) {
    tell_progress(on_progress, "measure weights", rows.size(), plan.tensors.size());
    TensorReport row = from_plan(tensor);
    if (tensor.role != TensorRole::activation) {
      if (const auto found = records.find(tensor.value); found != records.end()) {
        size_weight(tensor, *found->second, row);
        if (measures_weights) measure_weight(tensor, *found->second, row);
      }
    } else if (statistics != nullptr) {
      const auto found = statistics->find(tensor.value);
      if (found != statistics->end() && !found->second.histogram.empty()) {
        row.histogram = histogram_of(found->second);
        row.clipped_share = clipped_share(found->second.histogram, found->second.histogram_min, found->second.histogram_max,
                                          {row.scale, row.zero_point}, tensor.params.range);
      }
    }
    rows.push_back(std::move(row));
  }
  tell_progress(on_progress, "measure weights", rows.size(), plan.tensors.size());
  return rows;
}

}  // namespace bitwright
