#pragma once

#include <span>

#include "base/float8.h"
#include "tensor/tensor.h"

namespace bitwright {

// Elements of any numeric type, widened to one of three: float for the small floats, int64 for integers and booleans, double
// for the rest. Operators on rare types compute in these instead of being compiled once per type.

/// How floats are written to the 8-bit float types.
struct NarrowOptions {
  bool is_saturating = true;
  ScaleRounding scale_rounding = ScaleRounding::up;
};

/// Elements [first, first + out.size()) in row-major order. u64 is handed out as int64 with the same bits.
/// Float to integer truncates toward 0 and saturates at int64, NaN gives 0. Throws Error{unsupported} for strings and complex types.
void read_elements(const Tensor& tensor, std::int64_t first, std::span<float> out);
void read_elements(const Tensor& tensor, std::int64_t first, std::span<double> out);
void read_elements(const Tensor& tensor, std::int64_t first, std::span<std::int64_t> out);

/// The inverse. To float types values are rounded half to even; to integers they are truncated toward 0 and keep their low
/// bits, as a C cast of int64 does; to boolean whatever is not 0 is true.
void write_elements(Tensor& tensor, std::int64_t first, std::span<const float> values, NarrowOptions options = {});
void write_elements(Tensor& tensor, std::int64_t first, std::span<const double> values, NarrowOptions options = {});
void write_elements(Tensor& tensor, std::int64_t first, std::span<const std::int64_t> values, NarrowOptions options = {});

/// One element.
double element_f64(const Tensor& tensor, std::int64_t i);
std::int64_t element_i64(const Tensor& tensor, std::int64_t i);

/// The integer toward 0; saturates at int64, NaN gives 0.
std::int64_t truncated(double value);

/// Every element set to the first of `value` (same element type).
void fill_elements(Tensor& tensor, const Tensor& value);

}  // namespace bitwright
