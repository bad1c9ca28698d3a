#include "convert_scheme.h"

#include <cmath>
#include <iterator>

#include "base/error.h"
#include "convert.h"
#include "json_text.h"
#include "passes/weight_only.h"
#include "samples/distribution.h"

namespace bitwright::bindings {

namespace {

// In the order of the enumerations.
constexpr const char* kGrains[] = {"per_tensor", "per_channel", "per_block", "per_token"};
constexpr const char* kScaleForms[] = {"f32", "f16", "e8m0", "f8e4m3fn", "u6"};
constexpr const char* kRoundings[] = {"nearest_even", "stochastic", "floor", "mask"};
constexpr const char* kMethods[] = {"min_max", "moving_average", "percentile",    "entropy",
                                    "mse",     "aciq_laplace",   "aciq_gaussian", "output_error"};

template <typename Enum, std::size_t n>
Enum word_from(const std::string& word, const char* const (&words)[n], const char* key, ErrorCode code) {
  for (std::size_t i = 0; i < n; ++i)
    if (word == words[i]) return static_cast<Enum>(i);
  throw_error(code, {key, " is ", in_quotes(word), ", which the core does not know"});
}

template <typename Member>
void number_into(const Object& object, const char* key, Member& member) {
  const val value = object[key];
  if (!value.isUndefined()) member = static_cast<Member>(value.as<double>());
}

template <typename Enum, std::size_t n>
void word_into(const Object& object, const char* key, const char* const (&words)[n], Enum& member) {
  const val value = object[key];
  if (!value.isUndefined()) member = word_from<Enum>(string_from(value), words, key, ErrorCode::invalid_argument);
}

template <typename T>
val numbers(const std::vector<T>& list) {
  return to_js_list(list, [](T number) { return val(static_cast<double>(number)); });
}

/// Whether a clipping range is chosen at all; codebooks and the like are fitted to all values.
bool is_clippable(TensorScheme scheme) {
  scheme.clip_ratio = 0.5;
  try {
    complete_scheme(scheme);
    return true;
  } catch (const Error&) {
    return false;
  }
}

val histogram_or_null(const std::optional<ValueHistogram>& histogram) {
  if (!histogram) return val::null();
  Object bins;
  bins.set("min", static_cast<double>(histogram->min));
  bins.set("max", static_cast<double>(histogram->max));
  bins.set("counts", numbers(histogram->counts));
  return bins;
}

}  // namespace

TensorScheme::Grain grain_from(const std::string& word) {
  return word_from<TensorScheme::Grain>(word, kGrains, "recipe: granularity", ErrorCode::bad_recipe);
}

CalibrationMethod calibration_method_from(const std::string& word) {
  return word_from<CalibrationMethod>(word, kMethods, "recipe: calibration.method", ErrorCode::bad_recipe);
}

TensorScheme scheme_input_from(const Object& object, const std::string& name, const TensorScheme* unnamed) {
  const NamedScheme* named = find_scheme(name);
  if (named != nullptr) unnamed = &named->scheme;
  if (unnamed == nullptr)
    throw_error(ErrorCode::invalid_argument, {"there is no scheme ", in_quotes(name), "; 'bitwright schemes' lists them"});
  TensorScheme scheme = *unnamed;
  number_into(object, "bits", scheme.bits);
  number_into(object, "symmetric", scheme.is_symmetric);
  number_into(object, "narrowRange", scheme.narrow_range);
  word_into(object, "granularity", kGrains, scheme.grain);
  number_into(object, "blockSize", scheme.block_size);
  number_into(object, "channelGroup", scheme.channel_group);
  word_into(object, "scaleForm", kScaleForms, scheme.scale_form);
  word_into(object, "rounding", kRoundings, scheme.rounding);
  word_into(object, "clipping", kMethods, scheme.clipping);
  number_into(object, "percentile", scheme.percentile);
  number_into(object, "clipRatio", scheme.clip_ratio);
  number_into(object, "seed", scheme.seed);
  number_into(object, "entries", scheme.n_entries);
  number_into(object, "subVector", scheme.sub_vector);
  number_into(object, "columnGroup", scheme.column_group);
  return scheme;
}

Tensor drawn_from(const val& object) {
  Distribution distribution;
  distribution.kind = string_from(object["kind"]);
  const auto shape = emscripten::convertJSArrayToNumberVector<double>(object["shape"]);
  Shape extents;
  for (const double extent : shape) extents.push_back(static_cast<std::int64_t>(extent));
  distribution.n = n_elements(extents);
  number_into(object, "seed", distribution.seed);
  std::vector<double> density;
  if (!object["density"].isUndefined()) density = emscripten::convertJSArrayToNumberVector<double>(object["density"]);
  distribution.density = density;
  Tensor values = draw_values(distribution);
  return values.reshaped(extents);
}

val to_js(const SchemeReport& report) {
  const EncodingInfo& info = encoding_info(report.scheme.encoding);
  Object row;
  row.set("encoding", std::string(info.name));
  row.set("formula", std::string(info.summary));
  row.set("bits", report.scheme.bits);
  row.set("symmetric", report.scheme.is_symmetric);
  row.set("shape", to_js(report.shape));
  row.set("granularity", report.granularity);
  row.set("scaleForm", std::string(kScaleForms[static_cast<int>(report.scheme.scale_form)]));
  row.set("notFinite", static_cast<double>(report.n_not_finite));
  row.set("scaleCount", static_cast<double>(report.n_scales));
  row.set("storedBytes", static_cast<double>(report.stored_bytes));
  row.set("bitsPerWeight", report.bits_per_weight);
  Object sqnr;
  sqnr.set("sqnrDb", std::isfinite(report.sqnr_db) ? val(report.sqnr_db) : val::null());
  sqnr.set("isExact", val(std::isinf(report.sqnr_db) && report.sqnr_db > 0.0));
  row.set("sqnr", sqnr);
  row.set("cosine", report.cosine);
  row.set("meanSquaredError", report.mean_squared_error);
  row.set("maxAbsError", report.max_abs_error);
  row.set("histogram", histogram_or_null(report.histogram));
  row.set("errorHistogram", histogram_or_null(report.error_histogram));
  row.set("rmsErrors", numbers(report.rms_errors));
  row.set("codeCounts", numbers(report.code_counts));
  row.set("grid", numbers(report.grid));
  row.set("scaleIndex", static_cast<double>(report.scale_index));
  row.set("scale", static_cast<double>(report.scale));
  row.set("zeroPoint", report.zero_point);
  row.set("scaleCode", std::int32_t{report.scale_code});
  row.set("threshold", static_cast<double>(report.threshold));
  row.set("codebook", numbers(report.codebook));
  row.set("subVector", static_cast<double>(report.scheme.sub_vector));
  row.set("qmin", report.range.qmin);
  row.set("qmax", report.range.qmax);
  row.set("rmin", static_cast<double>(report.rmin));
  row.set("rmax", static_cast<double>(report.rmax));
  row.set("clipMin", static_cast<double>(report.clip.rmin));
  row.set("clipMax", static_cast<double>(report.clip.rmax));
  return row;
}

std::string named_schemes_json() {
  JsonText json;
  json.open('[');
  for (const NamedScheme& named : named_schemes()) {
    const TensorScheme scheme = complete_scheme(named.scheme);
    const EncodingInfo& info = encoding_info(scheme.encoding);
    json.open('{');
    json.key("name");
    json.value(named.name);
    json.key("encoding");
    json.value(info.name);
    json.key("formula");
    json.value(info.summary);
    json.key("bits");
    json.value(std::int64_t{scheme.bits});
    json.key("minBits");
    json.value(std::int64_t{info.min_bits});
    json.key("maxBits");
    json.value(std::int64_t{info.max_bits});
    json.key("granularity");
    json.value(std::string_view(kGrains[static_cast<int>(scheme.grain)]));
    json.key("blockSize");
    json.value(scheme.block_size);
    json.key("scaleForm");
    json.value(std::string_view(kScaleForms[static_cast<int>(scheme.scale_form)]));
    json.key("isClippable");
    json.value(is_clippable(scheme));
    json.key("symmetric");
    json.value(scheme.is_symmetric);
    json.key("narrowRange");
    json.value(scheme.narrow_range);
    json.key("opset");
    json.value(dequantize_opset(scheme, Target::portable));
    json.close('}');
  }
  json.close(']');
  return json.text();
}

}  // namespace bitwright::bindings
