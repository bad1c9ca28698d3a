#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "model/model.h"
#include "quant/channel_request.h"
#include "quant/recipe.h"

namespace bitwright {

/// What a weight is multiplied with, and what errors there cost.
struct WeightInputs {
  std::vector<ChannelRequest> requests;  // one for each of its readers
  /// Weights for the errors of the weight's columns; empty until `weigh`. With group > 1, of every group, one after the other.
  std::vector<float> importance;
  /// For product encodings: rows of what the weight is multiplied with, of all readers, [n, requests[0].row_length()]. Empty until
  /// `weigh`, and where there are groups.
  std::vector<float> rows;
  std::int64_t reduction = 0;  // the axis of columns
};
/// By constant_key of the weight.
using InputsOfWeights = std::map<std::string, WeightInputs>;
/// `graph`: the path of its graph, as in NodeDecision.
std::string constant_key(const std::string& graph, const std::string& name);

/// Null where nobody knows.
const WeightInputs* find_inputs(const InputsOfWeights* inputs, const std::string& graph, const std::string& name);
/// One importance for each index of the axis that is summed over, or for each element where a group's channels have their own.
/// Empty where nothing is known.
std::vector<float> importance_of(const WeightInputs* inputs, const Shape& shape);

/// What each weight is multiplied with. Weights with a reader of which that cannot be told (in a subgraph, behind nodes that move
/// values, a table, the state of an LSTM) are left out. The model must own its subgraphs (own_subgraphs).
InputsOfWeights inputs_of_weights(Model& model, const Recipe& recipe);

/// Sets the importance of each column: how much an error there adds to the squared error of the outputs, that is the mean square of
/// what the column is multiplied with, divided by their mean. A hundredth of the mean is added to each, as Frantar et al. 2022 (GPTQ,
/// arXiv 2210.17323, section 3.3) do, so that columns which the samples never reached are not lost. `seen` answers a
/// request, with null where its value was not seen; such weights get none. Passes on the rows too.
void weigh(InputsOfWeights& inputs, FunctionRef<const ChannelStatistics*(const ChannelRequest&)> seen);

}  // namespace bitwright
