#pragma once

#include "base/progress.h"
#include "model/model.h"
#include "passes/planned_edit.h"
#include "passes/weight_importance.h"
#include "quant/recipe.h"

namespace bitwright {

/// The lowest opset of ai.onnx whose DequantizeLinear carries the codes: 10 per tensor, 13 per channel, 19 for floats of 8 bits, 21
/// for 4 and 16 bits and for blocks, 23 for floats of 4 bits, 24 for e8m0 scales, 25 for 2 bits. 13 for codes that are looked up.
std::int64_t dequantize_opset(const TensorScheme& scheme, Target target);

class Selection;

struct WeightOnlyOptions {
  /// Codes up to this many bytes in all are made at once; beyond, each tensor is quantized when it is written, so that memory
  /// holds one float tensor and its codes at a time.
  std::uint64_t max_held_bytes = 64u << 20;
  /// The recipe's selection where it was made before: patterns may name nodes that an earlier pass replaced.
  const Selection* selection = nullptr;
  /// For clipping output_error: errors of weights whose importance is missing here weigh the same.
  const InputsOfWeights* inputs = nullptr;
  /// Told of each weight before its codes are made.
  OnProgress on_progress = {};
};

/// Stores the constant weights (f32 or f16) of Conv, ConvTranspose, Gemm, MatMul, Gather, LSTM, GRU and RNN as codes behind a DequantizeLinear,
/// in subgraphs too; codes that it does not know are looked up in tables (passes/coded_constant.h), and with format qoperator a
/// MatMul by NF4 or FP4 codes becomes MatMulBnb4. The dequantized value keeps the weight's name, so that no node has to change. Needs neither shapes nor known
/// operators elsewhere. A weight that several nodes read is stored once, and left alone where one of them refuses.
///
/// Where the model's opset is too low for the codes (see dequantize_opset; upgrade it before), the onnxruntime targets get
/// com.microsoft DequantizeLinear; Target::portable throws Error{unsupported}. Throws Error{pattern_unmatched}, and what reading
/// the values throws.
PlannedEdit weight_only(Model& model, const Recipe& recipe, const WeightOnlyOptions& options = {});

}  // namespace bitwright
