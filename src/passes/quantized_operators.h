#pragma once

#include <string>

#include "model/model.h"

namespace bitwright {

/// "182 DequantizeLinear, 1 QGemm"; empty for a float model. Of the main graph, subgraphs and local functions.
std::string quantized_operators_of(const Model& model);

}  // namespace bitwright
