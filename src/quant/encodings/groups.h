#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
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

/// Values and codes travel in pieces of this many, which stay in the L1 cache.
inline constexpr std::int64_t kCodePiece = 1024;

class GroupReader;
/// The finite values of one scale's group, with their importance: to be looked at in pieces, in order, as often as wanted.
class Group {
 public:
  using TakePiece = FunctionRef<void(std::span<const float> values, const Importance& importance)>;

  /// One piece.
  explicit Group(std::span<const float> values, const Importance& importance = {})
      : size_(values.size()), values_(values), importance_(importance) {}
  /// As many pieces of kCodePiece as it takes, each copied when its turn comes.
  Group(GroupReader& reader, std::int64_t scale);

  std::size_t size() const { return size_; }
  void for_each_piece(TakePiece take) const;

 private:
  std::size_t size_ = 0;
  std::span<const float> values_;
  Importance importance_;
  GroupReader* reader_ = nullptr;
  std::int64_t scale_ = 0;
};

/// Hands out the groups: in place where their values stand side by side and are finite; small ones as copies, and so those with
/// importance; else piece by piece.
class GroupReader {
 public:
  GroupReader(std::span<const float> values, const ScaleLayout& layout, const Shape& shape, const EncodeOptions& options);
  /// Valid until the next call. `has_not_finite`: the group may hold values that are not finite.
  Group operator()(std::size_t scale, bool has_not_finite);

 private:
  friend class Group;
  /// Copies what is finite; `most` values at a time are handed out, and the rest stays.
  void gather(std::int64_t scale, std::size_t most, Group::TakePiece take);

  std::span<const float> values_;
  ScaleLayout layout_;
  std::span<const float> importance_;
  std::size_t importance_stride_;
  std::vector<float> gathered_;
  std::vector<float> gathered_importance_;
};

/// Sums over the values that fall to each code.
struct CodeSums {
  std::vector<double> count;  // of importance
  std::vector<double> sum;
};
struct LevelTable;
CodeSums sum_by_code(const LevelTable& table, const Group& group);

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
