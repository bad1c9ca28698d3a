#pragma once

#include <emscripten/val.h>

#include <string>

#include "object.h"
#include "quant/scheme.h"
#include "report/scheme_report.h"
#include "tensor/tensor.h"

namespace bitwright::bindings {

using emscripten::val;

/// The scheme of this name, or `unnamed` where there is one and the name is empty; keys of the object, a SchemeInput (web/src/scheme-input.ts), replace what the name stands for.
/// Throws Error{invalid_argument} for a name or word that the core does not know.
TensorScheme scheme_input_from(const Object& object, const std::string& name, const TensorScheme* unnamed = nullptr);
/// Throw Error{bad_recipe} for another word.
TensorScheme::Grain grain_from(const std::string& word);
CalibrationMethod calibration_method_from(const std::string& word);

/// Values drawn as a Distribution of web/src/try-scheme.ts says, in its shape. Throws as draw_values does.
Tensor drawn_from(const val& distribution);

val to_js(const SchemeReport& report);  // SchemeReport of web/src/report/schema.ts
/// Every named scheme as JSON text, a list of NamedScheme.
std::string named_schemes_json();

}  // namespace bitwright::bindings
