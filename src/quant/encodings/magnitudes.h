#pragma once

#include "quant/encodings/groups.h"

namespace bitwright {

/// The mean of |x| of those above `threshold`, weighed by importance; 0 where there is none.
double mean_above(const Group& group, double threshold);

/// The magnitude with `rank` smaller ones.
float magnitude_at(const Group& group, std::size_t rank);

/// The largest magnitude that is coded as 0, for the ternary codes of least squared error.
double best_ternary_threshold(const Group& group);

}  // namespace bitwright
