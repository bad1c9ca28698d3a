#include "convert_report.h"
#include "base/text.h"

#include <algorithm>
#include <cmath>

#include "base/sorted_order.h"
#include "convert.h"
#include "json_text.h"
#include "model/limits.h"
#include "report/metrics.h"
#include "report/value_histogram.h"

namespace bitwright::bindings {

namespace {

val count(std::uint64_t n) { return val(static_cast<double>(n)); }

/// JSON has no infinity: an exact value is null with isExact.
val sqnr(double sqnr_db) {
  Object object;
  object.set("sqnrDb", std::isfinite(sqnr_db) ? val(sqnr_db) : val::null());
  object.set("isExact", std::isinf(sqnr_db) && sqnr_db > 0.0);
  return object;
}

val share(const ShareOf& share) {
  const Interval interval = wilson_interval(share.count, share.total);
  Object object;
  object.set("count", count(share.count));
  object.set("total", count(share.total));
  object.set("share", share.total == 0 ? 0.0 : static_cast<double>(share.count) / static_cast<double>(share.total));
  object.set("low", interval.low);
  object.set("high", interval.high);
  return object;
}

val value_row(const ValueComparison& row) {
  Object object;
  object.set("value", row.value);
  object.set("node", row.node);
  object.set("opType", row.op_type);
  object.set("sqnr", sqnr(row.sqnr_db));
  object.set("cosine", row.cosine);
  object.set("maxAbsError", row.max_abs_error);
  object.set("rmin", row.rmin);
  object.set("rmax", row.rmax);
  return object;
}

val output_row(const OutputComparison& row) {
  Object object(value_row(row.whole));
  std::vector<double> samples = row.sample_sqnr_db;
  sort_list(samples);
  const double median = samples.empty() ? 0.0 : samples[samples.size() / 2];
  object.set("medianSqnrDb", samples.empty() || !std::isfinite(median) ? val::null() : val(median));
  object.set("top1Agreement", row.has_top1 ? share(row.top1_agreement) : val::null());
  return object;
}

val histogram_object(const std::optional<ValueHistogram>& histogram) {
  if (!histogram) return val::null();
  Object object;
  object.set("min", histogram->min);
  object.set("max", histogram->max);
  object.set("counts", to_js_list(histogram->counts, count));
  return object;
}

val tensor_row(const TensorReport& row) {
  Object object;
  object.set("tensor", row.tensor);
  object.set("role", std::string(tensor_role_name(row.role)));
  object.set("dtype", std::string(dtype_name(row.dtype)));
  object.set("scheme", row.scheme);
  object.set("granularity", row.granularity);
  object.set("rmin", row.rmin);
  object.set("rmax", row.rmax);
  object.set("scale", row.scale);
  object.set("zeroPoint", row.zero_point);
  object.set("scaleCount", static_cast<double>(row.n_scales));
  object.set("clippedShare", row.clipped_share);
  object.set("sqnr", row.has_sqnr ? sqnr(row.sqnr_db) : val::null());
  object.set("bytesBefore", count(row.bytes_before));
  object.set("bytesAfter", count(row.bytes_after));
  object.set("histogram", histogram_object(row.histogram));
  object.set("qmin", row.range.qmin);
  object.set("qmax", row.range.qmax);
  object.set("grid", to_js_list(row.grid, [](float real) { return val(real); }));
  return object;
}

/// A list of rows, written by `write(json, row)` between braces.
template <typename Row, typename Write>
val parsed_list(const std::vector<Row>& rows, Write&& write) {
  JsonText json;
  json.open('[');
  for (const Row& row : rows) {
    json.open('{');
    write(json, row);
    json.close('}');
  }
  json.close(']');
  return val::global("JSON").call<val>("parse", json.text());
}

template <typename T>
void put(JsonText& json, const char* key, const T& value) {
  json.key(key);
  json.value(value);
}

void put_node(JsonText& json, const NodeDecision& row) {
  put(json, "node", std::string_view(row.node));
  put(json, "opType", std::string_view(row.domain.empty() ? row.op_type : concat({row.domain, ":", row.op_type})));
  put(json, "graphPath", std::string_view(row.graph));
  put(json, "isQuantized", row.is_quantized);
  put(json, "mode", std::string_view(row.mode));
  put(json, "reason", std::string_view(row.reason));
}

void put_tensor(JsonText& json, const TensorInfo& row) {
  put(json, "name", std::string_view(row.name));
  put(json, "dtype", dtype_name(row.dtype));
  json.key("shape");
  json.open('[');
  for (const std::int64_t extent : row.shape) json.value(extent);
  json.close(']');
  put(json, "bytes", static_cast<std::int64_t>(row.size_bytes));
  put(json, "scheme", std::string_view(row.scheme));
}

}  // namespace

val to_js(const Model& model, const ModelInfo& info) {
  Object object;
  object.set("fileName", model.file_name);
  object.set("bytes", count(model.file_bytes));
  object.set("externalBytes", count(model.external_bytes));
  object.set("irVersion", static_cast<double>(model.ir_version));
  object.set("opset", static_cast<double>(model.opset()));
  object.set("producer",
             model.producer_version.empty() ? model.producer_name : concat({model.producer_name, " ", model.producer_version}));
  object.set("nodes", count(info.n_nodes));
  object.set("parameters", count(info.n_parameters));
  const auto value = [](const ValueInfo& row) { return to_js(row); };
  object.set("inputs", to_js_list(info.inputs, value));
  object.set("outputs", to_js_list(info.outputs, value));
  object.set("operators", to_js_list(info.operators, [](const OperatorCount& row) {
               Object item;
               item.set("opType", row.op_type);
               item.set("domain", row.domain);
               item.set("count", count(row.count));
               item.set("isRunnable", row.is_runnable);
               return item;
             }));
  object.set("tensors", parsed_list(info.tensors, put_tensor));
  object.set("metadata", to_js_list(model.metadata, [](const std::pair<std::string, std::string>& row) {
               return to_js(std::vector<std::string>{row.first, row.second});
             }));
  object.set("notRunnable", info.not_runnable);
  object.set("isQuantized", info.is_quantized);
  return object;
}

val to_js(const ComparisonResult& comparison) {
  Object object;
  object.set("samples", count(comparison.n_samples));
  object.set("outputs", to_js_list(comparison.outputs, output_row));
  object.set("values", to_js_list(comparison.values, value_row));
  object.set("accuracy", val::null());
  if (comparison.has_labels) {
    Object accuracy;
    accuracy.set("reference", share(comparison.reference_accuracy));
    accuracy.set("quantized", share(comparison.quantized_accuracy));
    accuracy.set("lost", static_cast<double>(comparison.reference_accuracy.count) -
                             static_cast<double>(comparison.quantized_accuracy.count));
    object.set("accuracy", accuracy);
  }
  return object;
}

val to_js(const QuantizeResult& result) {
  Object object;
  object.set("nodes", parsed_list(result.nodes, put_node));
  object.set("tensors", to_js_list(result.tensors, tensor_row));
  object.set("lint", to_js_list(result.lint, [](const LintRow& row) {
               Object item;
               item.set("severity", std::string(severity_name(row.severity)));
               item.set("node", row.node);
               item.set("message", row.message);
               return item;
             }));
  object.set("messages", to_js(result.messages));
  object.set("sizeBytes", count(result.bytes_after));
  object.set("needsExternalData", result.bytes_after > kMaxMessageBytes);
  return object;
}

}  // namespace bitwright::bindings
