#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/encodings/encoding.h"
#include "quant/packing.h"
#include "quant/runs.h"

namespace bitwright {

/// One importance serves this many neighbours: element i has importance[i / stride % size].
std::size_t importance_stride(const EncodeOptions& options, const Shape& shape);

/// One importance for each value of a group, wherever they stand.
struct Importance {
  std::span<const float> list;
  std::size_t first = 0;
  std::size_t stride = 1;

  bool empty() const { return list.empty(); }  // all 1
  float operator[](std::size_t i) const {
    i += first;
    return list[stride == 1 && i < list.size() ? i : i / stride % list.size()];
  }
};

/// Hands out the finite values of each scale's group, with their importance, side by side: in place where they stand so, else, and
/// small ones with importance, as copies.
class GroupReader {
 public:
  GroupReader(std::span<const float> values, const ScaleLayout& layout, const Shape& shape, const EncodeOptions& options);
  struct Group {
    std::span<const float> values;
    Importance importance;
  };
  /// Valid until the next call. `has_not_finite`: the group may hold values that are not finite.
  Group operator()(std::size_t scale, bool has_not_finite);

 private:
  void gather(std::int64_t first, std::int64_t count);

  std::span<const float> values_;
  ScaleLayout layout_;
  std::span<const float> importance_;
  std::size_t importance_stride_;
  std::vector<float> gathered_;
  std::vector<float> gathered_importance_;
};

/// Values and codes travel in pieces of this many, which stay in the L1 cache.
inline constexpr std::int64_t kCodePiece = 1024;

/// Sums over the values that fall to each code.
struct CodeSums {
  std::vector<double> count;  // of importance
  std::vector<double> sum;
};
struct LevelTable;
CodeSums sum_by_code(const LevelTable& table, std::span<const float> values, const Importance& importance);

/// False where levels are fitted, or the code is the real.
bool has_scales(Encoding encoding);

// One function for each family: fills `encoded`, whose scheme, shape, granularity and range are set.
void encode_scaled(EncodedTensor& encoded, std::span<const float> values, std::int64_t axis, const EncodeOptions& options);
void encode_half(EncodedTensor& encoded, std::span<const float> values, std::int64_t axis, const EncodeOptions& options);
void encode_kmeans(EncodedTensor& encoded, std::span<const float> values, std::int64_t axis, const EncodeOptions& options);
void encode_binary_code(EncodedTensor& encoded, std::span<const float> values, std::int64_t axis, const EncodeOptions& options);
void encode_product(EncodedTensor& encoded, std::span<const float> values, std::int64_t axis, const EncodeOptions& options);
void decode_product(const EncodedTensor& encoded, std::span<float> values);

}  // namespace bitwright
