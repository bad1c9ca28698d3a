// The table of what JavaScript can call: web/src/wasm/core.ts holds the other side. No logic here: verbs stand in verbs.h.
#include <emscripten/bind.h>

#include "verbs.h"

EMSCRIPTEN_BINDINGS(bitwright) {
  using namespace bitwright::bindings;
  using emscripten::function;
  function("version", &version);
  function("openModel", &open_model);
  function("inspect", &inspect_model);
  function("activationBytes", &activations_of_model);
  function("disposeModel", &dispose_model);
  function("createSession", &create_session);
  function("runSession", &run_session);
  function("explainSession", &explain_session);
  function("disposeSession", &dispose_session);
  function("beginCalibration", &begin_calibration);
  function("feedCalibration", &feed_calibration);
  function("observeCalibration", &observe_calibration);
  function("disposeCalibration", &dispose_calibration);
  function("quantize", &quantize_model);
  function("convertModel", &convert_form);
  function("writeModel", &write_model);
  function("beginComparison", &begin_comparison);
  function("feedComparison", &feed_comparison);
  function("finishComparison", &finish_comparison);
  function("disposeComparison", &dispose_comparison);
  function("preprocessImage", &preprocess_picture);
  function("listSchemes", &list_schemes);
  function("tryScheme", &try_scheme);
  function("modelWithOutputs", &model_with_outputs);
  function("readTensorProto", &read_tensor);
  function("writeTensorProto", &write_tensor);
  function("liveHandles", &live_handles);
}
