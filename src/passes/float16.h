#pragma once

#include <map>
#include <string>

#include "model/model.h"
#include "ops/op.h"
#include "passes/planned_edit.h"
#include "quant/recipe.h"

namespace bitwright {

/// Types of the values of the main graph, as infer_types gives them.
using ValueTypes = std::map<std::string, TypeInfo, std::less<>>;

/// The largest magnitude that samples showed of each value.
using Peaks = std::map<std::string, float, std::less<>>;

/// A float tensor as binary16. Finite values beyond 65504 become the largest of their sign, others that would vanish become
/// the smallest, 2^-24: a division by a small epsilon stays finite. Infinities and NaN stay.
struct HalfTensor {
  Tensor values;
  std::uint64_t n_too_large = 0;
  std::uint64_t n_too_small = 0;
};
HalfTensor to_half(const Tensor& values);

/// Stores every f32 constant of at least `min_elements` elements as float16 behind a Cast to float, in subgraphs too. Nodes and
/// types stay as they are; operators need not be known.
PlannedEdit float16_weights(Model& model, const Recipe& recipe, std::int64_t min_elements = 256);

/// Computes the main graph in float16. Where a node stays in float32, casts stand around it: operators of other domains, those
/// with subgraphs (their constants are stored as by float16_weights), those of recipe.float16_block_list and of a built-in list,
/// the parts of a softmax that is written out, nodes the recipe excludes, and nodes with a value whose type is not known. Inputs that the standard keeps in float (scales of
/// Resize) stay so. Graph inputs and outputs keep float32 unless recipe.float16_keep_io is false. With
/// recipe.float16_weights_only it is float16_weights.
///
///   types    of every value of the main graph, before the pass
///   peaks    a node with a value beyond 65504 stays in float32 too; where null, a message says that none was checked
///   throws   Error{pattern_unmatched}, Error{nothing_quantized} naming the first node that computes on codes, and what reading the
///            values throws
PlannedEdit float16(Model& model, const Recipe& recipe, const ValueTypes& types, const Peaks* peaks = nullptr);

}  // namespace bitwright
