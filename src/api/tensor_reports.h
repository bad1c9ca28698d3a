#pragma once

#include <vector>

#include "api/quantize.h"

namespace bitwright {

/// One row per planned tensor: ranges and sizes from the plan, SQNR and clipped share of weights from `model`, the one that was
/// planned, clipped share of activations from the histograms in `statistics` (may be null).
/// Without `measures_weights`, weights have ranges and sizes only.
std::vector<TensorReport> tensor_reports(const Model& model, const QuantPlan& plan, const Statistics* statistics,
                                         bool measures_weights, const OnProgress& on_progress);

}  // namespace bitwright
