#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "quant/quant_params.h"
#include "quant/scheme.h"
#include "tensor/tensor.h"

namespace bitwright {

enum class QuantMode { static_, dynamic, weight_only, float16 };
/// How codes stand in the graph: float operators between QuantizeLinear and DequantizeLinear, or operators on codes (QLinearConv,
/// MatMulNBits ...) where there are some.
enum class QuantFormat { qdq, qoperator };
enum class Target { onnxruntime_web, onnxruntime, portable };

struct CalibrationOptions {
  CalibrationMethod method = CalibrationMethod::min_max;
  double moving_average_rate = 0.01;  // weight of the newest sample
  double percentile = 99.999;         // share of |values| kept, in per cent
  int n_bins = 2048;                  // of the streamed histogram
};

/// What to do with which node: data, the same in CLI, API and page. Parsed and validated in TypeScript
/// (web/src/recipe.ts), which hands it over as a typed object; unknown keys are refused there.
struct Recipe {
  QuantMode mode = QuantMode::static_;
  Target target = Target::onnxruntime_web;
  QuantFormat format = QuantFormat::qdq;
  TensorScheme activation{DType::u8, false, false, TensorScheme::Grain::per_tensor, 32};
  TensorScheme weight{DType::i8, true, true, TensorScheme::Grain::per_channel, 32};
  CalibrationOptions calibration;
  /// Patterns: a node name, a glob with * and ?, or "op:Conv". Empty include: every node that can be.
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  /// float16: keep inputs and outputs in f32 (casts at the border), only weights, operators left in f32.
  bool float16_weights_only = false;
  bool float16_keep_io = true;
  std::vector<std::string> float16_block_list;
  /// weight_only: what is left in float becomes float16.
  bool float16_rest = false;
  bool fold_batch_norm = true;
  /// Tests only: weights of any size become codes, also where nodes and scales outweigh what that saves.
  bool takes_small_weights = false;
  /// Weights by Rounding::mask, by name: u8, as EncodeOptions has them.
  std::map<std::string, Tensor> rounding_masks;
  std::int64_t min_weight_elements() const { return takes_small_weights ? 1 : 1024; }
  /// The recipe as canonical JSON, written into the model's metadata by TypeScript's choice.
  std::string canonical_json;
};

/// True if `name` matches the glob (`*` any run, `?` one byte). No recursion; at most |pattern| * |name| steps.
bool matches_glob(std::string_view pattern, std::string_view name);

}  // namespace bitwright
