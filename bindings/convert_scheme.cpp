#include "convert_scheme.h"

#include <cmath>
#include <iterator>

#include "base/error.h"
#include "convert.h"
#include "json_text.h"

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
  throw Error(code, std::string(key) + " is " + quoted(word) + ", which the core does not know");
}

template <typename Member>
void number_into(const val& object, const char* key, Member& member) {
  const val value = object[key];
  if (!value.isUndefined()) member = static_cast<Member>(value.as<double>());
}

template <typename Enum, std::size_t n>
void word_into(const val& object, const char* key, const char* const (&words)[n], Enum& member) {
  const val value = object[key];
  if (!value.isUndefined()) member = word_from<Enum>(string_from(value), words, key, ErrorCode::invalid_argument);
}

template <typename T>
val numbers(const std::vector<T>& list) {
  return to_js_list(list, [](T number) { return val(static_cast<double>(number)); });
}

}  // namespace

CalibrationMethod calibration_method_from(const std::string& word) {
  return word_from<CalibrationMethod>(word, kMethods, "recipe: calibration.method", ErrorCode::bad_recipe);
}

TensorScheme scheme_input_from(const val& object) {
  const std::string name = string_from(object["scheme"]);
  const NamedScheme* named = find_scheme(name);
  if (named == nullptr)
    throw Error(ErrorCode::invalid_argument, "there is no scheme " + quoted(name) + "; 'bitwright schemes' lists them");
  TensorScheme scheme = named->scheme;
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
  number_into(object, "seed", scheme.seed);
  number_into(object, "entries", scheme.n_entries);
  number_into(object, "subVector", scheme.sub_vector);
  number_into(object, "columnGroup", scheme.column_group);
  return scheme;
}

val to_js(const SchemeReport& report) {
  const auto count = [](std::uint64_t n) { return val(static_cast<double>(n)); };
  val object = val::object();
  object.set("encoding", std::string(encoding_info(report.scheme.encoding).name));
  object.set("formula", std::string(encoding_info(report.scheme.encoding).summary));
  object.set("bits", report.scheme.bits);
  object.set("shape", to_js(report.shape));
  object.set("granularity", report.granularity);
  object.set("scaleForm", std::string(kScaleForms[static_cast<int>(report.scheme.scale_form)]));
  object.set("notFinite", count(report.n_not_finite));
  object.set("scaleCount", count(report.n_scales));
  object.set("storedBytes", count(report.stored_bytes));
  object.set("bitsPerWeight", report.bits_per_weight);
  val sqnr = val::object();
  sqnr.set("sqnrDb", std::isfinite(report.sqnr_db) ? val(report.sqnr_db) : val::null());
  sqnr.set("isExact", std::isinf(report.sqnr_db) && report.sqnr_db > 0.0);
  object.set("sqnr", sqnr);
  object.set("cosine", report.cosine);
  object.set("meanSquaredError", report.mean_squared_error);
  object.set("maxAbsError", report.max_abs_error);
  val histogram = val::null();
  if (report.histogram) {
    histogram = val::object();
    histogram.set("min", report.histogram->min);
    histogram.set("max", report.histogram->max);
    histogram.set("counts", numbers(report.histogram->counts));
  }
  object.set("histogram", histogram);
  object.set("codeCounts", numbers(report.code_counts));
  object.set("grid", numbers(report.grid));
  object.set("scaleIndex", static_cast<double>(report.scale_index));
  object.set("scale", report.scale);
  object.set("zeroPoint", report.zero_point);
  object.set("qmin", report.range.qmin);
  object.set("qmax", report.range.qmax);
  object.set("rmin", report.rmin);
  object.set("rmax", report.rmax);
  return object;
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
    json.key("targets");
    json.value(named.targets);
    json.close('}');
  }
  json.close(']');
  return json.text();
}

}  // namespace bitwright::bindings
