#pragma once

#include "model/model.h"
#include "passes/plan.h"

namespace bitwright {

/// What exporters leave between the operators, so that later passes see the patterns. Main graph only; values are unchanged.

/// Constant nodes become initializers.
PassResult lift_constants(Model& model);
/// Reshape, Flatten, Squeeze, Unsqueeze and Transpose of an initializer become initializers (made when asked for).
PassResult fold_constant_views(Model& model);
/// Identity, and Dropout outside training, are bypassed, except between a graph input and a graph output.
PassResult remove_identities(Model& model);
/// Nodes whose results nobody reads, and initializers likewise (graph inputs of the same name too).
PassResult remove_unused(Model& model);

}  // namespace bitwright
