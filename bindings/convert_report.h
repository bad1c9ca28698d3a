#pragma once

#include <emscripten/val.h>

#include "api/quantize.h"
#include "model/model.h"
#include "report/comparison.h"
#include "report/model_info.h"

namespace bitwright::bindings {

using emscripten::val;

/// The rows of web/src/report/schema.ts.
val to_js(const Model& model, const ModelInfo& info);  // ModelInfo
val to_js(const ComparisonResult& comparison);         // Comparison
val to_js(const QuantizeResult& result);               // nodes, tensors, lint, messages

}  // namespace bitwright::bindings
