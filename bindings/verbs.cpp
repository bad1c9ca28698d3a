#include "verbs.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "api/calibration_run.h"
#include "api/convert.h"
#include "api/handles.h"
#include "api/quantize.h"
#include "api/try_scheme.h"
#include "api/version.h"
#include "convert.h"
#include "convert_report.h"
#include "convert_scheme.h"
#include "engine/session.h"
#include "files/model_file.h"
#include "files/onnx/onnx.h"
#include "guard.h"
#include "model/limits.h"
#include "report/activation_bytes.h"
#include "report/comparison.h"
#include "report/model_info.h"

namespace bitwright::bindings {

namespace {

/// Everything that lives on this side of the border.
struct Objects {
  Handles<const Model> models{"model"};
  std::map<std::int32_t, std::shared_ptr<const HashedSource>> files;  // what a model was read or converted from, by its handle
  Handles<Session> sessions{"session"};
  Handles<CalibrationRun> calibrations{"calibration"};
  Handles<Comparison> comparisons{"comparison"};
  /// What schemes were last tried on: a slider tries the same again and again.
  struct {
    std::int32_t model = 0;
    std::string name;  // of the constant, or all of a distribution
    Tensor values;
    std::optional<ShownValues> shown;
  } tried;
};

Objects& objects() {
  static Objects all;
  return all;
}

/// Xxh64 of the file that a model was read or converted from; empty for models that were quantized here.
std::string hash_of_file(std::int32_t model) {
  const auto found = objects().files.find(model);
  return found == objects().files.end() ? "" : found->second->xxh64();
}

}  // namespace

std::string version() { return std::string(kVersion); }

val open_model(val source, val open_external) {
  return guard([&] {
    const std::unique_ptr<ExternalData> external = external_data_from(open_external);
    const std::shared_ptr<HashedSource> file = source_from(source);
    Model model = read_model(file, external.get());
    const std::int32_t handle = objects().models.add(std::make_shared<const Model>(std::move(model)));
    objects().files.emplace(handle, file);
    return val(handle);
  });
}

val inspect_model(std::int32_t model) {
  return guard([&] {
    const std::shared_ptr<const Model> held = objects().models.get(model);
    return to_js(*held, inspect(*held));
  });
}

val activations_of_model(std::int32_t model) {
  return guard([&] { return val(static_cast<double>(activation_bytes(*objects().models.get(model)))); });
}

void dispose_model(std::int32_t model) {
  objects().models.remove(model);
  objects().files.erase(model);
  if (objects().tried.model == model) objects().tried = {};
}

val create_session(std::int32_t model, val options) {
  return guard([&] {
    auto session = std::make_shared<Session>(objects().models.get(model), session_options_from(options));
    session->set_profiling(Object(options).truth("profile"));
    Object result;
    const auto value = [](const ValueInfo& info) { return to_js(info); };
    result.set("inputs", to_js_list(session->inputs(), value));
    result.set("outputs", to_js_list(session->outputs(), value));
    result.set("kernels", std::string(session->kernel_family()));
    result.set("integer", session->is_integer());
    result.set("sessionId", objects().sessions.add(std::move(session)));
    return result;
  });
}

namespace {

/// Writes the feeds straight to where the run reads them; false where a first run, or one of other shapes, has to come first.
bool feed_bound(Session& session, const val& feeds) {
  const std::vector<std::string> names = strings_from(val::global("Object").call<val>("keys", feeds));
  for (const ValueInfo& input : session.inputs())
    if (session.bound_input(input.name) != nullptr && std::find(names.begin(), names.end(), input.name) == names.end())
      return false;
  for (const std::string& name : names) {
    Tensor* bound = session.bound_input(name);
    if (bound == nullptr || !copy_into(feeds[name], *bound)) return false;
  }
  return true;
}

}  // namespace

val run_session(std::int32_t session, val feeds, val observe, val outputs) {
  return guard([&] {
    const std::shared_ptr<Session> held = objects().sessions.get(session);
    const std::vector<std::string> names = strings_from(observe);
    Object result;
    NamedEntries made;
    if (names.empty() && feed_bound(*held, feeds)) {
      for (const auto& [name, tensor] : held->run_bound())
        made.add(std::string(name), to_js(*tensor, outputs[std::string(name)]));
      result.set("outputs", made.object());
      result.set("observed", Object());
      return result;
    }
    std::map<std::string, Tensor> observed;
    OnValue on_value;
    if (!names.empty()) {
      held->observe(names);
      on_value = [&](const std::string& value, const Tensor& tensor) { observed.insert_or_assign(value, tensor.clone()); };
    }
    for (const auto& [name, tensor] : held->run(tensors_from(feeds), on_value)) made.add(name, to_js(tensor, outputs[name]));
    for (const std::string& name : names) {
      if (observed.contains(name)) continue;
      throw_error(ErrorCode::invalid_argument,
                  {"observe: no value '", name, "' was computed in this run; 'inspect' shows what a model has"});
    }
    result.set("outputs", made.object());
    result.set("observed", to_js(observed));
    return result;
  });
}

val explain_session(std::int32_t session) {
  return guard([&] {
    return to_js_list(objects().sessions.get(session)->profile(), [](const NodeProfile& row) {
      Object object;
      object.set("node", row.node);
      object.set("opType", row.op_type);
      object.set("timeMs", row.time_ms);
      object.set("runs", static_cast<double>(row.n_runs));
      object.set("nodes", row.nodes);
      object.set("kernel", row.kernel);
      object.set("integer", row.is_integer);
      object.set("layout", std::string(row.is_channels_last ? "channels_last" : "graph"));
      object.set("reason", row.reason);
      return object;
    });
  });
}

void dispose_session(std::int32_t session) { objects().sessions.remove(session); }

val begin_calibration(std::int32_t model, val recipe, bool has_own_runner) {
  return guard([&] {
    auto run = std::make_shared<CalibrationRun>(objects().models.get(model), recipe_from(recipe, ""), has_own_runner);
    Object result;
    result.set("values", to_js(run->values()));
    result.set("calibrationId", objects().calibrations.add(std::move(run)));
    return result;
  });
}

val feed_calibration(std::int32_t calibration, val feeds) {
  return guard([&] { return to_js(objects().calibrations.get(calibration)->feed(tensors_from(feeds))); });
}

val observe_calibration(std::int32_t calibration, val values) {
  return guard([&] {
    objects().calibrations.get(calibration)->observe(tensors_from(values));
    return val::null();
  });
}

void dispose_calibration(std::int32_t calibration) { objects().calibrations.remove(calibration); }

val quantize_model(std::int32_t model, val recipe, std::string recipe_json, std::int32_t calibration, bool measures_weights,
                   val on_progress) {
  return guard([&] {
    const std::shared_ptr<const Model> held = objects().models.get(model);
    Statistics statistics;
    if (calibration != 0) statistics = objects().calibrations.get(calibration)->statistics();
    Recipe parsed = recipe_from(recipe, recipe_json);
    // The caller compares the sizes of the files, and may accept a larger one.
    const std::string input_xxh64 = hash_of_file(model);
    QuantizeResult quantized =
        quantize(*held, parsed, calibration != 0 ? &statistics : nullptr, input_xxh64, progress_from(on_progress),
                 {.measures_weights = measures_weights, .allows_larger = true});
    Object result(to_js(quantized));
    result.set("inputXxh64", input_xxh64);
    result.set("modelId", objects().models.add(quantized.model));
    return result;
  });
}

val convert_form(std::int32_t model, std::string format, std::string file_name) {
  return guard([&] {
    const std::shared_ptr<const Model> held = objects().models.get(model);
    const ConvertResult converted = format == "float"
                                        ? dequantize_model(*held)
                                        : convert_model(*held, format == "qdq" ? QuantFormat::qdq : QuantFormat::qoperator);
    converted.model->file_name = std::move(file_name);
    const std::uint64_t size_bytes = onnx_size_bytes(*converted.model);
    val result = val::object();
    const std::int32_t handle = objects().models.add(converted.model);
    // What is made of it names the file that was given.
    if (const auto file = objects().files.find(model); file != objects().files.end())
      objects().files.emplace(handle, file->second);
    result.set("modelId", handle);
    result.set("changes", static_cast<double>(converted.n_changes));
    result.set("messages", to_js(converted.messages));
    result.set("sizeBytes", static_cast<double>(size_bytes));
    result.set("needsExternalData", size_bytes > kMaxMessageBytes);
    return result;
  });
}

val write_model(std::int32_t model, val sink, val external_sink, std::string external_name, val on_progress) {
  return guard([&] {
    const std::unique_ptr<ByteSink> out = sink_from(sink);
    const std::unique_ptr<ByteSink> external = external_sink.isNull() ? nullptr : sink_from(external_sink);
    write_onnx(*objects().models.get(model), *out, external.get(), {.external_name = external_name}, progress_from(on_progress));
    out->flush();
    if (external) external->flush();
    return val::null();
  });
}

val begin_comparison(std::int32_t reference, std::int32_t quantized) {
  return guard([&] {
    return val(objects().comparisons.add(
        std::make_shared<Comparison>(objects().models.get(reference), objects().models.get(quantized))));
  });
}

val feed_comparison(std::int32_t comparison, val feeds, val quantized_feeds, double label) {
  return guard([&] {
    std::map<std::string, Tensor> own;
    if (!quantized_feeds.isNull()) own = tensors_from(quantized_feeds);
    const Comparison::Outputs outputs =
        objects()
            .comparisons.get(comparison)
            ->feed(tensors_from(feeds), static_cast<std::int64_t>(label), quantized_feeds.isNull() ? nullptr : &own);
    Object result;
    result.set("reference", to_js(outputs.reference));
    result.set("quantized", to_js(outputs.quantized));
    return result;
  });
}

val finish_comparison(std::int32_t comparison) {
  return guard([&] { return to_js(objects().comparisons.get(comparison)->finish()); });
}

void dispose_comparison(std::int32_t comparison) { objects().comparisons.remove(comparison); }

val preprocess_picture(val rgb, double width, double height, val spec) {
  return guard([&] {
    const std::vector<std::uint8_t> pixels = bytes_from(rgb);
    return to_js(
        preprocess_image(pixels, static_cast<std::int64_t>(width), static_cast<std::int64_t>(height), image_spec_from(spec)));
  });
}

val list_schemes() {
  return guard([] { return val(named_schemes_json()); });
}

val try_scheme(std::int32_t model, std::string name, val tensor, val distribution, val request) {
  return guard([&] {
    TensorScheme scheme = scheme_input_from(request, Object(request).text("scheme"));
    std::int64_t axis = scheme.grain == TensorScheme::Grain::per_channel ? 0 : -1;
    const val index = request["scaleIndex"];
    const std::int64_t scale_index = index.isUndefined() ? 0 : static_cast<std::int64_t>(index.as<double>());
    const val known = request["roundingMask"];
    const std::vector<std::uint8_t> mask = known.isUndefined() ? std::vector<std::uint8_t>() : bytes_from(known);
    EncodeOptions options{.rounding_mask = mask};
    if (!tensor.isNull()) {
      const Tensor given = tensor_from(tensor, "values");
      if (given.dtype() != DType::f32) throw_error(ErrorCode::invalid_argument, {"schemes are tried on values of type f32"});
      if (!request["axis"].isUndefined()) axis = static_cast<std::int64_t>(request["axis"].as<double>());
      return to_js(report_scheme(given.data<float>(), given.shape(), scheme, axis, scale_index, options));
    }
    auto& tried = objects().tried;
    const std::shared_ptr<const Model> held = model == 0 ? nullptr : objects().models.get(model);
    if (!held) name = string_from(val::global("JSON").call<val>("stringify", distribution));
    if (tried.model != model || tried.name != name) {
      tried = {};
      tried.values = held ? float_constant(*held, name) : drawn_from(distribution);
      tried.shown.emplace(tried.values.data<float>());
      tried.model = model;
      tried.name = name;
    }
    if (held) options.tensor = name;
    if (const val given = request["axis"]; !given.isUndefined())
      axis = static_cast<std::int64_t>(given.as<double>());
    else if (held)
      axis = fit_to_reader(scheme, *held, name, tried.values.shape());
    return to_js(
        report_scheme(tried.values.data<float>(), tried.values.shape(), scheme, axis, scale_index, options, &*tried.shown));
  });
}

val model_with_outputs(std::int32_t model, val values) {
  return guard([&] {
    const std::shared_ptr<const Model> held = objects().models.get(model);
    return val(objects().models.add(std::make_shared<const Model>(with_outputs(*held, strings_from(values)))));
  });
}

val read_tensor(val bytes) {
  return guard([&] {
    const std::vector<std::uint8_t> held = bytes_from(bytes);
    std::string name;
    const Tensor tensor = read_tensor_proto(held, &name);
    Object result;
    result.set("name", name);
    result.set("tensor", to_js(tensor));
    return result;
  });
}

val write_tensor(std::string name, val tensor) {
  return guard([&] {
    const std::vector<std::uint8_t> bytes = write_tensor_proto(tensor_from(tensor, name), name);
    return val(emscripten::typed_memory_view(bytes.size(), bytes.data())).call<val>("slice");
  });
}

int live_handles() {
  const Objects& all = objects();
  return static_cast<int>(all.models.size() + all.sessions.size() + all.calibrations.size() + all.comparisons.size());
}

}  // namespace bitwright::bindings
