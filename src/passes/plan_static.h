#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "model/model.h"
#include "ops/op.h"
#include "passes/plan.h"
#include "passes/select_nodes.h"
#include "passes/weight_importance.h"
#include "quant/recipe.h"

namespace bitwright {

using ValueTypes = std::map<std::string, TypeInfo, std::less<>>;

/// What calibration says of one value.
struct ValueRange {
  RealRange range;
  std::string refusal;  // why no codes can stand for it ("held infinity in sample 3"); empty where they can
};
using ValueRanges = std::map<std::string, ValueRange, std::less<>>;

/// Values beyond are masks or mistakes: one scale for them leaves no codes for the rest. Activations of real models stay below 1e5.
inline constexpr float kLargestReal = 1e7f;

/// Decides which values of the main graph get QuantizeLinear / DequantizeLinear pairs, and with which scales.
///
/// Layers with constant weights (Conv, Gemm, MatMul, for `portable` ConvTranspose) are always quantized. Everything else only
/// where it lies between quantized nodes: codes that nobody computes with cost accuracy and time. Nodes that an include pattern
/// names are exempt from that rule. One value has one scale, shared by its consumers; operators that only move codes share the
/// scale of their input; a Concat's inputs take the scale of its result where nobody else reads them, which saves one rounding
/// (their own scales would be rounded twice), else they keep their own and are requantized.
/// Relu and Clip from 0 directly behind a layer are absorbed: only their result is quantized, and its codes start at 0.
/// Gemm and MatMul whose results only float nodes read give float directly.
///
/// `types` may be incomplete; `ranges` holds the clipping range of each calibrated value, or is null while it is asked which
/// values must be calibrated: those are the activations of the plan (see needs_calibration).
/// `inputs` are for clipping output_error; `on_progress` is told of each weight before its codes are chosen.
/// Throws Error{bad_recipe} for schemes that static quantization does not have.
QuantPlan plan_static(const Model& model, const Recipe& recipe, const Selection& selection, const ValueTypes& types,
                      const ValueRanges* ranges, const InputsOfWeights* inputs = nullptr, const OnProgress& on_progress = {});

/// The values of a plan made without ranges whose ranges must be calibrated, in order of the graph.
std::vector<std::string> needs_calibration(const Model& model, const QuantPlan& plan);

}  // namespace bitwright
