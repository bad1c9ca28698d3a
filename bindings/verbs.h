#pragma once

#include <emscripten/val.h>

#include <cstdint>
#include <string>

namespace bitwright::bindings {

using emscripten::val;

/// The verbs of the border, as web/src/wasm/core.ts declares them. Each answers {value} or {error}, but for dispose_*,
/// version and live_handles, which cannot fail. Objects are named by handles; disposing one twice is harmless.
std::string version();
val open_model(val source, val open_external);
val inspect_model(std::int32_t model);
val activations_of_model(std::int32_t model);
void dispose_model(std::int32_t model);
val create_session(std::int32_t model, val options);
val run_session(std::int32_t session, val feeds, val observe, val outputs);
val explain_session(std::int32_t session);
void dispose_session(std::int32_t session);
val begin_calibration(std::int32_t model, val recipe, bool has_own_runner);
val feed_calibration(std::int32_t calibration, val feeds);
val observe_calibration(std::int32_t calibration, val values);
void dispose_calibration(std::int32_t calibration);
val quantize_model(std::int32_t model, val recipe, std::string recipe_json, std::int32_t calibration, bool measures_weights,
                   val on_progress);
val convert_form(std::int32_t model, std::string format, std::string file_name);
val write_model(std::int32_t model, val sink, val external_sink, std::string external_name, val on_progress);
val begin_comparison(std::int32_t reference, std::int32_t quantized);
/// `quantized_feeds`: null where both models read the same.
val feed_comparison(std::int32_t comparison, val feeds, val quantized_feeds, double label);
val finish_comparison(std::int32_t comparison);
void dispose_comparison(std::int32_t comparison);
val preprocess_picture(val rgb, double width, double height, val spec);
/// Names of the schemes as JSON text; what one of them makes of a constant of the model; of `tensor` (f32) or, where
/// that is null, of values drawn from `distribution`, where model is 0.
val list_schemes();
val try_scheme(std::int32_t model, std::string name, val tensor, val distribution, val request);
val model_with_outputs(std::int32_t model, val values);
val read_tensor(val bytes);
val write_tensor(std::string name, val tensor);
int live_handles();

}  // namespace bitwright::bindings
